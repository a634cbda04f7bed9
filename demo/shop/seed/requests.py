"""Refund requests, so that staff find work and the customer finds a history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from refund_plugin.actor import customer_actor
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.services import request_refund


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for everything on one seeded order."""

    number: str
    reason: RequestReason
    message: str = ""
    wants_person: bool = False


ASKS = (
    Ask("1060", RequestReason.CHANGED_MIND),
    Ask("1061", RequestReason.OTHER, "We bought it for a class that was called off. Nobody has opened it."),
    Ask("1062", RequestReason.DEFECTIVE, "It closes my editor each time I choose a grain. I tried it on two machines.", wants_person=True),
)


def seed_requests(*, now: datetime) -> int:
    """Ask for what was not asked for yet and return how many requests that made."""
    made = 0
    for ask in ASKS:
        purchase = Purchase.objects.get(number=ask.number)
        if RefundRequest.objects.filter(purchase=purchase).exists():
            continue
        request_refund(
            purchase_id=purchase.pk,
            lines={line.pk: line.quantity for line in purchase.lines.all()},
            reason=ask.reason,
            by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id),
            submission_key=f"seed-{ask.number}",
            now=now,
            message=ask.message,
            wants_person=ask.wants_person,
        )
        made += 1
    return made
