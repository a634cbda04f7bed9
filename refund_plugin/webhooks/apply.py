"""Apply the events that wait, oldest first. Rows are the queue: claims are leases, failures are tried again with growing pauses.

An event that is applied twice, because a worker lost its lease, changes nothing the second time; so claims need no fence.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import Exists, OuterRef, Q

from refund_plugin import clock
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.events import doorbell
from refund_plugin.gateways.base import WebhookFact, WebhookRefund
from refund_plugin.gateways.services import gateway_for
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.externals import record_seen
from refund_plugin.webhooks.facts import seen_of
from refund_plugin.webhooks.handlers import Handled, handler_of
from refund_plugin.webhooks.models import InboxState, WebhookEvent
from refund_plugin.webhooks.services import APPLY

logger = logging.getLogger(__name__)

BATCH = 50
AT_ONCE = 500
LEASE_SECONDS = 120
MAX_FAILURES = 10
RETRY_SECONDS = (1, 5, 30, 120, 600)
FOREIGN_DAYS = 30  # how long an event waits for its payment to become known
FOUND_SECONDS = 60


def apply_waiting(now: datetime | None = None, *, limit: int = AT_ONCE) -> int:
    """Apply up to about `limit` events that are due; return how many were handled. No transaction may be open.

    Args:
        now: UTC; the present time when omitted.
    """
    handled = 0
    while handled < limit:
        claimed = _claim()
        if not claimed:
            break
        _apply(claimed, now or clock.now())
        handled += len(claimed)
    return handled


def apply_found(now: datetime) -> int:
    """Let events wait again whose payment was unknown when they came and is known now; return how many."""
    payment = Payment.objects.filter(
        account=OuterRef("account"), livemode=OuterRef("livemode"), gateway_payment_id=OuterRef("gateway_payment_id")
    )
    foreign = WebhookEvent.objects.filter(state=InboxState.FOREIGN, received_at__gte=now - timedelta(days=FOREIGN_DAYS))
    found = foreign.filter(Exists(payment)).update(state=InboxState.WAITING, due_at=clock.database_now())
    if found:
        doorbell.ring(APPLY)
    return found


def _claim() -> list[WebhookEvent]:
    """Lease the oldest events that are due."""
    with transaction.atomic(durable=True):
        now = clock.database_now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        rows = WebhookEvent.objects.filter(free, state=InboxState.WAITING, due_at__lte=now).order_by("told_at", "id")
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(of=("self",), skip_locked=True)
        claimed = list(rows.select_related("account")[:BATCH])
        until = now + timedelta(seconds=LEASE_SECONDS)
        WebhookEvent.objects.filter(pk__in=[event.pk for event in claimed]).update(lease_until=until)
    return claimed


def _apply(claimed: Sequence[WebhookEvent], now: datetime) -> None:
    """Apply each event; those about refunds together, because they are many, and one by one where that fails."""
    facts = {event.pk: fact for event in claimed if (fact := _read(event)) is not None}
    refunds: dict[int, list[WebhookEvent]] = {}
    for event in claimed:
        if isinstance(facts.get(event.pk), WebhookRefund):
            refunds.setdefault(event.account_id, []).append(event)
    done = {pk for group in refunds.values() for pk in _apply_refunds(group, facts, now)}
    for event in claimed:
        if event.pk not in done:
            _apply_one(event, facts.get(event.pk), now)


def _read(event: WebhookEvent) -> WebhookFact | None:
    try:
        return gateway_for(event.account).read_event(event.body)
    except Exception:  # the account is misconfigured, or the adapter has a defect: `_apply_one` meets it again and counts it
        logger.exception("webhook %s cannot be read", event.event_id)
        return None


def _apply_refunds(group: Sequence[WebhookEvent], facts: dict[int, WebhookFact], now: datetime) -> set[int]:
    """Record what several events tell of refunds; return the events that are dealt with: all, or none where one of them fails."""
    seen = [seen_of(fact) for event in group if isinstance(fact := facts[event.pk], WebhookRefund)]
    try:
        known = record_seen(account=group[0].account, seen=seen, now=now)
    except Exception:
        logger.warning("%d webhooks could not be applied together; they are applied one by one", len(group), exc_info=True)
        return set()
    for event, is_known in zip(group, known, strict=True):
        _settle(event, Handled.DONE if is_known else Handled.FOREIGN, now)
    WebhookEvent.objects.bulk_update(group, ["state", "body", "applied_at", "lease_until", "last_error"])
    return {event.pk for event in group}


def _apply_one(event: WebhookEvent, fact: WebhookFact | None, now: datetime) -> None:
    try:
        fact = fact or gateway_for(event.account).read_event(event.body)
        handler = handler_of(type(fact))
        handled = handler(event.account, fact, now) if handler else Handled.DONE
        _settle(event, handled, now)
    except Exception as error:  # one event that fails must not stop the others
        logger.exception("webhook %s (%s) could not be applied", event.event_id, event.event_type)
        _note_failure(event, error, now)
        return
    event.save(update_fields=["state", "body", "applied_at", "lease_until", "last_error"])


def _settle(event: WebhookEvent, handled: Handled, now: datetime) -> None:
    event.state = InboxState(handled.value)
    event.applied_at = now
    event.body = gateway_for(event.account).kept_of(event.body)
    event.lease_until, event.last_error = None, ""


def _note_failure(event: WebhookEvent, error: Exception, now: datetime) -> None:
    """Try again later; after too many failures park the event and tell staff."""
    event.failures += 1
    wait = RETRY_SECONDS[min(event.failures, len(RETRY_SECONDS)) - 1]
    event.due_at = clock.database_now() + timedelta(seconds=wait)
    event.lease_until = None
    # what a database says names the row's values
    event.last_error = type(error).__name__ if isinstance(error, DatabaseError) else f"{type(error).__name__}: {error}"[:500]
    if event.failures >= MAX_FAILURES:
        event.state = InboxState.PARKED
        try:
            event.body = gateway_for(event.account).kept_of(event.body)
        except GatewayMisconfigured:  # there is no adapter that knows what may be kept, so only the head is
            event.body = {name: event.body[name] for name in ("id", "type", "created", "livemode") if name in event.body}
        raise_alert(
            kind="webhook_parked",
            key=f"webhook:{event.pk}",
            why=f"the event {event.event_id} ({event.event_type}) could not be applied: {event.last_error}",
            account=event.account,
            now=now,
        )
    event.save(update_fields=["state", "body", "failures", "due_at", "lease_until", "last_error"])
