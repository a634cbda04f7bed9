"""Statutory withdrawals: never declined by a machine, first in the list, and nobody can miss the day the money is due."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import duties
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.alerts import look_at
from refund_plugin.refunds.law import REIMBURSE_WITHIN, reimburse_by, warn_of_due
from refund_plugin.refunds.models import Alert
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.queries import next_case, staff_queue
from refund_plugin.refunds.review import approve_request, decline_request
from refund_plugin.refunds.states import RequestState
from tests.factories import NOW, SALE, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = pytest.mark.django_db


def withdraw(days_ago: int = 0, **changes):
    """Declare a withdrawal from something the policy declines, so that a person must look."""
    return ask(make_purchase(lines=[SALE]), withdrawal=True, now=NOW - timedelta(days=days_ago), **changes)


def kinds() -> list[str]:
    return list(Alert.objects.order_by("pk").values_list("kind", flat=True))


def test_a_withdrawal_is_due_fourteen_days_after_it_arrived(policy):
    request = ask(make_purchase(), withdrawal=True)
    assert (request.is_withdrawal, request.withdrawn_at, request.reimburse_by) == (True, NOW, NOW + timedelta(days=14))
    assert reimburse_by(NOW) - NOW == REIMBURSE_WITHIN


def test_an_ordinary_request_has_no_such_day(policy):
    request = ask(make_purchase())
    assert (request.is_withdrawal, request.withdrawn_at, request.reimburse_by) == (False, None, None)


def test_a_withdrawal_that_the_policy_would_decline_goes_to_a_person(policy):
    assert ask(make_purchase(lines=[SALE])).state == RequestState.DECLINED
    assert withdraw().state == RequestState.IN_REVIEW


def test_withdrawals_stand_first_the_one_due_soonest_at_the_top(policy):
    ordinary = ask(make_purchase(lines=[SALE]), wants_person=True, now=NOW - timedelta(days=40))
    young, old = withdraw(1), withdraw(5)
    assert [request.pk for request in staff_queue()] == [old.pk, young.pk, ordinary.pk]
    assert [next_case(request) for request in (old, young, ordinary)] == [young, ordinary, old]


@pytest.mark.parametrize("end", ["declined", "paid"])
def test_a_withdrawal_that_is_settled_is_no_longer_due(policy, end):
    request = withdraw(20)
    ordinary = ask(make_purchase(lines=[SALE]), wants_person=True, now=NOW - timedelta(days=40))
    if end == "declined":
        decline_request(request_id=request.pk, by=CLERK, reason="Not a consumer.", now=NOW)
    else:
        approve_request(request_id=request.pk, by=CLERK, reason="The law.", amounts={request.purchase.lines.get().pk: 900}, now=NOW)
        assert staff_queue().get(pk=request.pk).reimburse_due == request.reimburse_by
        refund = only_refund(request)
        answer = GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id="re_1", amount=refund.amount)
        record_answer(refund_id=refund.pk, answer=answer, now=NOW)
    assert staff_queue().get(pk=request.pk).reimburse_due is None
    assert [row.pk for row in staff_queue()] == [ordinary.pk, request.pk]
    Alert.objects.all().delete()
    assert (warn_of_due(NOW), kinds()) == (0, [])


def test_a_late_failure_makes_the_money_due_again(policy):
    request = ask(make_purchase(), withdrawal=True)
    refund = only_refund(request)
    for kind in (AnswerKind.SUCCEEDED, AnswerKind.FAILED):
        record_answer(refund_id=refund.pk, answer=GatewayAnswer(kind=kind, gateway_refund_id="re_1", amount=refund.amount), now=NOW)
    assert staff_queue().get().reimburse_due == request.reimburse_by


def test_an_alert_comes_three_days_before_and_one_a_day_once_it_is_late(policy):
    withdraw()
    due = NOW + timedelta(days=14)
    assert warn_of_due(due - timedelta(days=3, seconds=1)) == 0
    assert warn_of_due(due - timedelta(days=3)) == 1
    assert warn_of_due(due - timedelta(days=2)) == 0
    look_at(alert_id=Alert.objects.get().pk, by=CLERK, now=NOW)
    assert warn_of_due(due - timedelta(days=1)) == 0, "somebody has looked"
    assert warn_of_due(due + timedelta(seconds=1)) == 1
    assert warn_of_due(due + timedelta(hours=23)) == 0
    assert warn_of_due(due + timedelta(days=1)) == 1
    assert kinds() == ["reimburse_soon", "reimburse_overdue", "reimburse_overdue"]
    assert "reimburse_by" in {duty.name for duty in duties.duties()}
