"""Facts that are read beyond the line itself: an earlier purchase that is still kept, and a fault that the customer reports."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.facts import Earlier, earlier_purchases, records_of
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.refunds.states import RequestState
from refund_plugin.rules import Defective, DuplicatePurchase, MoneyBack, Outcome, Reason
from refund_plugin.stores.models import Store
from tests.factories import BOUGHT, COURSE, EBOOK, NOW, line_with, make_purchase, publish_policy
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db
BEFORE = BOUGHT - timedelta(days=3)
TWICE = DuplicatePurchase(anchor="twice", window_days=30, within_days=7)
FAULTY = Defective(anchor="faulty", evidence="a picture of the message")
NEVER, NOBODY_KNOWS = Earlier(is_kept=False, purchased_at=None), Earlier(is_kept=None, purchased_at=None)


def earlier_of(purchase):
    line = purchase.lines.get()
    return earlier_purchases([line.pk])[line.pk]


def test_what_was_bought_twice_comes_back_and_the_first_purchase_does_not(gateway):
    publish_policy(clauses=[TWICE])
    first, second = make_purchase(purchased_at=BEFORE), make_purchase()
    older, newer = (quote_purchase(purchase=purchase, now=NOW).lines[0] for purchase in (first, second))
    assert (newer.verdict.outcome, newer.amount.minor) == (Outcome.APPROVE, 1820)
    assert (newer.facts.earlier_purchase, newer.facts.earlier_purchase_at) == (True, BEFORE)
    assert older.facts.earlier_purchase is False
    assert older.verdict.reason is Reason.NO_CLAUSE


def test_the_latest_of_several_earlier_purchases_is_the_one_that_counts(gateway):
    for days in (40, 2, 90):
        make_purchase(purchased_at=BOUGHT - timedelta(days=days))
    assert earlier_of(make_purchase()) == Earlier(is_kept=True, purchased_at=BOUGHT - timedelta(days=2))


@pytest.mark.parametrize(
    "other",
    [
        {"email": "eve@example.com"},
        {"lines": [COURSE]},
        {"purchased_at": BOUGHT + timedelta(days=1)},
        {"lines": [line_with(EBOOK, paid_minor=0, tax_minor=0)], "payments": []},
    ],
    ids=["another customer", "another product", "bought later", "free of charge"],
)
def test_other_purchases_are_no_earlier_purchase(gateway, other):
    make_purchase(**({"purchased_at": BEFORE} | other))
    assert earlier_of(make_purchase()) == NEVER


def test_a_purchase_in_another_store_is_no_earlier_purchase(gateway, django_user_model):
    user = django_user_model.objects.create_user("ada")
    make_purchase(purchased_at=BEFORE, user_id=user.pk, store=Store.objects.create(slug="other", name="Other", timezone="UTC"))
    assert earlier_of(make_purchase(user_id=user.pk)) == NEVER


def test_the_same_person_is_known_by_their_login_too_and_nobody_by_having_none(gateway, django_user_model):
    user = django_user_model.objects.create_user("ada")
    make_purchase(purchased_at=BEFORE, email="old@example.com", user_id=user.pk)
    assert earlier_of(make_purchase(email="new@example.com", user_id=user.pk)).is_kept is True
    assert earlier_of(make_purchase(email="guest@example.com")) == NEVER


@pytest.mark.parametrize("counters", [{"gone_quantity": 1, "gone_minor": 1820}, {"held_quantity": 1, "held_minor": 1820}])
def test_what_was_refunded_or_is_on_its_way_back_is_not_kept(gateway, counters):
    first = make_purchase(purchased_at=BEFORE)
    PurchaseLine.objects.filter(purchase=first).update(**counters)
    assert earlier_of(make_purchase()) == NEVER


@pytest.mark.parametrize("trouble", [{"disputed_minor": 1820}, {"unallocated_minor": 1}, {"is_captured": False}])
def test_nobody_knows_whether_an_earlier_purchase_is_kept_whose_money_may_be_back_already(gateway, trouble):
    publish_policy(clauses=[TWICE])
    first, second = make_purchase(purchased_at=BEFORE), make_purchase()
    Payment.objects.filter(purchase=first).update(**trouble)
    assert earlier_of(second) == NOBODY_KNOWS
    verdict = quote_purchase(purchase=second, now=NOW).lines[0].verdict
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.FACT_MISSING)


@pytest.mark.parametrize("count", [1, 30])
def test_records_are_read_for_all_lines_of_any_purchases_at_once(gateway, django_assert_num_queries, count):
    ids = [make_purchase().lines.get().pk for _number in range(count)]
    with django_assert_num_queries(2):  # earlier purchases, consents
        records = records_of(ids)
    assert set(records.earlier) == set(ids) == set(records.consents)


@pytest.mark.parametrize("reason", ["defective", "not_as_described"])
def test_a_fault_that_the_customer_reports_is_a_fact_and_a_person_looks_at_it(gateway, reason):
    publish_policy(clauses=[FAULTY])
    request = ask(make_purchase(), reason=reason)
    decision = request.decisions.get()
    assert request.state == RequestState.IN_REVIEW
    assert decision.facts[0]["fault_reported"] is True
    assert (decision.verdicts[0]["clause_anchor"], decision.verdicts[0]["amount_minor"]) == ("faulty", 1820)


def test_nobody_reports_a_fault_by_changing_their_mind(gateway):
    publish_policy(clauses=[FAULTY, MoneyBack(anchor="back", window_days=30)])
    request = ask(make_purchase(), reason="changed_mind")
    assert request.state == RequestState.APPROVED
    assert request.decisions.get().facts[0]["fault_reported"] is False


def test_a_quote_says_what_the_report_of_a_fault_would_give(gateway):
    publish_policy(clauses=[FAULTY, MoneyBack(anchor="back", window_days=3)])
    purchase = make_purchase()
    quote = quote_purchase(purchase=purchase, now=NOW)
    assert quote.lines[0].verdict.outcome is Outcome.DECLINE
    faulty = quote.if_faulty(quote.lines[0])
    assert (faulty.outcome, faulty.clause_anchor, faulty.amount_minor) == (Outcome.REVIEW, "faulty", 1820)

    told = quote_purchase(purchase=purchase, fault_reported=True, now=NOW)
    assert told.lines[0].verdict.clause_anchor == "faulty"
    assert told.if_faulty(told.lines[0]) is None


def test_where_a_fault_changes_nothing_a_quote_does_not_speak_of_it(policy):
    quote = quote_purchase(purchase=make_purchase(), now=NOW)
    assert quote.if_faulty(quote.lines[0]) is None
