"""Saleor's rules of money: what a transaction's events add up to, and what a granted refund's status says."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.saleor.standin.world import ZERO, App, Money, Order, OrderGrantedRefund, TransactionEvent, TransactionItem, Webhook, World

REFUND_TYPES = ("REFUND_REQUEST", "REFUND_SUCCESS", "REFUND_REVERSE", "REFUND_FAILURE")
SAME_REFERENCE_OTHER_AMOUNT = "The transaction with provided `pspReference` and `type` already exists with different amount."

# An event without an amount takes it from the newest of these with the same reference.
AMOUNT_FROM = {
    "CHARGE_FAILURE": ("CHARGE_SUCCESS", "CHARGE_REQUEST"),
    "REFUND_FAILURE": ("REFUND_SUCCESS", "REFUND_REQUEST", "CHARGE_SUCCESS", "CHARGE_REQUEST", "CHARGE_FAILURE"),
    "CANCEL_FAILURE": ("CANCEL_SUCCESS", "CANCEL_REQUEST"),
    "AUTHORIZATION_FAILURE": ("AUTHORIZATION_SUCCESS", "AUTHORIZATION_REQUEST"),
    "REFUND_REVERSE": ("REFUND_SUCCESS",),
    "CHARGE_BACK": ("CHARGE_SUCCESS",),
}
# (events, amount, pending amount, what the amount is taken from)
KINDS = (
    ("AUTHORIZATION", "authorized", "authorize_pending", ""),
    ("CHARGE", "charged", "charge_pending", "authorized"),
    ("REFUND", "refunded", "refund_pending", "charged"),
    ("CANCEL", "canceled", "cancel_pending", "authorized"),
)


def quantized(amount: Decimal, currency: str) -> Decimal:
    """Round to the currency's smallest unit."""
    return amount.quantize(Decimal(1).scaleb(-Money(amount=ZERO, currency=currency).fraction_digits))


def owner_of(world: World, transaction: TransactionItem) -> App | None:
    """Find the app that answers for a transaction; after an app was installed anew, the one with the same identifier."""
    owner = transaction.app
    if owner is not None and world.apps.get(owner.id) is owner and owner.is_active:
        return owner
    apps = (app for app in world.apps.values() if app.is_active and app.identifier == transaction.app_identifier)
    return next(apps, None)


def webhook_for(app: App, event: str) -> Webhook | None:
    """Find the app's webhook for an event."""
    return next((hook for hook in app.webhooks if event in hook.events and hook.is_active), None)


def add_event(world: World, transaction: TransactionItem, type_name: str, amount: Decimal, **values: Any) -> TransactionEvent:
    """Write an event down. Nothing is added up yet."""
    created_at: datetime | None = values.pop("created_at", None)
    event = TransactionEvent(
        id=world.next_id("TransactionEvent"),
        transaction=transaction,
        type=type_name,
        amount_value=amount,
        created_at=created_at or world.clock.now(),
        **values,
    )
    transaction.events.append(event)
    return event


def request_event(
    world: World, transaction: TransactionItem, action: str, amount: Decimal, *, grant: OrderGrantedRefund | None = None, **values: Any
) -> TransactionEvent:
    """Write down that an action was asked for. It does not count before the app has named a reference for it."""
    key = str(uuid.uuid4())
    return add_event(world, transaction, f"{action}_REQUEST", amount, idempotency_key=key, granted_refund=grant, **values)


def failure_event(world: World, event: TransactionEvent, cause: str) -> TransactionEvent:
    """Write down that something went wrong. It counts in no sum, but it is the newest event, so a granted refund follows it."""
    kind = event.type.rpartition("_")[0]
    failed = {"AUTHORIZATION": "AUTHORIZATION_FAILURE", "CHARGE": "CHARGE_FAILURE", "REFUND": "REFUND_FAILURE", "CANCEL": "CANCEL_FAILURE"}
    return add_event(
        world,
        event.transaction,
        failed.get(kind, event.type),
        event.amount_value,
        message=cause[:512],
        psp_reference=event.psp_reference,
        granted_refund=event.granted_refund,
    )


def existing_event(transaction: TransactionItem, psp_reference: str, type_name: str) -> TransactionEvent | None:
    """Find the event that a report repeats: same reference, same type. The amount is not looked at."""
    if type_name in ("INFO", "CHARGE_ACTION_REQUIRED", "AUTHORIZATION_ACTION_REQUIRED"):
        return None
    return next((event for event in transaction.events if (event.psp_reference, event.type) == (psp_reference, type_name)), None)


def amount_from_history(world: World, type_name: str, psp_reference: str) -> Decimal | None:
    """Deduce the amount of an event that was reported without one; none when it cannot be known."""
    if type_name == "INFO":
        return ZERO
    found = [
        event
        for transaction in world.transactions.values()
        for event in transaction.events
        if event.psp_reference == psp_reference and event.type in AMOUNT_FROM.get(type_name, ())
    ]
    return max(found, key=lambda event: event.created_at).amount_value if found else None


def recalculate(transaction: TransactionItem) -> None:
    """Add the transaction's events up, by reference, in the order of their times."""
    for _, amount, pending, _ in KINDS:
        setattr(transaction, amount, ZERO)
        setattr(transaction, pending, ZERO)
    by_reference: dict[tuple[str, str], dict[str, TransactionEvent]] = defaultdict(dict)
    for event in sorted((event for event in transaction.events if event.include_in_calculations), key=lambda event: event.created_at):
        kind, _, outcome = event.type.rpartition("_")
        if not event.psp_reference:
            _add_without_reference(transaction, event)
        else:
            by_reference[kind, event.psp_reference][outcome] = event
    for kind, amount, pending, taken_from in KINDS:
        for (event_kind, _), events in by_reference.items():
            if event_kind == kind:
                _add_up(transaction, events, amount, pending, taken_from)
    transaction.authorized = max(transaction.authorized, ZERO)
    transaction.authorize_pending = max(transaction.authorize_pending, ZERO)


def _add_without_reference(transaction: TransactionItem, event: TransactionEvent) -> None:
    targets = {
        "AUTHORIZATION_SUCCESS": "authorized",
        "CHARGE_SUCCESS": "charged",
        "REFUND_SUCCESS": "refunded",
        "CANCEL_SUCCESS": "canceled",
    }
    if event.type in targets:
        _add(transaction, targets[event.type], event.amount_value)
    elif event.type == "REFUND_REVERSE":
        _add(transaction, "charged", event.amount_value)
    elif event.type == "CHARGE_BACK":
        _add(transaction, "charged", -event.amount_value)


def _add_up(transaction: TransactionItem, events: dict[str, TransactionEvent], amount: str, pending: str, taken_from: str) -> None:
    request, success, failure = events.get("REQUEST"), events.get("SUCCESS"), events.get("FAILURE")
    if adjustment := events.get("ADJUSTMENT"):
        transaction.authorized = adjustment.amount_value
    if back := events.get("BACK"):
        _add(transaction, "charged", -back.amount_value)
    if reverse := events.get("REVERSE"):
        _add(transaction, "charged", reverse.amount_value)
        _add(transaction, "refunded", -reverse.amount_value)
    counted = None
    if request and not success and not failure:
        counted = request
        _add(transaction, pending, request.amount_value)
    elif success and (not failure or success.created_at > failure.created_at):
        counted = success
        _add(transaction, amount, success.amount_value)
    if counted is not None and taken_from:
        _add(transaction, taken_from, -counted.amount_value)


def _add(transaction: TransactionItem, name: str, amount: Decimal) -> None:
    setattr(transaction, name, getattr(transaction, name) + amount)


def update_grant_status(grant: OrderGrantedRefund | None) -> None:
    """Let a granted refund follow the newest event of its refund, by the events' own times (so a time in the past is not newest)."""
    if grant is None:
        return
    events = [
        event for item in grant.order.transactions for event in item.events if event.granted_refund is grant and event.type in REFUND_TYPES
    ]
    events = [event for event in events if event.transaction is grant.transaction]
    if not events:
        return
    last = max(events, key=lambda event: event.created_at)
    statuses = {"REFUND_SUCCESS": "SUCCESS", "REFUND_REQUEST": "PENDING", "REFUND_FAILURE": "FAILURE"}
    grant.status = statuses.get(last.type, "NONE")


def update_order_totals(world: World, order: Order) -> None:
    """Add up what the order's transactions charged, and say whether that is enough, less what was granted back."""
    order.total_charged_value = sum((item.charged for item in order.transactions), ZERO)
    order.total_authorized_value = sum((item.authorized for item in order.transactions), ZERO)
    granted = sum((grant.amount_value for grant in order.granted_refunds), ZERO)
    due = max(order.total_gross - granted, ZERO)
    charged, covered = order.total_charged_value, order.total_charged_value + order.total_authorized_value
    if charged == due:
        order.charge_status = "FULL"
    elif charged <= 0:
        order.charge_status = "NONE"
    else:
        order.charge_status = "PARTIAL" if charged < due else "OVERCHARGED"
    if covered == 0:
        order.authorize_status = "FULL" if order.total_gross == 0 else "NONE"
    else:
        order.authorize_status = "FULL" if covered >= due else "PARTIAL"
    order.updated_at = world.clock.now()


def settle(world: World, transaction: TransactionItem) -> list[str]:
    """Recalculate the transaction and its order.

    Returns:
        The names of the webhooks that Saleor sends for the change.
    """
    before = (transaction.authorized, transaction.charged, transaction.refunded)
    recalculate(transaction)
    transaction.modified_at = world.clock.now()
    order = transaction.order
    update_order_totals(world, order)
    authorized, charged, refunded = before
    events: list[str] = []
    if transaction.charged > charged:
        events += ["ORDER_PAID", *(["ORDER_FULLY_PAID"] if order.charge_status in ("FULL", "OVERCHARGED") else []), "ORDER_UPDATED"]
    if transaction.refunded > refunded:
        total_refunded = sum((item.refunded for item in order.transactions), ZERO)
        events += ["ORDER_REFUNDED", "ORDER_UPDATED", *(["ORDER_FULLY_REFUNDED"] if total_refunded >= order.total_gross else [])]
    if not events and (transaction.authorized != authorized or transaction.charged != charged):
        events.append("ORDER_UPDATED")
    return events
