"""The self-test: one small charge and its refund, in the gateway's test mode, through the same path that customers' money takes.

It uses a store of its own that is internal: in no list, no books, no mail.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Sum

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.models import Purchase
from refund_plugin.orders.services import record_purchase
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.ledger.models import Account, LedgerEntry
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.reconcile.models import SelfTest
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.states import RefundState
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)

SLUG = "selftest"
EMAIL = "selftest@example.invalid"  # RFC 2606: can never be anybody's
AMOUNT_MINOR = 300
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.1
STUCK = "the refund is still {state}: is a worker running, and does the gateway answer?"


class StepFailed(Exception):
    """A step of the self-test did not give what it must; the message says what."""


@dataclass(slots=True)
class _Case:
    """What the steps hand on to one another."""

    account: GatewayAccount
    amount: Money
    gateway_payment_id: str = ""
    purchase: Purchase | None = None
    refund: Refund | None = None
    steps: list[dict[str, object]] = field(default_factory=list)


def run_selftest(*, account: GatewayAccount, now: datetime, started_by: str = "") -> SelfTest:
    """Make a test payment and refund it; keep and return what each step gave. A failure raises an alert.

    Args:
        account: in test mode; a live one fails at the first step, before anything is sent.
        started_by: a name for people; empty for the schedule.
        now: UTC.
    """
    case = _Case(account, Money(AMOUNT_MINOR, settings().selftest_currency))
    fine = all(_took(case, name, step) for name, step in _STEPS)
    result = SelfTest.objects.create(
        account=account, fine=fine, steps=case.steps, started_by=started_by[:200], started_at=now, finished_at=clock.now()
    )
    if not fine:
        last = case.steps[-1]
        raise_alert(
            kind="selftest_failed",
            key=f"selftest:{account.pk}",
            why=f"{account.slug}: the self-test failed at “{last['name']}”: {last['detail']}",
            account=account,
            now=now,
        )
    return result


def selftest_due(now: datetime) -> int:
    """Test the accounts in test mode that were not tested for `SELFTEST_HOURS`; the sweep's duty."""
    hours = settings().selftest_hours
    if not hours:
        return 0
    done = 0
    for account in GatewayAccount.objects.filter(slug__in=settings().gateways, livemode=False):
        if not account.self_tests.filter(started_at__gt=now - timedelta(hours=hours)).exists():
            run_selftest(account=account, now=now)
            done += 1
    return done


def _took(case: _Case, name: str, step: Callable[[_Case], str]) -> bool:
    started = time.monotonic()
    try:
        detail, fine = step(case), True
    except (StepFailed, RefundPluginError, ValueError) as error:
        detail, fine = str(error) or type(error).__name__, False
        logger.error("self-test of %s: %s failed: %s", case.account.slug, name, detail)
    case.steps.append({"name": name, "fine": fine, "detail": detail[:300], "seconds": round(time.monotonic() - started, 3)})
    return fine


def _charge(case: _Case) -> str:
    if case.account.livemode:
        raise StepFailed("this account moves real money: the self-test runs in test mode only")
    paid = gateway_for(case.account).make_test_payment(case.amount, key=f"selftest-{uuid.uuid4()}")
    if isinstance(paid, GatewayAnswer):
        raise StepFailed(f"the gateway made no test payment ({paid.code or paid.kind})")
    case.gateway_payment_id = paid
    return f"{case.amount}, {paid}"


def _record(case: _Case) -> str:
    store, _created = Store.objects.get_or_create(
        slug=SLUG, defaults={"name": "Self-test", "timezone": settings().zone, "is_internal": True}
    )
    if not store.is_internal:
        raise StepFailed(f"a store of yours has the slug “{SLUG}”: rename it")
    now = clock.now()
    data = PurchaseData(
        number=f"selftest-{uuid.uuid4().hex[:12]}",
        email=EMAIL,
        currency=case.amount.currency,
        purchased_at=now,
        lines=(LineData(sku=SLUG, name="Self-test", paid_minor=case.amount.minor),),
        payments=(PaymentData(gateway_payment_id=case.gateway_payment_id, captured_minor=case.amount.minor, account=case.account.slug),),
    )
    case.purchase, _created = record_purchase(store=store, data=data, now=now)
    return case.purchase.number


def _request(case: _Case) -> str:
    assert case.purchase is not None
    lines = {line.pk: line.quantity for line in case.purchase.lines.all()}
    request = request_refund(
        purchase_id=case.purchase.pk,
        lines=lines,
        reason="other",
        by=SYSTEM,
        submission_key=case.purchase.number,
        channel=SLUG,
        to_review=True,
        now=clock.now(),
    )
    approve_request(request_id=request.pk, by=SYSTEM, reason="self-test", amounts=dict.fromkeys(lines, case.amount.minor), now=clock.now())
    case.refund = request.refunds.get()
    return request.reference


def _refund(case: _Case) -> str:
    assert case.refund is not None
    refund, deadline = case.refund, time.monotonic() + PATIENCE_SECONDS
    while refund.state not in (RefundState.SUCCEEDED, RefundState.PENDING):
        if refund.state in (RefundState.FAILED, RefundState.CANCELED):
            raise StepFailed(f"the gateway says no: {refund.failure_code} {refund.failure_message}".strip())
        if time.monotonic() > deadline:
            raise StepFailed(STUCK.format(state=refund.state))
        if not drive_refunds():
            time.sleep(PAUSE_SECONDS)
        refund.refresh_from_db()
    return f"{refund.state}, {refund.gateway_refund_id}"


def _compare(case: _Case) -> str:
    assert case.refund is not None
    refund = case.refund
    answer = gateway_for(case.account).retrieve(refund.gateway_refund_id)
    if answer.kind not in (AnswerKind.SUCCEEDED, AnswerKind.PENDING) or answer.amount != case.amount:
        raise StepFailed(f"the gateway says {answer.kind} {answer.amount}")
    payment = refund.payment
    payment.refresh_from_db()
    if payment.held_minor + payment.gone_minor != case.amount.minor:
        raise StepFailed(f"the payment's balance says {payment.held_minor} held and {payment.gone_minor} gone")
    sums = LedgerEntry.objects.filter(refund=refund).aggregate(debit=Sum("debit_minor"), credit=Sum("credit_minor"))
    stands_in = Account.GATEWAY_CLEARING if refund.state == RefundState.SUCCEEDED else Account.IN_TRANSIT
    booked = LedgerEntry.objects.filter(refund=refund, account=stands_in).aggregate(credit=Sum("credit_minor"))["credit"]
    if sums["debit"] != sums["credit"] or booked != case.amount.minor:
        raise StepFailed(f"the ledger says {sums['debit']} debit, {sums['credit']} credit, {booked} in {stands_in}")
    return "gateway, balances and ledger agree"


_STEPS: tuple[tuple[str, Callable[[_Case], str]], ...] = (
    ("charge", _charge),
    ("record", _record),
    ("request", _request),
    ("refund", _refund),
    ("compare", _compare),
)
