"""While automatic money is paused, nothing that the policy approved is sent; all else goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.brake.services import pause_automatic, resume_automatic
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.execute import begin_attempts, claim_due
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.states import RefundState
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from tests.factories import make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("policy")]


def pause(hours=2):
    now = clock.now()
    return pause_automatic(store=ensure_default_store(), until=now + timedelta(hours=hours), by=SYSTEM, why="Why.", now=now)


def test_what_was_approved_before_the_pause_waits_and_goes_when_it_ends(gateway):
    request = ask(make_purchase())
    pause()
    assert drive_refunds() == 0
    assert only_refund(request).state == RefundState.RESERVED
    resume_automatic(store=ensure_default_store(), by=SYSTEM, now=clock.now())
    drive_refunds()
    assert only_refund(request).state == RefundState.SUCCEEDED


def test_a_pause_that_ends_by_itself_lets_the_money_go(gateway):
    request = ask(make_purchase())
    pause(hours=2)
    with clock.travel(timedelta(hours=2, minutes=1)):
        drive_refunds()
    assert only_refund(request).state == RefundState.SUCCEEDED


def test_what_a_person_approves_is_sent_all_the_same(gateway):
    pause()
    request = ask(make_purchase())
    approve_request(request_id=request.pk, by=CLERK, reason="Fine.", now=clock.now())
    drive_refunds()
    assert only_refund(request).state == RefundState.SUCCEEDED


def test_a_refund_that_a_worker_had_claimed_but_not_sent_is_stopped_too(gateway):
    request = ask(make_purchase())
    claims = claim_due(batch=5)
    pause()
    assert begin_attempts(claims) == []
    refund = only_refund(request)
    assert (refund.state, refund.lease_until, refund.attempt_count) == (RefundState.RESERVED, None, 0)
    assert gateway.sent == []


def test_the_outcome_of_what_was_sent_before_is_still_found_out(gateway):
    request = ask(make_purchase())
    (started,) = begin_attempts(claim_due(batch=5))
    lost = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
    record_answer(refund_id=started.refund_id, answer=lost, call=started.call, now=clock.now())
    pause()
    with clock.travel(timedelta(minutes=10)):
        drive_refunds()
    assert only_refund(request).state == RefundState.SUCCEEDED


def test_another_store_is_not_stopped(gateway):
    request = ask(make_purchase())
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    now = clock.now()
    pause_automatic(store=other, until=now + timedelta(hours=1), by=SYSTEM, why="Why.", now=now)
    drive_refunds()
    assert Refund.objects.get(request=request).state == RefundState.SUCCEEDED
