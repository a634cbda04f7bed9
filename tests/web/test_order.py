"""The page of a purchase: the answer before the question, and one request however often it is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from refund_plugin import clock, content
from refund_plugin.actor import SYSTEM
from refund_plugin.orders.access import correct_access, record_access
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.states import RequestState
from refund_plugin.rules import UnusedOnly
from refund_plugin.web.proof import purchase_page
from tests.factories import COURSE, EBOOK, LICENCE, MEMORY, SALE, line_with, publish_policy
from tests.web.conftest import buy, form_data, look_up, open_page, problems, soup, words

pytestmark = pytest.mark.django_db


def use(purchase, sku, kind, times=1):
    line = purchase.lines.get(sku=sku)
    for number in range(times):
        record_access(line=line, kind=kind, source_id=f"{kind}-{number}", occurred_at=clock.now())


def test_every_line_says_whether_how_much_why_and_until_when(client, policy):
    purchase = buy(EBOOK, COURSE, SALE)
    use(purchase, "COURSE-1", "consumed", times=3)
    page = open_page(client, purchase)
    ebook, course, sale = (
        words(section, ".refund-line-head") + " " + words(section, ".refund-why") for section in page.select(".refund-line")
    )
    assert "€18.20 all of it" in ebook
    assert "Refundable until" in ebook
    assert "You have not opened it, so the 30-day guarantee gives you everything back." in ebook
    assert "Downloads 0 (0 allowed)" in ebook
    assert "€22.40 a part of it" in course
    assert "Refundable in part" in course
    assert "€0.00 not refundable" in sale
    assert "Sold at a final discount." in sale
    assert words(page, "h1") == "You can get €40.60 back"
    assert words(page, "#submit") == "Ask for €40.60 back"
    assert words(page, "#total") == "€40.60 to Visa •••• 4242"
    assert "ada@example.com" not in str(page)


def test_the_clause_and_the_version_of_that_day_are_linked(client, policy, monkeypatch):
    class Pages:
        def policy_url(self, version, anchor=""):
            return f"/policy/{version.number}/" + (f"#{anchor}" if anchor else "")

        def current_policy_url(self, store_id):
            return "/policy/"

    monkeypatch.setattr(content, "_policy_pages", Pages())
    page = open_page(client, buy())
    links = {link.get_text(): link["href"] for link in page.select(".refund a")}
    assert links["refund policy in force that day"] == "/policy/1/"
    assert links["30-day guarantee"] == "/policy/1/#unused"


def test_a_use_that_was_recorded_wrongly_is_told_and_counts_no_more(client, gateway):
    publish_policy(clauses=[UnusedOnly(anchor="unused", window_days=30)])
    purchase = buy(EBOOK)
    line = purchase.lines.get()
    fact = record_access(line=line, kind="downloaded", source_id="1", occurred_at=datetime(2026, 3, 3, 12, tzinfo=UTC))
    assert "Downloads 1 (0 allowed)" in words(open_page(client, purchase), ".refund-why")

    correct_access(fact_id=fact.pk, reason="failed", note="Nobody else reads this.", by=SYSTEM, now=clock.now())

    page = open_page(client, purchase)
    assert words(page, "h1") == "You can get €18.20 back"
    assert "Downloads 0 (0 allowed)" in words(page, ".refund-why")
    assert "Not counted: downloaded on March 3, 2026, because it failed." in words(page, ".refund-why")
    assert "Nobody else reads this." not in str(page)


def test_nobody_else_can_open_the_page(client, policy):
    purchase, own = buy(), buy(email="eve@example.com")
    stranger = client.get(purchase_page(purchase))
    assert stranger.status_code == 404
    look_up(client, own.number, "eve@example.com")
    other = client.get(purchase_page(purchase))
    forged = client.get(purchase_page(purchase)[:-2] + "x/")
    assert other.status_code == forged.status_code == 404
    assert stranger.content == other.content == forged.content
    assert client.post(purchase_page(purchase), {"line": [purchase.lines.get().pk]}).status_code == 404
    assert not RefundRequest.objects.exists()


def test_asking_gets_the_answer_and_the_tracking_page_at_once(client, policy, gateway):
    purchase = buy()
    page = open_page(client, purchase)
    response = client.post(purchase_page(purchase), form_data(page, message="Not for me"), follow=True)
    request = RefundRequest.objects.get()
    assert response.redirect_chain[0][0].startswith("/refunds/track/")
    assert (request.state, request.message, request.channel, request.locale) == (RequestState.APPROVED, "Not for me", "web", "en")
    assert f"We have your request {request.reference}." in words(soup(response))
    drive_refunds()
    assert [command.amount.minor for command in gateway.sent] == [1820]


def test_a_form_sent_twice_is_one_request(client, policy):
    purchase = buy()
    data = form_data(open_page(client, purchase))
    first, second = (client.post(purchase_page(purchase), data) for _n in range(2))
    assert first.status_code == second.status_code == 302
    assert first["Location"] == second["Location"]
    assert RefundRequest.objects.count() == 1


def test_a_quantity_is_shown_before_it_is_asked_for(client, policy):
    purchase = buy(LICENCE)
    line = purchase.lines.get()
    page = open_page(client, purchase)
    assert words(page, "h1") == "You can get €24.00 back"
    data = form_data(page) | {f"quantity-{line.pk}": "2", "update": "1"}
    updated = soup(client.post(purchase_page(purchase), data))
    assert words(updated, "#submit") == "Ask for €16.00 back"
    assert updated.select_one(f"#quantity-{line.pk} option[selected]").get_text() == "2"
    assert not RefundRequest.objects.exists()
    data = form_data(updated)
    assert data["submission_key"] == form_data(page)["submission_key"]
    client.post(purchase_page(purchase), data)
    assert RefundRequest.objects.get().lines.get().quantity == 2


def test_updating_keeps_what_was_ticked_and_written(client, policy):
    purchase = buy(EBOOK, COURSE)
    ebook, course = purchase.lines.order_by("position")
    page = open_page(client, purchase)
    data = form_data(page, line=[course.pk], reason="defective", message="It <b>stops</b>", update="1")
    updated = soup(client.post(purchase_page(purchase), data))
    assert [box["value"] for box in updated.select("input[name=line][checked]")] == [str(course.pk)]
    assert updated.select_one("#reason option[selected]")["value"] == "defective"
    assert updated.select_one("#message").get_text() == "It <b>stops</b>"
    assert words(updated, "#total strong") == "€29.87"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"line": []}, ("Tick at least one thing that you want your money back for.", "#lines")),
        ({"reason": ""}, ("Choose one of the reasons.", "#reason")),
        ({"reason": "because"}, ("Choose one of the reasons.", "#reason")),
        ({"message": "x" * 4001}, ("Please keep your message under 4000 characters.", "#message")),
        ({"line": ["nonsense"]}, ("Choose the quantity from the list.", "#lines")),
        ({"line": ["9" * 40]}, ("Choose the quantity from the list.", "#lines")),
        ({"line": ["987654321"]}, ("This purchase has no such line.", "#lines")),
        ({"submission_key": "x" * 65}, ("A submission key has 1 to 64 characters.", "#lines")),
    ],
)
def test_what_cannot_be_asked_is_said_with_a_link_to_the_field_and_nothing_is_recorded(client, policy, changes, expected):
    purchase = buy()
    page = open_page(client, purchase)
    response = client.post(purchase_page(purchase), form_data(page, **changes))
    assert response.status_code == 422
    answer = soup(response)
    assert problems(answer) == [expected]
    assert answer.select_one(expected[1]) is not None
    assert not RefundRequest.objects.exists()


def test_characters_that_a_database_refuses_lose_nothing_else(client, policy):
    purchase = buy()
    data = form_data(open_page(client, purchase), message="It\x00 stops \U0001f622", submission_key="a\x00b")
    assert client.post(purchase_page(purchase), data).status_code == 302
    assert RefundRequest.objects.get().message == "It stops \U0001f622"


def test_more_than_was_bought_is_refused(client, policy):
    purchase = buy(LICENCE)
    line = purchase.lines.get()
    page = open_page(client, purchase)
    for quantity, text in (("4", "Only 3 of “Grain Pack, plug-in licence” are left to refund."), ("0", "Ask for at least one")):
        response = client.post(purchase_page(purchase), form_data(page) | {f"quantity-{line.pk}": quantity})
        assert response.status_code == 422
        assert problems(soup(response))[0][0].startswith(text)
    assert not RefundRequest.objects.exists()


def test_what_was_already_refunded_cannot_be_asked_again_and_leads_to_its_refund(client, policy):
    purchase = buy()
    page = open_page(client, purchase)
    client.post(purchase_page(purchase), form_data(page))
    again = soup(client.get(purchase_page(purchase)))
    assert words(again, "h1") == "This was already refunded, or is on its way to you"
    assert again.select_one("#submit") is None
    assert again.select_one(".refund-card a")["href"].startswith("/refunds/track/")
    stale = client.post(purchase_page(purchase), form_data(page, submission_key="another"))
    assert stale.status_code == 422
    assert "was already refunded, or its refund is on its way" in problems(soup(stale))[0][0]
    assert RefundRequest.objects.count() == 1


def test_after_a_refund_the_rest_that_is_never_refunded_does_not_make_the_page_deny_it(client, policy):
    purchase = buy(EBOOK, SALE)
    client.post(purchase_page(purchase), form_data(open_page(client, purchase)))
    again = soup(client.get(purchase_page(purchase)))
    assert words(again, "h1") == "What can be refunded was already refunded, or is on its way to you"


def test_a_line_the_policy_declines_shows_the_way_to_a_person(client, policy):
    purchase = buy(SALE)
    page = open_page(client, purchase)
    assert words(page, "h1") == "Our policy does not refund this purchase"
    assert page.select("input[name=line]") == []
    assert words(page, "#total p") == "Tick above what a person should look at."
    line = purchase.lines.get()
    chosen = form_data(page, person=[line.pk], reason="defective", message="It will not install.")
    assert words(soup(client.post(purchase_page(purchase), chosen | {"update": "1"})), "#submit") == "Ask a person to look"
    client.post(purchase_page(purchase), chosen)
    request = RefundRequest.objects.get()
    assert (request.state, request.wants_person) == (RequestState.IN_REVIEW, True)


def test_a_person_for_one_thing_makes_everything_wait_and_the_page_says_so(client, policy):
    purchase = buy(EBOOK, SALE)
    page = open_page(client, purchase)
    sale = purchase.lines.get(sku="SALE-1")
    updated = soup(client.post(purchase_page(purchase), form_data(page, person=[sale.pk], update="1")))
    assert "What needs no person you can ask for by itself, and get at once." in words(updated, "#total")


def test_amounts_above_the_limit_are_promised_only_after_a_person_has_looked(client, gateway):
    publish_policy(limit=1000)
    page = open_page(client, buy())
    assert words(page, "h1") == "You can get up to €18.20 back"
    assert page.select("input[name=line][checked]") == []


def test_a_purchase_before_any_policy_goes_to_a_person(client, gateway):
    purchase = buy()
    page = open_page(client, purchase)
    assert words(page, "h1") == "A person decides about this purchase"
    client.post(purchase_page(purchase), form_data(page, line=[purchase.lines.get().pk]))
    assert RefundRequest.objects.get().state == RequestState.IN_REVIEW


def test_names_from_the_store_cannot_become_markup(client, policy):
    page = open_page(client, buy(line_with(EBOOK, name="<script>alert(1)</script>")))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in str(page.select_one(".refund-line"))


def test_amounts_and_dates_follow_the_language(client, policy):
    purchase = buy()
    look_up(client, purchase.number)
    page = soup(client.get(purchase_page(purchase), headers={"Accept-Language": "de"}))
    assert "18,20\xa0€" in page.select_one(".refund-amount").get_text()


def test_asking_needs_a_csrf_token(policy):
    purchase = buy()
    strict = Client(enforce_csrf_checks=True)
    page = strict.get("/refunds/")
    token = soup(page).select_one("[name=csrfmiddlewaretoken]")["value"]
    strict.post("/refunds/", {"number": purchase.number, "email": purchase.customer.email, "csrfmiddlewaretoken": token})
    opened = soup(strict.get(purchase_page(purchase)))
    assert strict.post(purchase_page(purchase), form_data(opened)).status_code == 403
    assert not RefundRequest.objects.exists()


def test_too_many_requests_for_one_purchase_are_paused(client, gateway, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_REQUEST": (2, 600)}
    purchase = buy()
    data = form_data(open_page(client, purchase), reason="")
    answers = [client.post(purchase_page(purchase), data).status_code for _n in range(3)]
    assert answers == [422, 422, 429]


@pytest.mark.parametrize("lines", [(EBOOK,), (EBOOK, COURSE, SALE, LICENCE)])
def test_the_number_of_queries_does_not_grow_with_the_lines(client, policy, bare_host, django_assert_num_queries, lines):
    purchase = buy(*lines)
    look_up(client, purchase.number)
    # session; purchase; lines with their use, earlier purchases, consents, payments, version and its words; uncounted; requests
    with django_assert_num_queries(10):
        client.get(purchase_page(purchase))
