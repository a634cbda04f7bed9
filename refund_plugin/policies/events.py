"""Events of the policies room: ids and values, never personal data."""

from __future__ import annotations

from refund_plugin.actor import SYSTEM
from refund_plugin.events.services import DomainEvent

CONSENT_GIVEN = "consent_given"


def consent_given(*, store_id: int, consent_id: int, customer_id: int) -> DomainEvent:
    """A customer agreed that what they bought begins at once, and is owed a durable confirmation of it."""
    payload = {"consent": consent_id, "customer_id": customer_id}
    return DomainEvent(kind=CONSENT_GIVEN, store_id=store_id, case=None, actor=SYSTEM, payload=payload)
