"""Balances after contradictions, amounts in the gateway's steps, and payments that cannot be sent over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.actor import Action, Actor, ActorKind
from refund_plugin.errors import ExceedsBalance, InvalidInput, NotAllowed
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Allocation, Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.refunds.reserve import split_over_payments
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.states import RefundState, RequestState
from tests.factories import EBOOK, LICENCE, NOW, SALE, line_with, make_purchase
from tests.refunds.helpers import CLERK, ask, balances, only_refund

pytestmark = pytest.mark.django_db


def told(refund: Refund, kind: AnswerKind) -> None:
    answer = GatewayAnswer(kind=kind, gateway_refund_id=f"re_{refund.pk.hex}", amount=refund.amount)
    record_answer(refund_id=refund.pk, answer=answer, now=NOW)


def test_a_contradiction_that_the_gateway_takes_back_leaves_the_balances_as_they_were(policy):
    purchase = make_purchase()
    first = only_refund(ask(purchase))
    told(first, AnswerKind.FAILED)
    second = only_refund(ask(purchase))
    told(first, AnswerKind.SUCCEEDED)
    payment = purchase.payments.get()
    assert (payment.held_minor, payment.gone_minor, payment.over_minor) == (1820, 1820, 1820)
    told(second, AnswerKind.FAILED)
    told(first, AnswerKind.FAILED)
    payment.refresh_from_db()
    line = purchase.lines.get()
    assert (payment.held_minor, payment.gone_minor, payment.over_minor) == (0, 0, 0)
    assert (line.held_quantity, line.gone_quantity, line.over_minor, line.refunded_tax_minor) == (0, 0, 0, 0)
    assert only_refund(ask(purchase)).state == RefundState.RESERVED


def test_money_over_what_was_captured_is_not_left_to_give_again_once_it_came_back(policy):
    two = line_with(EBOOK, quantity=2, paid_minor=2000, tax_minor=0)
    purchase = make_purchase(lines=[two], payments=[1500])
    line = purchase.lines.get()
    first = only_refund(ask(purchase, {line: 1}))
    told(first, AnswerKind.FAILED)
    told(first, AnswerKind.SUCCEEDED)
    told(first, AnswerKind.FAILED)
    payment = purchase.payments.get()
    assert (payment.over_minor, payment.left.minor) == (0, 1500)


@pytest.fixture
def in_steps_of_ten(gateway, monkeypatch):
    """As Stripe takes KWD: the last digit must be zero."""
    monkeypatch.setattr(type(gateway), "step", lambda self, currency: 10)


def test_staff_cannot_approve_an_amount_that_the_gateway_refuses(policy, in_steps_of_ten):
    purchase = make_purchase(lines=[SALE])
    request = ask(purchase, wants_person=True)
    line = purchase.lines.get()
    with pytest.raises(InvalidInput, match="steps of 0.10 EUR"):
        approve_request(request_id=request.pk, by=CLERK, reason="x", amounts={line.pk: 455}, now=NOW)
    assert not Refund.objects.exists()
    approve_request(request_id=request.pk, by=CLERK, reason="x", amounts={line.pk: 450}, now=NOW)
    assert only_refund(request).amount_minor == 450


def test_every_payments_share_is_in_the_gateways_steps_or_a_person_decides(policy, in_steps_of_ten):
    whole = make_purchase(lines=[SALE, LICENCE], payments=[1645, 1655])
    line = whole.lines.last()
    request = ask(whole, {line: 3})
    assert sorted(refund.amount_minor % 10 for refund in request.refunds.all()) == [0, 0]
    short = make_purchase(lines=[EBOOK], payments=[905, 915])
    assert ask(short).state == RequestState.IN_REVIEW


@given(left=st.lists(st.integers(0, 10**6), min_size=1, max_size=5), step=st.sampled_from([1, 10, 100]), data=st.data())
def test_a_split_in_steps_adds_up_or_is_refused(left, step, data):
    total = data.draw(st.integers(0, sum(left) // step)) * step
    rows = list(enumerate(left))
    if total > sum(amount // step * step for amount in left):
        with pytest.raises(ExceedsBalance):
            split_over_payments(total_minor=total, left=rows, step=step)
        return
    chosen = split_over_payments(total_minor=total, left=rows, step=step)
    assert sum(amount for _payment, amount in chosen) == total
    assert all(amount % step == 0 and amount <= left[payment] for payment, amount in chosen)


def test_a_payment_whose_account_left_the_settings_can_still_be_quoted_and_a_person_decides(policy, settings):
    purchase = make_purchase()
    settings.REFUND_PLUGIN = {"GATEWAYS": {"another": {"kind": "memory"}}}
    assert quote_purchase(purchase=purchase, now=NOW).total.minor == 1820
    assert ask(purchase).state == RequestState.IN_REVIEW
    assert balances(purchase) == ([(0, 0)], [(0, 0)])


def test_trying_again_in_parts_does_not_get_around_a_persons_limit(policy):
    purchase = make_purchase(payments=[910, 910], captured=False)
    request = ask(purchase)
    drive_refunds()
    assert set(request.refunds.values_list("state", flat=True)) == {RefundState.FAILED}
    small = Actor(kind=ActorKind.STAFF, id="small", actions=frozenset(Action), limit_minor={"EUR": 1000})
    with pytest.raises(NotAllowed):
        retry_refund(refund_id=request.refunds.first().pk, by=small, reason="again", now=NOW)
    assert request.refunds.count() == 2


def test_allocations_count_for_what_they_hold(policy):
    purchase = make_purchase(lines=[LICENCE])
    ask(purchase, {purchase.lines.get(): 2})
    assert list(Allocation.objects.values_list("quantity", "counted_quantity")) == [(2, 2)]
