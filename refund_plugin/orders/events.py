"""Events of the orders room: ids and values, never personal data."""

from __future__ import annotations

from refund_plugin.actor import Actor, ActorKind
from refund_plugin.events.services import DomainEvent

PURCHASE_LIST_ASKED = "purchase_list_asked"
ACCESS_CORRECTED = "access_corrected"


def purchase_list_asked(*, store_id: int, customer_id: int | None) -> DomainEvent:
    """Somebody asked for the purchases of an e-mail address; `customer_id` is None when the store does not know it."""
    return DomainEvent(
        kind=PURCHASE_LIST_ASKED,
        store_id=store_id,
        case=None,
        actor=Actor(kind=ActorKind.CUSTOMER, store_id=store_id),
        payload={"customer_id": customer_id},
    )


def access_corrected(*, store_id: int, line_id: int, fact_id: int, reason: str, by: Actor) -> DomainEvent:
    """A recorded use of a line does not count any more."""
    return DomainEvent(
        kind=ACCESS_CORRECTED, store_id=store_id, case=None, actor=by, payload={"line": line_id, "fact": fact_id, "reason": reason}
    )
