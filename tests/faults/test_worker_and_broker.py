"""Real processes: what was accepted is paid, once, whatever happens to the broker or the worker."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.states import RefundState
from tests.factories import make_purchase, publish_policy
from tests.refunds.helpers import ask
from tests.services import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def purchase(sandbox, transactional_db) -> Purchase:
    """Six days old, paid at the sandbox."""
    now = clock.now()
    publish_policy(now=now - timedelta(days=100))
    purchase = make_purchase(purchased_at=now - timedelta(days=6))
    for payment in purchase.payments.all():
        sandbox.post("payments", id=payment.gateway_payment_id, amount=payment.captured_minor, currency="eur")
    return purchase


def paid_at_the_sandbox(sandbox) -> list[tuple[str, int]]:
    return [(refund["metadata"]["refund_id"], refund["amount"]) for refund in sandbox.get("state")["refunds"]]


def wait_until_paid(request: RefundRequest) -> Refund:
    refund = Refund.objects.get(request=request)
    try:
        wait_until(lambda: Refund.objects.filter(pk=refund.pk, state=RefundState.SUCCEEDED).exists(), timeout_seconds=90, what="paid")
    except TimeoutError:
        refund.refresh_from_db()
        attempts = list(refund.attempts.values_list("purpose", "answer", "code"))
        raise AssertionError(f"{refund}, due {refund.due_at}, attempts: {attempts}") from None
    refund.refresh_from_db()
    return refund


def test_a_request_is_paid_by_a_worker_process_over_real_http(worker, purchase, sandbox):
    refund = wait_until_paid(ask(purchase, now=clock.now()))
    assert paid_at_the_sandbox(sandbox) == [(str(refund.pk), 1820)]
    assert refund.attempts.count() == 1


def test_a_request_made_while_the_broker_is_down_is_accepted_and_paid_when_it_returns(worker, redis, purchase, sandbox):
    redis.halt(signal.SIGKILL)
    request = ask(purchase, now=clock.now())
    assert Refund.objects.get(request=request).state == RefundState.RESERVED
    redis.resume()
    refund = wait_until_paid(request)
    assert paid_at_the_sandbox(sandbox) == [(str(refund.pk), 1820)]


def test_a_lost_answer_is_resolved_by_the_same_key_and_paid_once(worker, purchase, sandbox):
    sandbox.post("faults", kind="drop_after_commit", times=1, method="POST", path="/v1/refunds")
    refund = wait_until_paid(ask(purchase, now=clock.now()))
    assert paid_at_the_sandbox(sandbox) == [(str(refund.pk), 1820)]
    assert list(refund.attempts.values_list("purpose", flat=True)) == ["send", "replay"]


def test_a_worker_killed_in_the_middle_of_its_call_is_followed_by_another_that_pays_once(start_worker, worker, purchase, sandbox):
    sandbox.post("faults", kind="slow_after", milliseconds=8000, times=1, method="POST", path="/v1/refunds")
    request = ask(purchase, now=clock.now())
    wait_until(lambda: paid_at_the_sandbox(sandbox) != [], timeout_seconds=60, what="the gateway: has paid")
    os.killpg(worker.pid, signal.SIGKILL)
    refund = Refund.objects.get(request=request)
    assert refund.state == RefundState.PROCESSING
    # the dead worker's lease has a minute to run; the database's clock cannot be moved for another process, so its end can
    Refund.objects.update(lease_until=clock.database_now() - timedelta(seconds=1))
    start_worker()
    refund = wait_until_paid(request)
    assert paid_at_the_sandbox(sandbox) == [(str(refund.pk), 1820)]
    assert list(refund.attempts.values_list("answer", flat=True)) == ["maybe_executed", "succeeded"]
