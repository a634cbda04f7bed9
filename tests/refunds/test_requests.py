"""Asking: judged by the policy of the day, answered at once, money held once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from refund_plugin.actor import Action, customer_actor
from refund_plugin.errors import AlreadyRefunded, InvalidInput, NotAllowed, NotFound, QuantityTooHigh, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.orders.access import record_access
from refund_plugin.orders.models import AccessKind
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Allocation, Decision, Refund, RefundRequest
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.refunds.review import approve_request, ask_for_evidence, decline_request
from refund_plugin.refunds.services import answer_evidence, cancel_request
from refund_plugin.refunds.states import RefundState, RequestState
from refund_plugin.rules import MoneyBack, evaluate, load_document
from refund_plugin.rules.facts import LineFacts
from refund_plugin.rules.verdicts import verdict_bytes
from tests.factories import COURSE, EBOOK, LICENCE, NOW, SALE, make_purchase, publish_policy
from tests.refunds.helpers import CLERK, ask, balances, only_refund

pytestmark = pytest.mark.django_db


def test_an_eligible_request_is_approved_at_once_and_holds_the_money(policy):
    purchase = make_purchase(lines=[EBOOK])
    request = ask(purchase)
    refund = only_refund(request)
    assert request.state == RequestState.APPROVED
    assert (refund.state, refund.amount_minor) == (RefundState.RESERVED, 1820)
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])
    assert list(Event.objects.filter(case=request.pk).values_list("kind", flat=True)) == ["request_submitted", "request_approved"]


def test_quoting_and_requesting_give_the_same_amount(policy):
    purchase = make_purchase(lines=[EBOOK, COURSE])
    record_access(line=purchase.lines.last(), kind=AccessKind.CONSUMED, amount=3, source_id="lessons", occurred_at=NOW)
    quote = quote_purchase(purchase=purchase, now=NOW)
    request = ask(purchase)
    assert quote.total.minor == 1820 + 2240
    assert sum(refund.amount_minor for refund in request.refunds.all()) == quote.total.minor


def test_a_declined_line_is_answered_with_its_clause_and_moves_no_money(policy):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase)
    decision = Decision.objects.get(request=request)
    assert request.state == RequestState.DECLINED
    assert decision.verdicts[0]["clause_anchor"] == "final-sale"
    assert balances(purchase) == ([(0, 0)], [(0, 0)])
    assert not Refund.objects.exists()


def test_a_declined_line_goes_to_a_person_when_the_customer_asks_for_one(policy):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    assert request.state == RequestState.IN_REVIEW
    assert not Refund.objects.exists()


def test_only_the_approved_lines_of_a_mixed_request_are_paid(policy):
    purchase = make_purchase(lines=[EBOOK, SALE])
    request = ask(purchase)
    assert request.state == RequestState.APPROVED
    assert balances(purchase) == ([(1820, 0)], [(1820, 0), (0, 0)])


def test_without_a_policy_on_the_day_of_the_purchase_a_person_decides(gateway):
    publish_policy(now=NOW - timedelta(days=1))
    request = ask(make_purchase(purchased_at=NOW - timedelta(days=2)))
    assert request.state == RequestState.IN_REVIEW
    assert request.policy_version is None


def test_a_purchase_keeps_the_version_in_force_on_its_day(policy):
    purchase = make_purchase(lines=[LICENCE], purchased_at=NOW - timedelta(days=20))
    publish_policy(clauses=[MoneyBack(anchor="short", window_days=3)], now=NOW - timedelta(days=10))
    assert quote_purchase(purchase=purchase, now=NOW).version == policy
    assert ask(purchase).policy_version == policy


def test_an_amount_above_the_policys_limit_goes_to_a_person(gateway):
    publish_policy(limit=1000)
    assert ask(make_purchase()).state == RequestState.IN_REVIEW


def test_the_same_submission_twice_is_one_request(policy):
    purchase = make_purchase()
    line = purchase.lines.get()
    first = ask(purchase, {line: 1}, submission_key="one-form")
    second = ask(purchase, {line: 1}, submission_key="one-form")
    assert first == second
    assert (RefundRequest.objects.count(), Refund.objects.count()) == (1, 1)


def test_a_line_cannot_be_refunded_twice(policy):
    purchase = make_purchase()
    line = purchase.lines.get()
    ask(purchase, {line: 1})
    with pytest.raises(AlreadyRefunded):
        ask(purchase, {line: 1})
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])


def test_a_quantity_above_what_is_left_is_refused_and_nothing_changes(policy):
    purchase = make_purchase(lines=[LICENCE])
    line = purchase.lines.get()
    ask(purchase, {line: 2})
    with pytest.raises(QuantityTooHigh, match="Only 1 of"):
        ask(purchase, {line: 2})
    assert RefundRequest.objects.count() == 1


def test_units_refunded_one_by_one_add_up_to_what_was_paid(policy):
    purchase = make_purchase(lines=[LICENCE, EBOOK], payments=[1000, 3220])
    line = purchase.lines.first()
    for _unit in range(3):
        ask(purchase, {line: 1})
    ask(purchase, {purchase.lines.last(): 1})
    allocations = Allocation.objects.filter(refund__request__purchase=purchase)
    assert sum(allocation.gross_minor for allocation in allocations) == 4220
    assert sum(allocation.tax_minor for allocation in allocations) == 119
    assert balances(purchase)[0] == [(1000, 0), (3220, 0)]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"reason": "because"}, "reason"),
        ({"message": "x" * 4001}, "message"),
        ({"submission_key": ""}, "submission_key"),
        ({"lines": {}}, "lines"),
        ({"lines": {0: 1}}, "lines"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(policy, changes, field):
    with pytest.raises(InvalidInput) as caught:
        ask(make_purchase(), **changes)
    assert caught.value.field == field
    assert not RefundRequest.objects.exists()


def test_a_foreign_customer_is_told_nothing_and_nothing_changes(policy):
    purchase, other = make_purchase(), make_purchase(email="eve@example.com")
    with pytest.raises(NotFound):
        ask(purchase, by=customer_actor(customer_id=other.customer_id, store_id=other.store_id))
    assert not RefundRequest.objects.exists()


def test_a_decision_can_be_reproduced_byte_for_byte(policy):
    request = ask(make_purchase(lines=[EBOOK, COURSE]))
    decision = request.decisions.get()
    document = load_document(decision.policy_version.document)
    for facts, verdict in zip(decision.facts, decision.verdicts, strict=True):
        first, second = (evaluate(document, LineFacts.from_json(facts)) for _time in range(2))
        assert first.as_json() == verdict
        assert verdict_bytes(first) == verdict_bytes(second)


def test_taking_back_an_unsent_request_lets_go_of_the_money(policy, gateway):
    purchase = make_purchase()
    request = ask(purchase)
    cancel_request(request_id=request.pk, by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id), now=NOW)
    assert balances(purchase) == ([(0, 0)], [(0, 0)])
    assert only_refund(request).state == RefundState.CANCELED
    assert drive_refunds() == 0
    assert gateway.sent == []


def test_a_request_whose_money_is_gone_cannot_be_taken_back(policy, gateway):
    purchase = make_purchase()
    request = ask(purchase)
    drive_refunds()
    with pytest.raises(WrongState):
        cancel_request(request_id=request.pk, by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id), now=NOW)
    assert balances(purchase) == ([(0, 1820)], [(0, 1820)])


def test_staff_approve_a_lower_amount_with_a_reason(policy):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    line = purchase.lines.get()
    approve_request(request_id=request.pk, by=CLERK, reason="goodwill", amounts={line.pk: 450}, now=NOW)
    decision = request.decisions.last()
    assert (decision.amount_minor, decision.reason, decision.is_override, decision.actor_id) == (450, "goodwill", True, "clerk")
    assert balances(purchase) == ([(450, 0)], [(450, 0)])


def test_staff_confirm_the_engines_own_amount_when_they_name_none(gateway):
    publish_policy(limit=1000)
    request = ask(make_purchase())
    approve_request(request_id=request.pk, by=CLERK, reason="checked", now=NOW)
    assert only_refund(request).amount_minor == 1820
    assert request.decisions.last().is_override is False


@pytest.mark.parametrize("amount", [-1, 0, 901])
def test_an_impossible_amount_is_refused_and_nothing_changes(policy, amount):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    with pytest.raises(InvalidInput):
        approve_request(request_id=request.pk, by=CLERK, reason="x", amounts={purchase.lines.get().pk: amount}, now=NOW)
    request.refresh_from_db()
    assert request.state == RequestState.IN_REVIEW
    assert not Refund.objects.exists()


def test_a_decision_of_a_person_needs_a_reason(policy):
    request = ask(make_purchase(lines=[SALE]), wants_person=True)
    for decide in (approve_request, decline_request):
        with pytest.raises(Required):
            decide(request_id=request.pk, by=CLERK, reason="  ", now=NOW)


def test_evidence_is_asked_for_and_given(policy):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="A screenshot, please", now=NOW)
    owner = customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id)
    answered = answer_evidence(request_id=request.pk, by=owner, message="Here it is", now=NOW)
    assert answered.state == RequestState.IN_REVIEW
    assert "Here it is" in answered.message
    with pytest.raises(WrongState):
        answer_evidence(request_id=request.pk, by=owner, message="And more", now=NOW)


@pytest.mark.parametrize("bought", ["signed in", "as a guest"])
def test_nobody_decides_about_their_own_money_however_they_bought(policy, django_user_model, bought):
    user = django_user_model.objects.create_user("clara", "Clara@Example.com")
    purchase = make_purchase(lines=[SALE], user_id=user.pk) if bought == "signed in" else make_purchase(lines=[SALE], email=user.email)
    request = ask(purchase, wants_person=True)
    clerk = replace(staff_actor(user, request.store), actions=frozenset(Action))
    for decide in (
        lambda: approve_request(request_id=request.pk, by=clerk, reason="mine", amounts={purchase.lines.get().pk: 900}, now=NOW),
        lambda: decline_request(request_id=request.pk, by=clerk, reason="mine", now=NOW),
        lambda: ask_for_evidence(request_id=request.pk, by=clerk, question="mine", now=NOW),
    ):
        with pytest.raises(NotAllowed):
            decide()
    request.refresh_from_db()
    assert request.state == RequestState.IN_REVIEW
    assert not Refund.objects.exists()


def test_an_actor_without_the_authority_is_refused_and_nothing_changes(policy):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    owner = customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id)
    amounts = {purchase.lines.get().pk: 900}
    for decide in (
        lambda: approve_request(request_id=request.pk, by=owner, reason="mine", amounts=amounts, now=NOW),
        lambda: decline_request(request_id=request.pk, by=owner, reason="mine", now=NOW),
        lambda: ask_for_evidence(request_id=request.pk, by=owner, question="mine", now=NOW),
    ):
        with pytest.raises(NotAllowed):
            decide()
    request.refresh_from_db()
    assert request.state == RequestState.IN_REVIEW
    assert request.decisions.count() == 1
    assert not Refund.objects.exists()
