"""What no webhook told of payments: the disputes an account lists, and whether payments were captured or let go of.

Both go through what webhooks go through, so what is heard twice changes nothing. A run reads them behind the listing of refunds,
one step at a time; its cursor begins with the name of the step.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db.models import Exists, OuterRef, Q

from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.gateways.base import NOT_SUPPORTED, Gateway
from refund_plugin.gateways.facts import WebhookDispute, WebhookPayment
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.captures import record_capture
from refund_plugin.refunds.disputes import record_dispute
from refund_plugin.refunds.models import Dispute, DisputeOutcome
from refund_plugin.refunds.reconcile.models import Finding, ReconciliationRun

DISPUTES, PAYMENTS, BOOKS = "disputes:", "payments:", "books:"
FIRST_PAYMENT = f"{PAYMENTS}0"
PAYMENTS_PER_STEP = 25
NOTHING_TO_READ = frozenset({NOT_SUPPORTED.code, "resource_missing"})
# how often one payment or page is asked for before the rest goes on without it
TRIES = 3


@dataclass(frozen=True, slots=True)
class Read:
    """What one step read.

    Attributes:
        cursor: where the run goes on; "" at its end.
        differing: what differs even after it was recorded; not saved.
        reached: how far back in time the listing of refunds has come.
    """

    cursor: str
    counts: Counter[str] = field(default_factory=Counter)
    differing: Sequence[Finding] = ()
    reached: datetime | None = None


def read_disputes(run: ReconciliationRun, gateway: Gateway, *, now: datetime) -> Read | GatewayAnswer:
    """Record one page of the disputes that were opened since the run's day; an answer when it must be asked for again.

    A key that may not read disputes, or a list that stays unreadable, is told to staff, and the run goes on with payments.

    Args:
        now: UTC; before the gateway is asked, so that what it says later stands.
    """
    wait_for_slot(run.account)
    page = gateway.list_disputes(created_after=run.since, cursor=run.cursor.removeprefix(DISPUTES))
    if isinstance(page, GatewayAnswer):
        if page.code != NOT_SUPPORTED.code:
            if not page.hold and not _is_given_up(run, gateway, page):
                return page
            _alert_unread(run.account, "the list of disputes", page, now)
        return Read(FIRST_PAYMENT)
    counts: Counter[str] = Counter()
    for item in page.items:
        counts += _record_dispute(run.account, item, now=now)
    return Read(f"{DISPUTES}{page.cursor}" if page.cursor else FIRST_PAYMENT, counts)


def read_payments(run: ReconciliationRun, gateway: Gateway, *, now: datetime) -> Read | GatewayAnswer:
    """Ask about the next payments that are not captured yet or whose dispute is open; an answer when one must be asked again.

    One that stays unreadable while the account answers is told to staff and left out.

    Args:
        now: UTC; as of `read_disputes`.
    """
    open_disputes = Dispute.objects.filter(payment=OuterRef("pk"), outcome=DisputeOutcome.OPEN, opened_at__lt=run.since)
    waits = Q(is_captured=False) & (Q(purchase__purchased_at__gt=run.since) | Q(held_minor__gt=0))
    payments = Payment.objects.annotate(is_disputed=Exists(open_disputes)).select_related("account").order_by("pk")
    payments = payments.filter(waits | Q(is_disputed=True), account=run.account, livemode=run.account.livemode)
    counts: Counter[str] = Counter()
    found = list(payments.filter(pk__gt=int(run.cursor.removeprefix(PAYMENTS)))[:PAYMENTS_PER_STEP])
    for payment in found:
        asked = None if payment.is_captured else _ask_captured(payment, gateway, counts, now=now)
        if payment.is_disputed and asked is None:
            asked = _ask_disputes(payment, gateway, counts, now=now)
        if asked is not None:
            if not _is_given_up(run, gateway, asked):
                return asked
            _alert_unread(run.account, payment.gateway_payment_id, asked, now)
    behind = BOOKS if gateway.keeps_books else ""
    return Read(f"{PAYMENTS}{found[-1].pk}" if len(found) == PAYMENTS_PER_STEP else behind, counts)


def _ask_captured(payment: Payment, gateway: Gateway, counts: Counter[str], *, now: datetime) -> GatewayAnswer | None:
    """Record whether a payment was captured or let go of; return an answer when the gateway could not say."""
    wait_for_slot(payment.account)
    state = gateway.payment_state(payment.gateway_payment_id)
    if isinstance(state, GatewayAnswer):
        return None if state.code in NOTHING_TO_READ else state
    told = WebhookPayment(
        event_id="",
        event_type="",
        livemode=payment.livemode,
        created=now,
        gateway_payment_id=payment.gateway_payment_id,
        captured=state.captured,
        is_captured=state.is_captured,
        is_canceled=state.is_canceled,
    )
    before = _money_of(payment)
    try:
        record_capture(account=payment.account, told=told, now=now)
    except ValueError as error:
        _alert(payment.account, payment.gateway_payment_id, str(error), now)
    payment.refresh_from_db()
    counts.update(payments=1, news=int(before != _money_of(payment)))
    return None


def _money_of(payment: Payment) -> tuple[bool, int, int, int]:
    return payment.is_captured, payment.captured_minor, payment.held_minor, payment.gone_minor


def _ask_disputes(payment: Payment, gateway: Gateway, counts: Counter[str], *, now: datetime) -> GatewayAnswer | None:
    """Record how the disputes of a payment stand; return an answer when they could not be read."""
    cursor = ""
    while True:
        wait_for_slot(payment.account)
        page = gateway.list_disputes(gateway_payment_id=payment.gateway_payment_id, cursor=cursor)
        if isinstance(page, GatewayAnswer):
            if page.hold:
                _alert_unread(payment.account, f"the disputes of {payment.gateway_payment_id}", page, now)
            return None if page.hold or page.code in NOTHING_TO_READ else page
        for item in page.items:
            counts.update(_record_dispute(payment.account, item, now=now))
        cursor = page.cursor
        if not cursor:
            return None


def _record_dispute(account: GatewayAccount, item: WebhookDispute, *, now: datetime) -> Counter[str]:
    """Record a dispute as it is listed: as said now, because the moment it names is when it was opened. Return what it counts."""
    rows = Dispute.objects.filter(account=account, livemode=account.livemode, gateway_dispute_id=item.dispute_id)
    before = rows.values_list("kind", "outcome", "amount_minor").first()
    try:
        dispute = record_dispute(account=account, told=replace(item, created=now), now=now)
    except ValueError as error:
        _alert(account, item.dispute_id, str(error), now)
        return Counter()
    if dispute is None:
        return Counter()
    return Counter(disputes=1, news=int(before != (dispute.kind, dispute.outcome, dispute.amount_minor)))


def _is_given_up(run: ReconciliationRun, gateway: Gateway, answer: GatewayAnswer) -> bool:
    """Tell whether the trouble is with what was asked for, not with the account: that answers, and this was tried often enough."""
    if answer.kind == AnswerKind.NOT_EXECUTED or run.failures + 1 < TRIES:
        return False
    wait_for_slot(run.account)
    return gateway.ping().kind == AnswerKind.SUCCEEDED


def wait_for_slot(account: GatewayAccount) -> None:
    """Sleep until the account's limit lets another question through."""
    [delay] = take_slots(account, SlotKind.READ, 1)
    time.sleep(max(0.0, delay))


def _alert_unread(account: GatewayAccount, what: str, answer: GatewayAnswer, now: datetime) -> None:
    """One for all of an account: what one payment's answer has may be in those of many."""
    raise_alert(
        kind="reconcile_payment",
        key=f"reconcile_unread:{account.pk}",
        why=f"{what}, and perhaps more, could not be read and was left out: {answer.code} {answer.message}".strip(),
        account=account,
        now=now,
    )


def _alert(account: GatewayAccount, name: str, why: str, now: datetime) -> None:
    raise_alert(
        kind="reconcile_payment",
        key=f"reconcile_payment:{account.pk}:{name}"[:120],
        why=f"{name}: what the gateway tells cannot be recorded: {why}",
        account=account,
        now=now,
    )
