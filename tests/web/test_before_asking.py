"""Before anything is sent: amounts that are kept, every rule that was looked at, what may be asked for, and help beside the refund."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.errors import InvalidInput
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import LineData
from refund_plugin.policies.services import add_text
from refund_plugin.refunds import checks
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.states import RequestState
from refund_plugin.rules import Defective, MoneyBack, ProRated, Selector, UnusedOnly
from refund_plugin.web.fixes import Fix
from refund_plugin.web.order import LINES_PER_PAGE
from refund_plugin.web.proof import purchase_page
from tests.factories import EBOOK, MEMORY, line_with, publish_policy
from tests.refunds.helpers import ask
from tests.web.conftest import buy, form_data, look_up, open_page, problems, soup, words

pytestmark = pytest.mark.django_db
FAULTY = Defective(anchor="faulty", title="Broken", evidence="A picture of the message.")
UNUSED = UnusedOnly(anchor="unused", window_days=14)


def term(minor: int = 24_000) -> LineData:
    now = clock.now()
    start, end = now - timedelta(days=90), now + timedelta(days=275)
    return LineData(sku="PLAN-1", name="A year", product_type="plan", paid_minor=minor, term_start=start, term_end=end)


def fixes(line):
    return [
        Fix("Download it again", f"/download/{line.sku}/", is_use=True),
        Fix("Ask for help", "https://help.example/"),
        Fix("Evil", "javascript:alert(1)"),
        Fix("Elsewhere", "//evil.example/"),
    ]


def broken_fixes(line):
    raise RuntimeError("the help desk is down")


@pytest.fixture
def by_second(gateway):
    return publish_policy(clauses=[ProRated(anchor="seconds", by="second")])


def test_the_page_says_how_long_its_amounts_are_kept_and_pays_them(client, by_second, monkeypatch):
    purchase, opened = buy(term()), clock.now()
    monkeypatch.setattr(clock, "now", lambda: opened)
    page = open_page(client, purchase)
    assert "What you see here is kept for you until" in words(page, "#kept")
    assert "Tomorrow it would be" in words(page, ".refund-why")
    shown = words(page, "#total strong")
    monkeypatch.setattr(clock, "now", lambda: opened + timedelta(minutes=29))
    assert client.post(purchase_page(purchase), form_data(page)).status_code == 302
    assert f"€{RefundRequest.objects.get().decisions.get().amount_minor / 100:.2f}" == shown


def test_after_that_the_new_amount_is_shown_before_anything_is_asked(client, by_second, monkeypatch):
    purchase, opened = buy(term()), clock.now()
    monkeypatch.setattr(clock, "now", lambda: opened)
    page = open_page(client, purchase)
    monkeypatch.setattr(clock, "now", lambda: opened + timedelta(minutes=31))
    response = client.post(purchase_page(purchase), form_data(page))
    assert response.status_code == 422
    again = soup(response)
    [(text, target)] = problems(again)
    assert text.startswith("“A year” has changed since this page was opened")
    assert target == "#lines"
    assert words(again, "#total strong") != words(page, "#total strong")
    assert not RefundRequest.objects.exists()
    assert client.post(purchase_page(purchase), form_data(again)).status_code == 302


def test_updating_neither_extends_what_is_kept_nor_hides_that_it_has_ended(client, by_second, monkeypatch):
    purchase, opened = buy(term()), clock.now()
    monkeypatch.setattr(clock, "now", lambda: opened)
    page = open_page(client, purchase)
    monkeypatch.setattr(clock, "now", lambda: opened + timedelta(minutes=20))
    updated = soup(client.post(purchase_page(purchase), form_data(page, update="1")))
    assert words(updated, "#total strong") == words(page, "#total strong")
    assert words(updated, "#kept") == words(page, "#kept")
    assert words(updated, "#changed") == ""
    monkeypatch.setattr(clock, "now", lambda: opened + timedelta(minutes=40))
    late = soup(client.post(purchase_page(purchase), form_data(updated, update="1")))
    assert "has changed since this page was opened" in words(late, "#changed")


def test_every_rule_that_was_looked_at_says_by_how_much_it_was_missed_and_what_would_have_qualified(client, gateway):
    publish_policy(clauses=[UNUSED, MoneyBack(anchor="back", window_days=3), ProRated(anchor="left", by="unit")])
    purchase = buy(line_with(EBOOK, units_granted=10), days_ago=20)
    record_access(line=purchase.lines.get(), kind="downloaded", amount=2, source_id="1", occurred_at=clock.now())
    tried = [" ".join(item.get_text(" ").split()) for item in open_page(client, purchase).select(".refund-tried > ol > li")]
    assert [text.split("  ")[0].startswith(start) for text, start in zip(tried, ("14-day", "3-day", "Pay for"), strict=True)] == [True] * 3
    assert "Missed: 6 days too late; 2 downloads too many." in tried[0]
    assert "It would apply with: within 14 days of buying; no downloads." in tried[0]
    assert "Missed: 17 days too late." in tried[1]
    assert "it applies" in tried[2]


def test_what_a_report_of_a_fault_would_give_and_what_to_have_ready_stand_before_the_form(client, gateway):
    publish_policy(clauses=[FAULTY, MoneyBack(anchor="back", window_days=3)])
    page = open_page(client, buy())
    why = words(page, ".refund-why")
    assert "If it does not work: A person will look at this." in why
    assert "Have this ready: A picture of the message." in why
    assert str(page).index("A picture of the message.") < str(page).index('name="reason"')


def test_choosing_that_it_does_not_work_shows_the_rule_about_faults(client, gateway):
    publish_policy(clauses=[FAULTY, MoneyBack(anchor="back", window_days=30)])
    purchase = buy()
    page = open_page(client, purchase)
    assert words(page, "#submit") == "Ask for €18.20 back"
    updated = soup(client.post(purchase_page(purchase), form_data(page, reason="defective", update="1")))
    assert words(updated, "#submit") == "Ask a person to look"
    assert "By the clause “Broken” a person looks at it" in words(updated, ".refund-why")


def test_what_clauses_want_to_see_is_told_in_the_customers_language(client, gateway):
    version = publish_policy(clauses=[FAULTY, UNUSED])
    texts = {"faulty": {"title": "Kaputt", "evidence": "Ein Bild der Meldung."}, "unused": {"title": "Ungeöffnet"}}
    add_text(version=version, locale="de", texts=texts, now=clock.now())
    purchase = buy()
    look_up(client, purchase.number)
    german = soup(client.get(purchase_page(purchase), headers={"Accept-Language": "de-at"}))
    assert "Ungeöffnet" in words(german, ".refund-why")
    assert "Ein Bild der Meldung." in words(german, ".refund-why")
    first = soup(client.get("/refunds/", headers={"Accept-Language": "de"}))
    assert "Kaputt" in words(first, ".refund-how") and "Ein Bild der Meldung." in words(first, ".refund-how")


def test_the_steps_stand_before_the_first_field_of_both_pages(client, policy):
    first = client.get("/refunds/").content.decode()
    assert first.index("The money goes back the way you paid.") < first.index('name="number"')
    page = str(open_page(client, buy()))
    assert "We answer at once, on the next page and by mail." in page
    assert page.index("The money goes back to Visa •••• 4242.".replace("•••• ", "••••\u00a0")) < page.index('name="reason"')


def test_help_stands_beside_the_refund_and_never_before_it(client, policy, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "FIX_HANDLER": "tests.web.test_before_asking.fixes"}
    purchase = buy()
    page = open_page(client, purchase)
    assert [(link.contents[0], link["href"]) for link in page.select(".refund-fix a")] == [("Ask for help", "https://help.example/")]
    assert words(page, "#submit") == "Ask for €18.20 back"
    html = str(page)
    assert html.index('id="line-') < html.index("refund-fix")


def test_help_that_counts_as_use_is_offered_only_for_what_was_used(client, policy, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "FIX_HANDLER": "tests.web.test_before_asking.fixes"}
    purchase = buy()
    record_access(line=purchase.lines.get(), kind="downloaded", source_id="1", occurred_at=clock.now())
    links = [link.contents[0] for link in open_page(client, purchase).select(".refund-fix a")]
    assert links == ["Download it again", "Ask for help"]


def test_help_that_breaks_keeps_nobody_from_asking(client, policy, settings, caplog):
    settings.REFUND_PLUGIN = {**MEMORY, "FIX_HANDLER": "tests.web.test_before_asking.broken_fixes"}
    purchase = buy()
    page = open_page(client, purchase)
    assert page.select(".refund-fix") == []
    assert "the help desk is down" in caplog.text
    assert client.post(purchase_page(purchase), form_data(page)).status_code == 302


def many(count: int) -> list[LineData]:
    return [line_with(EBOOK, sku=f"BOOK-{number}", name=f"Book {number}", paid_minor=100, tax_minor=0) for number in range(count)]


def test_a_purchase_of_many_things_is_shown_page_by_page_and_asked_for_likewise(client, policy):
    purchase = buy(*many(LINES_PER_PAGE + 2))
    page = open_page(client, purchase)
    assert len(page.select(".refund-line")) == LINES_PER_PAGE
    assert words(page, "h1") == "You can get €52.00 back"
    assert words(page, "#submit") == "Ask for €50.00 back"
    assert "1 to 50 of 52 things" in words(page, ".refund-pages")
    second = soup(client.get(purchase_page(purchase), {"page": 2}))
    assert len(second.select(".refund-line")) == 2
    action = second.select_one("form[data-refund-live]")["action"]
    assert action.endswith("?page=2")
    assert words(soup(client.post(action, form_data(second, update="1"))), "#submit") == "Ask for €2.00 back"
    assert client.post(action, form_data(second)).status_code == 302
    assert RefundRequest.objects.get().lines.count() == 2


@pytest.mark.parametrize("number", ["0", "99", "x"])
def test_a_page_that_does_not_exist_is_the_nearest_one(client, policy, number):
    purchase = buy()
    look_up(client, purchase.number)
    assert client.get(purchase_page(purchase), {"page": number}).status_code == 200


@pytest.mark.parametrize("count", [1, 1000])
def test_a_thousand_lines_by_five_hundred_clauses_cost_as_many_queries_as_one_by_one(
    client, gateway, bare_host, django_assert_num_queries, count
):
    clauses = [MoneyBack(anchor=f"c{number}", window_days=30, selector=Selector(skus=frozenset({f"X-{number}"}))) for number in range(499)]
    publish_policy(clauses=[*(clauses if count > 1 else []), MoneyBack(anchor="back", window_days=30)])
    purchase = buy(*many(count))
    look_up(client, purchase.number)
    with django_assert_num_queries(10):
        response = client.get(purchase_page(purchase))
    assert len(soup(response).select(".refund-line")) == min(count, LINES_PER_PAGE)
    assert len(response.content) < 500_000


def test_more_than_can_be_judged_at_once_is_refused_with_how_much_can_be(gateway, monkeypatch):
    monkeypatch.setattr(checks, "MAX_TRACES", 8)
    publish_policy()
    purchase = buy(*many(3))
    with pytest.raises(InvalidInput, match="Ask for at most 2 things at once"):
        ask(purchase, now=clock.now())
    assert not RefundRequest.objects.exists()
    assert ask(purchase, dict.fromkeys(purchase.lines.all()[:2], 1), now=clock.now()).state == RequestState.APPROVED


def test_a_withdrawal_is_never_too_much(gateway, monkeypatch):
    monkeypatch.setattr(checks, "MAX_TRACES", 8)
    publish_policy()
    request = ask(buy(*many(3)), withdrawal=True, now=clock.now())
    assert request.lines.count() == 3
