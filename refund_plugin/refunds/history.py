"""Learn what had become of payments before we knew them, such as those of an import or of Stripe's older sales.

A payment that may have a past carries `history_due_at` from the transaction that recorded it, so nothing is lost when a process
ends; until the gateway was asked, a person decides what is asked for it. Reading again changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer, ListedRefund, PaymentState, RefundPage
from refund_plugin.gateways.base import NOT_SUPPORTED, Gateway
from refund_plugin.gateways.facts import DisputePage, WebhookDispute
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.gateways.services import account_slugs, gateway_for
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.disputes import record_dispute
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.locks import for_update

logger = logging.getLogger(__name__)

BATCH = 100
LEASE_SECONDS = 300
RETRY_SECONDS = 600
FINAL_RETRY_SECONDS = 24 * 3600
# asking again soon would be answered the same; the account's key may have been a wrong one, so a later answer may differ
FINAL = frozenset({"resource_missing", NOT_SUPPORTED.code})

Page = RefundPage | DisputePage | GatewayAnswer
_TAKES_MONEY = (AnswerKind.PENDING, AnswerKind.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class _History:
    """What the gateway told of one payment when it was asked; `disputes` is an answer when they could not be read."""

    asked_at: datetime
    state: PaymentState
    refunds: Sequence[ListedRefund]
    disputes: Sequence[WebhookDispute] | GatewayAnswer


def read_histories(now: datetime) -> int:
    """Ask the gateways about payments whose past is not known yet; return how many were dealt with. No transaction may be open.

    Args:
        now: UTC.
    """
    claimed, lease = _claim()
    for account in {payment.account_id: payment.account for payment in claimed}.values():
        payments = [payment for payment in claimed if payment.account_id == account.pk]
        for payment, told in zip(payments, _ask(account, payments), strict=True):
            try:
                _keep(payment, told, lease=lease, now=now)
            except Exception as error:  # one payment that cannot be taken in must not stop the others
                logger.exception("the history of payment %s could not be recorded", payment.gateway_payment_id)
                _alert(payment, f"{type(error).__name__}", now=now)
    return len(claimed)


def _claim() -> tuple[list[Payment], datetime]:
    """Lease the payments that are due: the due moment itself moves on, so a process that ends leaves them due again."""
    with transaction.atomic(durable=True):
        database_now = clock.database_now()
        rows = Payment.objects.filter(history_due_at__lte=database_now, account__on_hold=False, account__slug__in=account_slugs())
        rows = rows.select_related("account").order_by("history_due_at", "pk")
        if connection.features.has_select_for_update_skip_locked:
            rows = for_update(rows, skip_locked=True)
        claimed = list(rows[:BATCH])
        lease = database_now + timedelta(seconds=LEASE_SECONDS)
        Payment.objects.filter(pk__in=[payment.pk for payment in claimed]).update(history_due_at=lease)
    return claimed, lease


def _ask(account: GatewayAccount, payments: Sequence[Payment]) -> list[_History | GatewayAnswer]:
    """Read several at the same time; threads only talk to the gateway."""
    try:
        gateway = gateway_for(account)
    except GatewayMisconfigured as error:
        return [GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="misconfigured", message=str(error))] * len(payments)
    # a history takes several calls, but as a rule only one to each endpoint, which is what the gateway limits
    delays = take_slots(account, SlotKind.READ, len(payments))
    start = time.monotonic()

    def read(payment: Payment, delay: float) -> _History | GatewayAnswer:
        time.sleep(max(0.0, start + delay - time.monotonic()))
        return _read(gateway, payment.gateway_payment_id, asked_at=clock.now())

    with ThreadPoolExecutor(max(1, settings().concurrent_calls)) as pool:
        return list(pool.map(read, payments, delays))


def _read(gateway: Gateway, name: str, *, asked_at: datetime) -> _History | GatewayAnswer:
    """Read a payment and, where it says that there are any, its refunds and disputes."""
    state = gateway.payment_state(name)
    if isinstance(state, GatewayAnswer):
        return state
    refunds: list[ListedRefund] | GatewayAnswer = []
    if state.refunded.minor:
        refunds = _all(lambda cursor: gateway.list_refunds(gateway_payment_id=name, cursor=cursor))
    if isinstance(refunds, GatewayAnswer):
        return refunds
    taken = sum(item.answer.amount.minor for item in refunds if item.answer.amount and item.answer.kind in _TAKES_MONEY)
    if taken < state.refunded.minor:
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="incomplete", message="the listing lacks some of its refunds")
    disputes: list[WebhookDispute] | GatewayAnswer = []
    if state.disputed:
        disputes = _all(lambda cursor: gateway.list_disputes(gateway_payment_id=name, cursor=cursor))
    return _History(asked_at, state, refunds, disputes)


def _all(page_after: Callable[[str], Page]) -> list[Any] | GatewayAnswer:
    """Read every page of a listing."""
    items: list[Any] = []
    cursor = ""
    while True:
        page = page_after(cursor)
        if isinstance(page, GatewayAnswer):
            return page
        items += page.items
        cursor = page.cursor
        if not cursor:
            return items


def _keep(payment: Payment, told: _History | GatewayAnswer, *, lease: datetime, now: datetime) -> None:
    """Record what was told, and only if that is all, that the history is known."""
    mine = Payment.objects.filter(pk=payment.pk, history_due_at=lease)
    if isinstance(told, GatewayAnswer):
        _put_off(mine, payment, told, now=now)
        return
    seen = [
        Seen(
            gateway_payment_id=payment.gateway_payment_id,
            refund_id=item.refund_id,
            installation=item.installation,
            answer=item.answer,
            told_at=told.asked_at,
            is_history=True,
        )
        for item in told.refunds
    ]
    record_seen(account=payment.account, seen=seen, now=now)
    if isinstance(told.disputes, GatewayAnswer):
        _put_off(mine, payment, told.disputes, now=now)
        return
    is_known = True
    for dispute in told.disputes:
        as_said = replace(dispute, gateway_payment_id=payment.gateway_payment_id, created=told.asked_at)
        try:
            record_dispute(account=payment.account, told=as_said, now=now)
        except ValueError as error:  # the others count all the same
            is_known = False
            _alert(payment, f"{dispute.dispute_id}: {error}", now=now)
    mine.update(history_due_at=None if is_known else clock.database_now() + timedelta(seconds=FINAL_RETRY_SECONDS))


def _put_off(mine: QuerySet[Payment], payment: Payment, answer: GatewayAnswer, *, now: datetime) -> None:
    """Ask again later: what could not be read is not known, and until it is, a person decides."""
    is_final = answer.code in FINAL
    wait_seconds = FINAL_RETRY_SECONDS if is_final else RETRY_SECONDS
    mine.update(history_due_at=clock.database_now() + timedelta(seconds=wait_seconds))
    logger.warning("the history of payment %s could not be read: %s %s", payment.gateway_payment_id, answer.code, answer.message)
    if is_final or answer.hold or answer.code == "incomplete":
        _alert(payment, f"{answer.code} {answer.message}".strip(), now=now)


def _alert(payment: Payment, why: str, *, now: datetime) -> None:
    """One for all of an account: an import that names the wrong account may bring thousands."""
    raise_alert(
        kind="history_unknown",
        key=f"history:{payment.account_id}",
        why=f"what was refunded and disputed before of payment {payment.gateway_payment_id}, and perhaps of others,"
        f" could not be read: {why}",
        account=payment.account,
        now=now,
    )
