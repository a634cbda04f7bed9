"""Refunds as the gateway tells them, ours or not.

One that was made past us, in the gateway's dashboard or by another program, becomes a row of its own with the origin
`external`: it counts against the payment's balance, pends and fails like any other, and staff are alerted. Until somebody
assigns it to lines, new requests for the purchase go to a person.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.events.services import record
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.balances import Balances
from refund_plugin.refunds.locks import lock_payment
from refund_plugin.refunds.models import Operation, Refund, RefundOrigin
from refund_plugin.refunds.outcomes import ELSEWHERE, FACTS, GATEWAY, OVER_PAID, Told, record_answer, record_answers, stop_unsent
from refund_plugin.refunds.states import HELD, RefundState

logger = logging.getLogger(__name__)

ASK_SECONDS = 60  # after which the gateway is asked how a pending one stands, should no webhook tell
_STATE_OF = {
    AnswerKind.PENDING: RefundState.PENDING,
    AnswerKind.SUCCEEDED: RefundState.SUCCEEDED,
    AnswerKind.FAILED: RefundState.FAILED,
    AnswerKind.CANCELED: RefundState.CANCELED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A refund as a webhook or a listing of one account shows it.

    Attributes:
        refund_id, installation: of its metadata; None and "" when it has none of ours.
        told_at: when the gateway made this statement (UTC); for a listing, when it was asked for.
        is_history: it was made before we knew the payment, so staff hear of all such together.
        charge_id: another name of the payment, by which an order may have told it.
    """

    gateway_payment_id: str
    refund_id: UUID | None
    installation: str
    answer: GatewayAnswer
    told_at: datetime
    is_history: bool = False
    charge_id: str = ""


def record_seen(*, account: GatewayAccount, seen: Sequence[Seen], now: datetime) -> list[bool]:
    """Record what the gateway shows of its refunds; in any order and as often as it likes, the end is the same.

    Args:
        now: UTC.
    Returns:
        For each, whether it is about a payment we know; nothing changed otherwise.
    """
    known = _known_payments(account, seen)
    seen = [item if item.gateway_payment_id in known else replace(item, gateway_payment_id=item.charge_id) for item in seen]
    for batch in _one_by_one(seen):
        _record_batch(account, [item for item in batch if item.gateway_payment_id in known], known, now=now)
    return [item.gateway_payment_id in known for item in seen]


def record_external(*, payment_id: int, answer: GatewayAnswer, told_at: datetime, now: datetime, is_history: bool = False) -> Refund | None:
    """Record a refund on a payment of ours that we did not make.

    Args:
        answer: what the gateway says about it; named by its `gateway_refund_id`.
        told_at: when it said so, UTC.
        is_history: see `Seen`.
        now: UTC.
    Returns:
        The row of origin external (or the row that has this id already); None when the answer tells of no money.
    """
    if answer.kind not in FACTS or not answer.gateway_refund_id or answer.amount is None:
        logger.warning("an external refund on payment %s cannot be read: %s", payment_id, answer.code)
        return None
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        if payment is None:
            return None
        row = Refund.objects.filter(
            account=payment.account_id, livemode=payment.livemode, gateway_refund_id=answer.gateway_refund_id
        ).first()
        if row is None and answer.amount.currency != payment.currency:
            _alert_foreign_currency(payment, answer, now)
            return None
        if row is None:
            return _do_record(payment, answer, answer.amount, told_at=told_at, is_history=is_history, now=now)
    return record_answer(refund_id=row.pk, answer=answer, told_at=told_at, now=now)


def _do_record(payment: Payment, answer: GatewayAnswer, amount: Money, *, told_at: datetime, is_history: bool, now: datetime) -> Refund:
    """Add the row to a locked payment and count its money. A failed one is kept too: an older word about it must find its end."""
    refund_id, database_now = uuid.uuid4(), clock.database_now()
    after = _STATE_OF[answer.kind]
    refund = Refund(
        id=refund_id,
        store_id=payment.purchase.store_id,
        payment=payment,
        account_id=payment.account_id,
        livemode=payment.livemode,
        amount_minor=amount.minor,
        currency=amount.currency,
        state=RefundState.CANCELED,  # where no money counts; it moves on below
        origin=RefundOrigin.EXTERNAL,
        operation=Operation.CANCEL_PAYMENT if answer.gateway_refund_id.startswith("cancel:") else Operation.REFUND,
        owed=False,
        idempotency_key=f"external-{payment.account_id}-{payment.livemode:d}-{answer.gateway_refund_id}"[:255],
        gateway_refund_id=answer.gateway_refund_id,
        trace_reference=answer.trace_reference,
        failure_code=answer.code[:80] if after in (RefundState.FAILED, RefundState.CANCELED) else "",
        failure_message=answer.message[:500],
        due_at=database_now + timedelta(seconds=ASK_SECONDS),
        reserved_at=database_now,
        created_at=told_at,
        settled_at=None if after in HELD else now,
        told_at=told_at,
        heard_at=database_now,
    )
    balances = Balances([refund])
    over_rose = balances.move(refund, after)
    if after in (RefundState.PENDING, RefundState.SUCCEEDED):
        stop_unsent(balances, payment, why=OVER_PAID if over_rose else ELSEWHERE)
    balances.write(now=now)
    payload = {"purchase": payment.purchase_id, "payment": payment.pk, "state": refund.state, "over": over_rose}
    record(events.refund_event(events.REFUND_EXTERNAL, refund, GATEWAY, **payload), now=now)
    if after in (RefundState.PENDING, RefundState.SUCCEEDED):
        if is_history and not over_rose:
            _alert_history(refund, now)
        else:
            _alert(refund, over_rose, now)
    return refund


def _alert(refund: Refund, over_rose: bool, now: datetime) -> None:
    number = refund.payment.purchase.number
    raise_alert(
        kind="money_over" if over_rose else "external_refund",
        key=f"external:{refund.pk}",
        why=f"{refund.amount} of order {number} was refunded at the gateway ({refund.gateway_refund_id}), not from here"
        + (": more is gone now than was paid" if over_rose else ""),
        store_id=refund.store_id,
        refund=refund,
        payment=refund.payment,
        now=now,
    )


def _alert_history(refund: Refund, now: datetime) -> None:
    """One for all of a store: an import may bring thousands."""
    raise_alert(
        kind="external_refund",
        key=f"external:history:{refund.store_id}",
        why="orders that were taken over had been refunded at the gateway before; until these refunds are assigned to lines,"
        f" a person decides what is asked for them (the first is order {refund.payment.purchase.number})",
        store_id=refund.store_id,
        now=now,
    )


def _alert_foreign_currency(payment: Payment, answer: GatewayAnswer, now: datetime) -> None:
    raise_alert(
        kind="external_refund",
        key=f"external:{payment.account_id}:{answer.gateway_refund_id}"[:120],
        why=f"the gateway refunded {answer.amount} ({answer.gateway_refund_id}) of a payment in {payment.currency}",
        store_id=payment.purchase.store_id,
        payment=payment,
        now=now,
    )


def _known_payments(account: GatewayAccount, seen: Sequence[Seen]) -> dict[str, int]:
    """Return the ids of our payments by the gateway's."""
    names = {name for item in seen for name in (item.gateway_payment_id, item.charge_id) if name}
    found = Payment.objects.filter(account=account, livemode=account.livemode, gateway_payment_id__in=names)
    return dict(found.values_list("gateway_payment_id", "pk"))


def _one_by_one(seen: Iterable[Seen]) -> Iterator[list[Seen]]:
    """Split into batches in which no refund comes twice, oldest word first."""
    batch: list[Seen] = []
    names: set[object] = set()
    for item in sorted(seen, key=lambda item: item.told_at):
        its = {item.answer.gateway_refund_id, item.refund_id} - {None, ""}
        if names & its:
            yield batch
            batch, names = [], set()
        batch.append(item)
        names |= its
    if batch:
        yield batch


def _record_batch(account: GatewayAccount, seen: Sequence[Seen], known: dict[str, int], *, now: datetime) -> None:
    rows = _rows(account, seen)
    ours: list[tuple[Seen, UUID]] = []
    others: list[Seen] = []
    for item in seen:
        row = _row_of(item, rows)
        if row is None:
            others.append(item)
        elif _is_news(row, item.answer):
            ours.append((item, row.pk))
    told = [Told(refund_id, item.answer, told_at=item.told_at) for item, refund_id in ours]
    recorded = {refund.pk: refund for refund in record_answers(told, now=now)} if told else {}
    for item, refund_id in ours:
        # one that a person had paid, or that has another object already: then this object is money of its own
        if recorded[refund_id].gateway_refund_id != item.answer.gateway_refund_id:
            others.append(item)
    for item in others:
        payment_id = known[item.gateway_payment_id]
        record_external(payment_id=payment_id, answer=item.answer, told_at=item.told_at, is_history=item.is_history, now=now)


def _rows(account: GatewayAccount, seen: Sequence[Seen]) -> list[Refund]:
    names = [item.answer.gateway_refund_id for item in seen if item.answer.gateway_refund_id]
    ids = [item.refund_id for item in seen if item.refund_id]
    found = Refund.objects.filter(account=account, livemode=account.livemode).filter(Q(gateway_refund_id__in=names) | Q(pk__in=ids))
    return list(found.select_related("payment"))


def _row_of(item: Seen, rows: Sequence[Refund]) -> Refund | None:
    """Return the refund that is meant. Metadata is the gateway's to fill: believed only for this payment and installation."""
    of_payment = [row for row in rows if row.payment.gateway_payment_id == item.gateway_payment_id]
    for row in of_payment:
        if item.answer.gateway_refund_id and row.gateway_refund_id == item.answer.gateway_refund_id:
            return row
    for row in of_payment:
        if row.pk == item.refund_id and item.installation in ("", _installation_of(row)):
            return row
    return None


def _installation_of(refund: Refund) -> str:
    """Return the installation that was sent with a refund; today's for one that was not sent yet."""
    frozen = (refund.command or {}).get("metadata", {})
    return str(frozen.get("installation", settings().installation))


def _is_news(refund: Refund, answer: GatewayAnswer) -> bool:
    """Tell whether an answer may change anything. Most webhooks tell what the gateway's answer told before, and lock nothing."""
    return not (
        refund.state == _STATE_OF.get(answer.kind)
        and refund.gateway_refund_id == answer.gateway_refund_id
        and refund.trace_reference == (answer.trace_reference or refund.trace_reference)
    )
