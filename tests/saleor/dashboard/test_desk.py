"""The App's own page: the queue of one store, and what a person decides there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.stores.models import Store
from tests.factories import EBOOK, make_purchase, publish_policy
from tests.saleor.dashboard.conftest import OTHER_API, OTHER_KEY, USER, Panel, everything, install, token


def looker() -> str:
    """Return the token of someone who may see orders and not handle payments."""
    return token(permissions=("MANAGE_ORDERS",))


def desk(**changes: object) -> Panel:
    """Open the queue."""
    return Panel.open("saleor_app", **({"orderId": None} | changes))


def open_case(case: RefundRequest, **changes: object) -> Panel:
    """Open a case from the queue."""
    return Panel.open("saleor_case", **({"orderId": None, "case": str(case.pk)} | changes))


def rows(panel: Panel) -> list[str]:
    """Return the references that are listed."""
    return [row.select_one("button").get_text() for row in panel.soup.select("tbody tr")]


def counts(panel: Panel) -> list[int]:
    """Return the numbers beside the tabs."""
    return [int(each.get_text()) for each in panel.soup.select(".count")]


def test_the_queue_shows_what_needs_a_person_and_the_rest_a_tab_away(ask, buy):
    waits = ask()
    settled = ask(buy(EBOOK, order="another"), wants_person=False, to_review=False)
    panel = desk()
    assert rows(panel) == [waits.reference] and counts(panel) == [1, 1, 0, 0, 2]
    assert set(rows(panel.press("All requests"))) == {waits.reference, settled.reference}
    assert rows(panel.press("Search", q=waits.purchase.number)) == [waits.reference]
    assert "Nothing here matches" in panel.press("Search", q="nobody@example.com").text


def test_requests_of_other_stores_are_neither_listed_nor_counted(ask, installation):
    other = install(OTHER_API, slug="other", key=OTHER_KEY)
    store = Store.objects.get(slug=other.slug)
    publish_policy(store=store, now=clock.now() - timedelta(days=365))
    foreign = ask(make_purchase(store=store, purchased_at=clock.now() - timedelta(days=6)))
    assert foreign.reference not in desk().press("All requests").text
    assert counts(desk()) == [0, 0, 0, 0, 0]
    assert "Nothing waits for you." in desk().text


def test_the_queue_has_pages_that_keep_tab_and_search(ask, buy):
    for number in range(21):
        ask(buy(EBOOK, order=f"order-{number}"))
    panel = desk(show="in_review", q="ada@example.com")
    assert len(rows(panel)) == 20 and "Page 1 of 2" in panel.text
    second = panel.press("Next")
    assert len(rows(second)) == 1 and "Page 2 of 2" in second.text
    assert second.soup.select_one("[aria-current=page]").get_text().startswith("Waits for our answer")


def test_the_queue_asks_the_database_as_often_for_many_as_for_one(ask, buy, django_assert_num_queries):
    ask()
    with django_assert_num_queries(6):
        desk()
    for number in range(5):
        ask(buy(EBOOK, order=f"order-{number}"))
    with django_assert_num_queries(6):
        desk()


def test_a_case_is_approved_for_less_by_the_person_of_the_dashboard(ask, purchase):
    case = ask()
    book, course, font = (str(line.pk) for line in purchase.lines.all())
    done = open_case(case).press(
        "Approve and send the money", **{f"amount-{book}": "10.00", f"amount-{course}": "", f"amount-{font}": "1", "reason": "He is right."}
    )
    assert f"{case.reference} is approved." in done.soup.select_one("[role=status]").get_text()
    decision = Decision.objects.filter(request=case).last()
    assert (decision.outcome, decision.amount_minor, decision.actor_kind) == ("approved", 1100, "staff")
    assert (decision.actor_id, decision.actor_label) == ("saleor:VXNlcjox", "sam@shop.example")
    assert [refund.amount_minor for refund in Refund.objects.all()] == [1100]
    assert not done.soup.select("button[value=approve]")


def test_a_second_click_on_approve_finds_the_case_decided_and_pays_nothing_more(ask):
    page = open_case(ask())
    page.press("Approve and send the money", reason="Yes.")
    again = page.press("Approve and send the money", reason="Yes.")
    assert again.response.status_code == 422
    assert Refund.objects.count() == 1


def test_more_than_is_left_is_refused_and_what_was_typed_stays(ask, purchase):
    before_case = ask()
    before = everything()
    font = purchase.lines.get(sku="SALE-1").pk
    panel = open_case(before_case).press("Approve and send the money", reason="Goodwill.", **{f"amount-{font}": "9.01"})
    assert panel.response.status_code == 422 and "from 0 to 9.00" in panel.soup.select_one("[role=alert]").get_text()
    assert panel.soup.select_one(f"[name=amount-{font}]")["value"] == "9.01"
    assert panel.soup.select_one("details[open] textarea").get_text() == "Goodwill."
    assert everything() == before


@pytest.mark.parametrize("typed", ["eighteen", "NaN", "1e99", "18,20", "-1", "0.001"])
def test_what_is_no_amount_is_refused(ask, purchase, typed):
    case = ask()
    before = everything()
    panel = open_case(case).press("Approve and send the money", reason="Yes.", **{f"amount-{purchase.lines.first().pk}": typed})
    assert panel.response.status_code == 422 and panel.soup.select_one("[role=alert]")
    assert everything() == before


def test_a_case_is_declined_with_a_reason_the_customer_reads(ask):
    case = ask()
    panel = open_case(case, accessToken=looker())
    done = panel.press("Decline and tell the customer", reason="It was watched to the end.")
    assert "is declined" in done.text
    case.refresh_from_db()
    assert case.state == "declined" and case.decisions.last().reason == "It was watched to the end."


def test_a_question_to_the_customer_is_asked(ask):
    case = ask()
    done = open_case(case).press("Send the question", reason="Which chapter?")
    case.refresh_from_db()
    assert case.state == "needs_evidence" and case.evidence_question == "Which chapter?" and "Which chapter?" in done.text


@pytest.mark.parametrize("verb", ["approve", "decline", "ask"])
def test_a_decision_without_a_reason_is_refused_and_nothing_changed(ask, verb):
    case = ask()
    before = everything()
    label = {"approve": "Approve and send", "decline": "Decline and tell", "ask": "Send the question"}[verb]
    assert open_case(case).press(label, reason=" ").response.status_code == 422
    assert everything() == before


def test_without_the_permission_to_handle_payments_one_declines_but_approves_nothing(ask):
    case = ask()
    panel = open_case(case, accessToken=looker())
    assert not panel.soup.select("button[value=approve]") and "Handle payments" in panel.text
    before = everything()
    forged = panel.press("Decline and tell the customer", reason="Yes.", step="approve")
    assert forged.response.status_code in (403, 422)
    assert everything() == before


@pytest.mark.parametrize(
    "bought",
    [{"email": "sam@shop.example"}, {"email": "other@example.com", "customer": USER}],
    ids=["with their address", "signed in, with another address"],
)
def test_nobody_decides_about_their_own_purchase(ask, buy, bought):
    own = ask(buy(EBOOK, order="own", **bought))
    before = everything()
    panel = open_case(own).press("Approve and send the money", reason="Mine.")
    assert panel.response.status_code == 422 and "a colleague has to decide" in panel.text
    assert everything() == before


def test_a_page_that_is_out_of_date_decides_nothing(ask):
    case = ask()
    old = open_case(case)
    open_case(case).press("Send the question", reason="Which chapter?")
    before = everything()
    late = old.press("Decline and tell the customer", reason="No.")
    assert late.response.status_code == 422
    assert everything() == before


def test_the_case_asks_the_database_a_fixed_number_of_times(ask, django_assert_num_queries):
    case = ask()
    with django_assert_num_queries(10):
        open_case(case)
