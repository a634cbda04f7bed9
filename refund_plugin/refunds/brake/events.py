"""The events of the brake; their payloads hold values, never personal data."""

from __future__ import annotations

from refund_plugin.actor import Actor
from refund_plugin.events.services import DomainEvent

AUTOMATIC_CHANGED = "automatic_changed"
AUTOMATIC_PAUSED = "automatic_paused"
AUTOMATIC_RESUMED = "automatic_resumed"
HISTORY = (AUTOMATIC_CHANGED, AUTOMATIC_PAUSED, AUTOMATIC_RESUMED)


def brake_event(kind: str, store_id: int, actor: Actor, **payload: object) -> DomainEvent:
    """Return an event about a store's automatic money."""
    return DomainEvent(kind=kind, store_id=store_id, case=None, actor=actor, payload=payload)
