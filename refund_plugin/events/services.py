"""Record an event with one delivery row per subscriber, and deliver what is due.

The rows are the queue; the broker is only a doorbell (`events/doorbell.py`). Deliveries of one case to one subscriber keep
their order; a subscriber that fails delays only itself, and after too many failures the delivery is parked.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from time import monotonic
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from refund_plugin import clock
from refund_plugin.actor import Actor
from refund_plugin.events import doorbell
from refund_plugin.events.models import Delivery, DeliveryState, Event
from refund_plugin.signals import event_recorded

logger = logging.getLogger(__name__)

DELIVER = "refund_plugin.deliver_events"
MAX_FAILURES = 10
LEASE_SECONDS = 60
BATCH = 20  # finding the next one costs as much as finding the next twenty
PATIENCE_SECONDS = 2.0  # how long a worker delivers before it looks at the money again
RETRY_SECONDS = (1, 5, 30, 120, 600)


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """Plain data about something that happened; rooms define the kinds in their `events.py`.

    Attributes:
        case: id of the refund request it belongs to, or None.
        payload: JSON-able ids and values, never personal data.
    """

    kind: str
    store_id: int
    case: UUID | None
    actor: Actor
    payload: Mapping[str, object] = field(default_factory=dict)


Handler = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A named follower of some kinds of events; its handler may be called more than once for one event."""

    name: str
    kinds: frozenset[str]
    handler: Handler


_subscribers: dict[str, Subscriber] = {}


def subscribe(name: str, kinds: Sequence[str], handler: Handler) -> None:
    """Register a subscriber; called from `AppConfig.ready()`. Registering a name again replaces it."""
    _subscribers[name] = Subscriber(name, frozenset(kinds), handler)


def record(*events: DomainEvent, now: datetime) -> list[Event]:
    """Append events and their deliveries in the caller's transaction, and ring the doorbell when it commits."""
    rows = Event.objects.bulk_create(
        Event(
            store_id=event.store_id,
            kind=event.kind,
            case=event.case,
            payload=dict(event.payload),
            actor_kind=event.actor.kind,
            actor_id=event.actor.id,
            occurred_at=now,
        )
        for event in events
    )
    deliveries = [
        Delivery(event=row, subscriber=subscriber.name, case=row.case, due_at=Now())
        for row in rows
        for subscriber in _subscribers.values()
        if row.kind in subscriber.kinds
    ]
    if deliveries:
        Delivery.objects.bulk_create(deliveries)
        doorbell.ring(DELIVER)
    transaction.on_commit(lambda: _tell_hosts(rows), robust=True)
    return rows


def _tell_hosts(rows: Sequence[Event]) -> None:
    for row in rows:
        event_recorded.send_robust(sender=Event, event=row)


def deliver_due(*, limit: int = 100, seconds: float | None = None) -> int:
    """Deliver up to `limit` waiting deliveries, oldest first; return how many were handled.

    Args:
        seconds: begin none after so long, so that a slow mail server does not keep other work waiting; None means any time.
    """
    handled, deadline = 0, inf if seconds is None else monotonic() + seconds
    while handled < limit and monotonic() < deadline:
        claimed = _claim(batch=min(BATCH, limit - handled))
        if not claimed:
            break
        for place, delivery in enumerate(claimed):
            if monotonic() >= deadline:
                _give_back(claimed[place:])
                break
            _deliver(delivery)
            handled += 1
    return handled


def _due(now: datetime) -> Q:
    return Q(state=DeliveryState.WAITING, due_at__lte=now) & (Q(lease_until__isnull=True) | Q(lease_until__lt=now))


def _claim(*, batch: int) -> list[Delivery]:
    """Lease the oldest deliveries that are due and have no older waiting one of their case before them."""
    now = clock.database_now()
    older = Delivery.objects.filter(
        subscriber=OuterRef("subscriber"), case=OuterRef("case"), state=DeliveryState.WAITING, event_id__lt=OuterRef("event_id")
    )
    lease = {"lease_until": now + timedelta(seconds=LEASE_SECONDS), "fence": F("fence") + 1}
    with transaction.atomic(durable=True):
        rows = Delivery.objects.filter(_due(now)).filter(~Exists(older)).select_related("event").order_by("event_id", "id")
        if connection.features.has_select_for_update_skip_locked:
            claimed = list(rows.select_for_update(skip_locked=True, of=("self",))[:batch])
            Delivery.objects.filter(pk__in=[row.pk for row in claimed]).update(**lease)
        else:  # somebody may have been faster on any of them
            claimed = [row for row in rows[:batch] if Delivery.objects.filter(_due(now), pk=row.pk, fence=row.fence).update(**lease)]
    for row in claimed:
        row.fence += 1
    return claimed


def _give_back(deliveries: Sequence[Delivery]) -> None:
    for delivery in deliveries:
        Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence).update(lease_until=None)


def _deliver(delivery: Delivery) -> None:
    subscriber = _subscribers.get(delivery.subscriber)
    mine = Delivery.objects.filter(pk=delivery.pk, fence=delivery.fence, state=DeliveryState.WAITING)
    if subscriber is None:
        mine.update(state=DeliveryState.PARKED, last_error="no such subscriber is registered", lease_until=None)
        return
    try:
        subscriber.handler(delivery.event)
    except Exception as error:  # a follower's failure is recorded and retried; it never reaches the money
        failures = delivery.failures + 1
        logger.exception("subscriber %s failed on event %s (%s)", delivery.subscriber, delivery.event_id, delivery.event.kind)
        wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1]
        mine.update(
            failures=failures,
            state=DeliveryState.PARKED if failures >= MAX_FAILURES else DeliveryState.WAITING,
            due_at=clock.database_now() + timedelta(seconds=wait),
            lease_until=None,
            last_error=f"{type(error).__name__}: {error}"[:500],
        )
    else:
        mine.update(state=DeliveryState.DONE, lease_until=None)
