"""Disputes, inquiries and fraud warnings: what the customer's bank does to a payment, and what follows for its refunds.

A formal dispute takes the money from the merchant at once, so it counts as `disputed` until it is won, and stops what was not
sent yet: the customer must not be paid twice. An inquiry or an early fraud warning takes nothing yet; a full refund settles it
before it becomes a dispute, so one is proposed to staff. Source: Stripe, "How disputes work" and "Early fraud warnings".
"""

from __future__ import annotations

from copy import copy
from datetime import datetime

from django.db import transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from refund_plugin.actor import Actor
from refund_plugin.errors import NotFound, WrongState
from refund_plugin.events.services import DomainEvent, record
from refund_plugin.gateways.facts import WebhookDispute, WebhookWarning
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.orders.queries import find_payment
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.balances import Balances, over_of
from refund_plugin.refunds.checks import check_reason
from refund_plugin.refunds.ledger.models import Account, LedgerEvent
from refund_plugin.refunds.ledger.services import Movement, Posting, post
from refund_plugin.refunds.locks import lock_payment
from refund_plugin.refunds.models import Dispute, DisputeKind, DisputeOutcome, Refund, RefundRequest, RequestReason
from refund_plugin.refunds.outcomes import GATEWAY, OVER_PAID, do_apply, stop_unsent
from refund_plugin.refunds.quote import sendable_payments
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.states import OPEN_FOR_STAFF, RefundEvent, RefundState, RequestState
from refund_plugin.refunds.timeline import STOPPED_BY_DISPUTE

_EVENT = {
    DisputeOutcome.OPEN: events.DISPUTE_OPENED,
    DisputeOutcome.WON: events.DISPUTE_WON,
    DisputeOutcome.LOST: events.DISPUTE_LOST,
}


def record_dispute(*, account: GatewayAccount, told: WebhookDispute, now: datetime) -> Dispute | None:
    """Record what the gateway says about a dispute: the newest word stands, in whatever order words come.

    Args:
        now: UTC.
    Returns:
        The dispute; None when it is about a payment we do not know.
    Raises:
        ValueError: it is in another currency than the payment.
    """
    with transaction.atomic(durable=True):
        payment = _lock(account, told)
        if payment is None:
            return None
        if told.amount.currency != payment.currency:
            raise ValueError(f"a dispute in {told.amount.currency} of a payment in {payment.currency}")
        said = Dispute(
            kind=DisputeKind.INQUIRY if told.is_inquiry else DisputeKind.FORMAL,
            status=told.status[:40],
            outcome=_outcome(told),
            reason=told.reason[:60],
            amount_minor=told.amount.minor,
            evidence_due=told.evidence_due,
            opened_at=told.opened_at or told.created,
            told_at=told.created,
        )
        if told.fee is not None:
            said.fee_minor, said.settlement_currency = told.fee.minor, told.fee.currency
        if told.moved is not None and told.is_won and told.came_back and told.moved.currency != payment.currency:
            said.exchange_minor = -told.moved.minor  # all came back, and what is missing was lost between two rates
        return _do_record(payment, account, told.dispute_id, said, costs_complete=told.came_back, now=now)


def record_warning(*, account: GatewayAccount, told: WebhookWarning, now: datetime) -> Dispute | None:
    """Record an early fraud warning; while it is actionable, a full refund may still avoid the dispute.

    Returns:
        The warning; None when it is about a payment we do not know.
    """
    with transaction.atomic(durable=True):
        payment = _lock(account, told)
        if payment is None:
            return None
        said = Dispute(
            kind=DisputeKind.WARNING,
            status="actionable" if told.actionable else "not_actionable",
            outcome=DisputeOutcome.OPEN if told.actionable else DisputeOutcome.CLOSED,
            reason=told.fraud_type[:60],
            amount_minor=payment.captured_minor,
            opened_at=told.created,
            told_at=told.created,
        )
        return _do_record(payment, account, told.warning_id, said, now=now)


def refund_in_full(*, dispute_id: int, by: Actor, reason: str, now: datetime) -> RefundRequest:
    """Give back all that is left of the purchase, before the bank takes it: a request and its approval, by a person.

    The gateway is never told that it was fraud, because that puts the customer's card and address on block lists.

    Args:
        reason: recorded with the decision; required.
        now: UTC.
    Returns:
        The request; it waits in the queue when the amount is above the actor's limit.
    Raises:
        NotFound: no such dispute in the actor's store.
        WrongState: it is closed, or a formal dispute, in which the money has gone already.
        NotAllowed, AlreadyRefunded, ExceedsBalance: see `request_refund` and `approve_request`.
    """
    check_reason(reason)
    dispute = Dispute.objects.select_related("payment__purchase").filter(pk=dispute_id).first()
    if dispute is None or (by.store_id is not None and by.store_id != dispute.store_id):
        raise NotFound
    if not may_refund_in_full(dispute):
        raise WrongState(_("This is closed, or has become a dispute: a refund would pay the customer twice."))
    purchase = dispute.payment.purchase
    request = request_refund(
        purchase_id=purchase.pk,
        lines={line.pk: line.quantity_left for line in purchase.lines.all() if line.quantity_left > 0 and line.left_minor > 0},
        reason=RequestReason.NOT_RECOGNISED,
        message="",
        by=by,
        submission_key=_submission_key(dispute),
        channel="staff",
        to_review=True,
        now=now,
    )
    if request.state not in OPEN_FOR_STAFF:
        raise WrongState
    return approve_request(request_id=request.pk, by=by, reason=reason, amounts=_amounts_in_full(request), now=now)


def _submission_key(dispute: Dispute) -> str:
    """Return a key that nobody else can choose, the same until the request of that key is over."""
    over = (RequestState.DECLINED, RequestState.CANCELED)
    number = dispute.payment.purchase.refund_requests.filter(channel="staff", state__in=over).count()
    return salted_hmac("refund_plugin.dispute", f"{dispute.pk}:{number}", algorithm="sha256").hexdigest()


def _amounts_in_full(request: RefundRequest) -> dict[int, int]:
    """Return what is left, by line: no more than the payments still have, of which a part may have been refunded elsewhere."""
    open_minor = sum(payment.left.minor for payment in sendable_payments(request.purchase))
    amounts: dict[int, int] = {}
    for item in request.lines.select_related("line").order_by("line__position"):
        amounts[item.line_id] = min(item.line.left_minor, open_minor)
        open_minor -= amounts[item.line_id]
    return amounts


def may_refund_in_full(dispute: Dispute) -> bool:
    """Tell whether a refund would settle it."""
    return dispute.kind != DisputeKind.FORMAL and dispute.outcome == DisputeOutcome.OPEN


def _lock(account: GatewayAccount, told: WebhookDispute | WebhookWarning) -> Payment | None:
    payment = find_payment(account=account, gateway_payment_id=told.gateway_payment_id, charge_id=told.charge_id)
    return lock_payment(payment.pk) if payment is not None else None


def _outcome(told: WebhookDispute) -> DisputeOutcome:
    if told.is_open:
        return DisputeOutcome.OPEN
    if told.is_won:
        return DisputeOutcome.WON
    return DisputeOutcome.CLOSED if told.is_inquiry else DisputeOutcome.LOST


def _rank(dispute: Dispute) -> tuple[bool, bool]:
    """Order what was said within one second, which is as fine as gateways tell the time."""
    return dispute.kind == DisputeKind.FORMAL, dispute.outcome != DisputeOutcome.OPEN


def _do_record(
    payment: Payment, account: GatewayAccount, gateway_id: str, said: Dispute, *, costs_complete: bool = False, now: datetime
) -> Dispute:
    """Let what was said stand, if it is newer than what stands, on a locked payment.

    Args:
        costs_complete: the money is back, so what it cost is known in whole.
    """
    held = Dispute.objects.filter(account=account, livemode=payment.livemode, gateway_dispute_id=gateway_id).first()
    if held is not None and (held.told_at, *_rank(held)) >= (said.told_at, *_rank(said)):
        if costs_complete and (held.told_at, held.kind, held.outcome) == (said.told_at, said.kind, said.outcome):
            _take_costs(payment, held, said, now=now)
        if said.opened_at < held.opened_at:
            held.opened_at = said.opened_at
            held.save(update_fields=["opened_at"])
        return held
    said.pk = held.pk if held else None
    said.store_id, said.payment, said.account, said.livemode = payment.purchase.store_id, payment, account, payment.livemode
    said.gateway_dispute_id, said.currency = gateway_id, payment.currency
    said.opened_at = min(held.opened_at, said.opened_at) if held else said.opened_at
    said.closed_at = None if said.outcome == DisputeOutcome.OPEN else said.told_at
    counts = said.kind == DisputeKind.FORMAL and said.outcome in (DisputeOutcome.OPEN, DisputeOutcome.LOST)
    said.counted_minor = said.amount_minor if counts else 0
    if held is not None and not said.settlement_currency:  # this word tells of no costs
        said.fee_minor, said.exchange_minor, said.settlement_currency = held.fee_minor, held.exchange_minor, held.settlement_currency
    said.save(force_insert=held is None, force_update=held is not None)
    stopped = _do_count(payment, held, said, now=now)
    post(*_costs(payment, held, said), now=now)
    _tell(held, said, stopped, now=now)
    return said


def _do_count(payment: Payment, before: Dispute | None, after: Dispute, *, now: datetime) -> int:
    """Count the dispute on its payment and in the ledger, and stop what was not sent; return how many refunds it stopped."""
    counted = before.counted_minor if before else 0
    if (counted, before.outcome if before else None) == (after.counted_minor, after.outcome):
        return 0
    opens = after.counted_minor > 0 and counted == 0
    balances = Balances.lock(payment.refunds.values_list("pk", flat=True)) if opens else Balances([])
    stopped = 0
    for refund in balances.refunds.values():
        payment = refund.payment  # the same row, and the object that the balances write
        became = do_apply(balances, refund, RefundEvent.CANCEL, actor=GATEWAY, now=now, code=STOPPED_BY_DISPUTE)
        stopped += became == RefundState.CANCELED
    over_before = payment.over_minor
    payment.disputed_minor += after.counted_minor - counted
    payment.over_minor = over_of(payment)
    balances.touch(payment)
    if payment.over_minor > over_before:
        stop_unsent(balances, payment, why=OVER_PAID)
        _alert_over(payment, after, now)
    movement = _movement(payment, before, after)
    if movement is not None:
        balances.movements.append(movement)
    balances.write(now=now)
    return stopped


def _movement(payment: Payment, before: Dispute | None, after: Dispute) -> Movement | None:
    """Return what is booked: the amount goes from where it stood to where it stands, the rest through the gateway's account."""
    out, back = after.counted_minor, before.counted_minor if before else 0
    if not out and not back:
        return None
    postings = [
        Posting(_stands_in(after), debit=out),
        Posting(Account.GATEWAY_CLEARING, debit=max(0, back - out)),
        Posting(Account.GATEWAY_CLEARING, credit=max(0, out - back)),
    ]
    if before is not None:
        postings.append(Posting(_stands_in(before), credit=back))
    event = LedgerEvent.DISPUTE_OPENED if out >= back else LedgerEvent.DISPUTE_WON
    if after.outcome == DisputeOutcome.LOST:
        event = LedgerEvent.DISPUTE_LOST
    return Movement(event, after.store_id, after.currency, postings, payment=payment)


def _costs(payment: Payment, before: Dispute | None, after: Dispute) -> list[Movement]:
    """Return what the gateway charged for the dispute, and what the exchange cost, since the word before."""
    costs = (
        (LedgerEvent.FEE, Account.FEE, after.fee_minor - (before.fee_minor if before else 0)),
        (LedgerEvent.EXCHANGE, Account.EXCHANGE, after.exchange_minor - (before.exchange_minor if before else 0)),
    )
    return [
        Movement(
            event,
            after.store_id,
            after.settlement_currency,
            [
                Posting(account, debit=max(0, more), credit=max(0, -more)),
                Posting(Account.GATEWAY_CLEARING, debit=max(0, -more), credit=max(0, more)),
            ],
            payment=payment,
        )
        for event, account, more in costs
        if more
    ]


def _take_costs(payment: Payment, held: Dispute, said: Dispute, *, now: datetime) -> None:
    """Take over what a word of the same second tells of costs: "won" and "the money is back" come as two."""
    before = copy(held)
    held.fee_minor, held.exchange_minor, held.settlement_currency = said.fee_minor, said.exchange_minor, said.settlement_currency
    held.save(update_fields=["fee_minor", "exchange_minor", "settlement_currency"])
    post(*_costs(payment, before, held), now=now)


def _stands_in(dispute: Dispute) -> Account:
    return Account.LOSS if dispute.outcome == DisputeOutcome.LOST else Account.DISPUTE_RECEIVABLE


def _tell(before: Dispute | None, after: Dispute, stopped: int, *, now: datetime) -> None:
    """Record the event, and alert staff to what they can do something about."""
    if before is not None and (before.kind, before.outcome) == (after.kind, after.outcome):
        return
    purchase, outcome = after.payment.purchase, DisputeOutcome(after.outcome)
    if after.kind == DisputeKind.FORMAL:
        case = RefundRequest.objects.filter(purchase=purchase).order_by("-created_at").values_list("pk", flat=True).first()
        payload = {"dispute": after.pk, "payment": after.payment_id, "amount_minor": after.amount_minor, "currency": after.currency}
        told = DomainEvent(_EVENT[outcome], after.store_id, case, GATEWAY, {**payload, "reason": after.reason, "stopped": stopped})
        record(told, now=now)
    why = _why(after, purchase.number, stopped)
    if why:
        raise_alert(
            kind=_ALERT_KIND.get((DisputeKind(after.kind), outcome), "dispute"),
            key=f"dispute:{after.pk}:{after.kind}:{after.outcome}",
            why=why,
            store_id=after.store_id,
            payment=after.payment,
            details={"dispute": after.pk},
            now=now,
        )


_ALERT_KIND = {
    (DisputeKind.WARNING, DisputeOutcome.OPEN): "fraud_warning",
    (DisputeKind.INQUIRY, DisputeOutcome.OPEN): "dispute_inquiry",
    (DisputeKind.FORMAL, DisputeOutcome.OPEN): "dispute_opened",
    (DisputeKind.FORMAL, DisputeOutcome.WON): "dispute_won",
    (DisputeKind.FORMAL, DisputeOutcome.LOST): "dispute_lost",
}


def _why(dispute: Dispute, number: str, stopped: int) -> str:
    """Return what an alert says; "" when there is nothing to do."""
    if dispute.outcome == DisputeOutcome.OPEN:
        if dispute.kind == DisputeKind.WARNING:
            return f"the card's bank suspects fraud on order {number}: a full refund now may avoid a dispute"
        if dispute.kind == DisputeKind.INQUIRY:
            return f"the bank asks about order {number} ({dispute.reason}): a full refund now settles it"
        due = f", evidence is due by {dispute.evidence_due:%Y-%m-%d %H:%M} UTC" if dispute.evidence_due else ""
        kept = f"; refunds stopped: {stopped}" if stopped else ""
        return f"{dispute.amount} of order {number} is disputed ({dispute.reason}){due}{kept}"
    if dispute.outcome == DisputeOutcome.LOST:
        return f"the dispute about {dispute.amount} of order {number} is lost: the bank keeps the money"
    canceled = Refund.objects.filter(payment=dispute.payment_id, state=RefundState.CANCELED, failure_code=STOPPED_BY_DISPUTE).count()
    if dispute.outcome == DisputeOutcome.WON and canceled:
        return f"the dispute about order {number} is won; {canceled} refunds that it stopped may be asked for again"
    return ""


def _alert_over(payment: Payment, dispute: Dispute, now: datetime) -> None:
    over = Money(payment.over_minor, payment.currency)
    raise_alert(
        kind="money_over",
        key=f"money_over:dispute:{dispute.pk}",
        why=f"{over} more is gone, on its way or disputed than was paid for order {payment.purchase.number}",
        store_id=dispute.store_id,
        payment=payment,
        details={"dispute": dispute.pk},
        now=now,
    )
