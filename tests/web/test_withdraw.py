"""The electronic withdrawal function: two steps, by anybody who has the order number and address, and a receipt at once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.template import Context, Template
from django.test import Client
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.events.services import deliver_due
from refund_plugin.messaging.models import Message
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.law import REIMBURSE_WITHIN
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.tracking import purchases_token, tracking_token
from refund_plugin.web.proof import buyer, purchase_page, purchase_ref, withdrawal_page
from tests.factories import EBOOK, MEMORY, SALE
from tests.refunds.helpers import ask
from tests.web.conftest import EMAIL, buy, problems, soup, words

START = "/refunds/withdraw/"
pytestmark = pytest.mark.usefixtures("policy")


def sold_in(country: str, *lines, **changes) -> Purchase:
    purchase = buy(*lines, **changes)
    purchase.country = country
    purchase.save(update_fields=["country"])
    return purchase


def find(client: Client, purchase: Purchase, email: str = EMAIL):
    return client.post(reverse("refund_plugin:withdraw_start"), {"number": purchase.number, "email": email})


def data_of(page, **changes):
    form = page.select_one("form[data-refund-once]")
    data = {"submission_key": form.select_one("[name=submission_key]")["value"]}
    data["line"] = [field["value"] for field in form.select("[name=line]") if field.get("type") == "hidden" or field.has_attr("checked")]
    return {**data, **changes}


def withdraw(client: Client, purchase: Purchase, **changes):
    """Go through both steps; return the answer to the second."""
    page = soup(client.get(find(client, purchase).url))
    confirm = soup(client.post(withdrawal_page(purchase), data_of(page, **changes)))
    return client.post(withdrawal_page(purchase), data_of(confirm, confirm="1"))


def test_a_guest_withdraws_in_two_steps_without_a_reason_and_is_shown_when_it_arrived(client):
    purchase = sold_in("DE", SALE, EBOOK)
    before = clock.now()
    answer = find(client, purchase)
    assert answer.url == withdrawal_page(purchase)
    first = soup(client.get(answer.url))
    assert [button.get_text() for button in first.select("form button")] == ["Withdraw from contract here"]
    assert not first.select("select, textarea"), "no reason is asked"
    second = soup(client.post(answer.url, data_of(first)))
    assert [button.get_text() for button in second.select("form button")] == ["Confirm withdrawal"]
    assert "Last-chance font" in words(second) and not RefundRequest.objects.exists()
    sent = client.post(answer.url, data_of(second, confirm="1"))
    request = RefundRequest.objects.get()
    assert sent.url == reverse("refund_plugin:withdraw_receipt", args=[tracking_token(request)])
    assert (request.is_withdrawal, request.channel, request.state) == (True, "withdrawal", "approved")
    assert before <= request.withdrawn_at <= clock.now() and request.reimburse_by == request.withdrawn_at + REIMBURSE_WITHIN
    receipt = soup(client.get(sent.url))
    assert datetime.fromisoformat(receipt.select_one("time")["datetime"]) == request.withdrawn_at
    assert f"{request.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC" in words(receipt)
    assert "The Slow Web" in words(receipt) and purchase.number in words(receipt) and "a•••@example.com" in words(receipt)


def test_the_receipt_is_mailed_with_what_was_declared_and_when_to_the_second(client):
    withdraw(client, sold_in("DE", SALE))
    request = RefundRequest.objects.get()
    deliver_due()
    message = Message.objects.filter(request=request).earliest("pk")
    assert (message.kind, message.subject) == ("withdrawal_received", f"Receipt of your withdrawal ({request.reference})")
    for text in (message.text, message.html):
        assert "You told us that you withdraw from the contract about:" in text and "Last-chance font" in text
        assert f"{request.withdrawn_at:%Y-%m-%d %H:%M:%S} UTC" in text
    assert "€9.00" in message.text and message.sent_at is not None


def test_only_what_stays_ticked_is_withdrawn_from(client):
    purchase = sold_in("DE", SALE, EBOOK)
    book = purchase.lines.get(sku="EBOOK-1")
    withdraw(client, purchase, line=[str(book.pk)])
    assert list(RefundRequest.objects.get().lines.values_list("line_id", flat=True)) == [book.pk]


def test_sent_twice_it_is_one_withdrawal_with_the_time_of_the_first(client):
    purchase = sold_in("DE", SALE)
    page = soup(client.get(find(client, purchase).url))
    data = data_of(page, confirm="1")
    first = client.post(withdrawal_page(purchase), data)
    assert client.post(withdrawal_page(purchase), data).url == first.url
    assert RefundRequest.objects.count() == 1


def test_from_another_window_the_same_thing_cannot_be_withdrawn_from_again_but_its_receipt_is_there(client):
    purchase = sold_in("FR", SALE, EBOOK, days_ago=60)  # too late: a person looks, and no money is held that would tell
    withdraw(client, purchase, line=[str(purchase.lines.get(sku="SALE-1").pk)])
    page = soup(client.get(withdrawal_page(purchase)))
    request = RefundRequest.objects.get()
    assert [field["value"] for field in page.select("[name=line]")] == [str(purchase.lines.get(sku="EBOOK-1").pk)]
    assert page.select_one(".refund-panel a")["href"] == reverse("refund_plugin:withdraw_receipt", args=[tracking_token(request)])
    forged = client.post(withdrawal_page(purchase), {"confirm": "1", "line": str(purchase.lines.get(sku="SALE-1").pk)})
    assert (forged.status_code, RefundRequest.objects.count()) == (422, 1)


def test_a_withdrawal_that_was_taken_back_can_be_declared_again(client):
    purchase = sold_in("FR", SALE, days_ago=60)
    withdraw(client, purchase)
    cancel_request(request_id=RefundRequest.objects.get().pk, by=buyer(purchase), now=clock.now())
    assert soup(client.get(withdrawal_page(purchase))).select("[name=line]")


def test_late_or_where_no_law_is_known_it_is_received_all_the_same_and_a_person_decides(client):
    for purchase in (sold_in("DE", SALE, days_ago=60), sold_in("US", SALE)):
        answer = withdraw(client, purchase)
        request = RefundRequest.objects.get(purchase=purchase)
        assert (request.state, request.is_withdrawal) == ("in_review", True)
        assert client.get(answer.url).status_code == 200
        deliver_due()
        assert Message.objects.filter(request=request, kind="withdrawal_received").count() == 1


def test_nothing_ticked_is_told_and_nothing_is_withdrawn(client):
    purchase = sold_in("DE", SALE)
    page = soup(client.get(find(client, purchase).url))
    answer = client.post(withdrawal_page(purchase), data_of(page, line=[], confirm="1"))
    assert (answer.status_code, RefundRequest.objects.count()) == (422, 0)
    assert problems(soup(answer)) == [("Tick at least one thing that you withdraw from.", "#lines")]


@pytest.mark.parametrize("line", ["999999", "x", "9" * 40, "1; drop"])
def test_a_line_of_another_purchase_cannot_be_withdrawn_from(client, line):
    purchase = sold_in("DE", SALE)
    other = sold_in("DE", SALE, email="eve@example.com")
    find(client, purchase)
    for value in (line, str(other.lines.get().pk)):
        assert client.post(withdrawal_page(purchase), {"line": value, "confirm": "1"}).status_code == 422
    assert not RefundRequest.objects.exists()


def test_an_unknown_order_and_a_wrong_address_read_the_same(client):
    purchase = sold_in("DE", SALE)
    wrong, unknown = find(client, purchase, "eve@example.com"), client.post(START, {"number": "0", "email": EMAIL})
    assert wrong.status_code == unknown.status_code == 422
    assert problems(soup(wrong)) == problems(soup(unknown)) != []


def test_guessing_is_limited_as_on_the_first_page_of_a_refund(client, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "LIMIT_LOOKUP": (2, 600)}
    for _n in range(2):
        assert client.post(START, {"number": "0", "email": EMAIL}).status_code == 422
    assert client.post(START, {"number": "0", "email": EMAIL}).status_code == 429


def test_without_a_proof_neither_step_opens_and_nothing_is_withdrawn(client):
    purchase = sold_in("DE", SALE)
    path = withdrawal_page(purchase)
    assert client.get(path).status_code == 404
    assert client.post(path, {"line": str(purchase.lines.get().pk), "confirm": "1"}).status_code == 404
    assert not RefundRequest.objects.exists()


def test_whoever_came_by_the_mailed_list_withdraws_from_there_and_nobody_else_does(client):
    purchase, other = sold_in("DE", SALE), sold_in("DE", SALE, email="eve@example.com")
    path = withdrawal_page(purchase, list_token=purchases_token(purchase.customer))
    page = soup(client.get(path))
    assert page.select_one("form[data-refund-once]")["action"] == path
    assert client.post(path, data_of(page, confirm="1")).status_code == 302
    assert client.get(withdrawal_page(purchase, list_token=purchases_token(other.customer))).status_code == 404
    assert client.get(reverse("refund_plugin:withdraw", args=[purchase_ref(purchase)])).status_code == 404


def test_looking_changes_nothing_and_a_plain_refund_has_no_receipt_of_a_withdrawal(client):
    purchase = sold_in("US", EBOOK)
    find(client, purchase)
    for path in (START, withdrawal_page(purchase)):
        client.get(path)
        client.head(path)
    assert not RefundRequest.objects.exists()
    request = ask(purchase, now=clock.now())
    assert not request.is_withdrawal
    assert client.get(reverse("refund_plugin:withdraw_receipt", args=[tracking_token(request)])).status_code == 404
    assert client.get(reverse("refund_plugin:withdraw_receipt", args=["forged"])).status_code == 404


def test_a_session_that_another_site_drives_cannot_withdraw():
    purchase = sold_in("DE", SALE)
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(START, {"number": purchase.number, "email": EMAIL}).status_code == 403


def test_two_withdrawals_of_one_moment_hold_the_money_once(client):
    purchase = sold_in("DE", SALE, days_ago=1)
    first = soup(client.get(find(client, purchase).url))
    second = soup(client.get(withdrawal_page(purchase)))
    answers = [client.post(withdrawal_page(purchase), data_of(page, confirm="1")).status_code for page in (first, second)]
    assert answers == [302, 422] and RefundRequest.objects.count() == 1


def test_the_link_for_a_footer_leads_to_the_function_and_escapes_what_it_is_given():
    html = Template("{% load refund_law %}{% refund_withdrawal_link order %}").render(Context({"order": '"><b>'}))
    assert f'href="{START}?order=%22%3E%3Cb%3E"' in html and "Withdraw from contract here" in html


def test_every_page_of_ours_links_to_the_function(client):
    assert soup(client.get(reverse("refund_plugin:ask"))).select_one(f'.refund-help a[href="{START}"]')


def test_the_time_that_counts_is_that_of_the_second_step(client, monkeypatch):
    purchase = sold_in("DE", SALE)
    page = soup(client.get(find(client, purchase).url))
    later = clock.now() + timedelta(minutes=50)
    monkeypatch.setattr(clock, "now", lambda: later)
    client.post(withdrawal_page(purchase), data_of(page, confirm="1"))
    assert RefundRequest.objects.get().withdrawn_at == later


@pytest.mark.parametrize(("country", "is_there"), [("DE", True), ("US", False)])
def test_the_page_of_a_purchase_leads_to_the_function_where_a_law_gives_the_right(client, country, is_there):
    purchase = sold_in(country, SALE)
    find(client, purchase)
    link = soup(client.get(purchase_page(purchase))).select_one(".refund p > a.refund-withdraw")
    assert (link is not None) == is_there
    if link is not None:
        assert client.get(link["href"]).status_code == 200
