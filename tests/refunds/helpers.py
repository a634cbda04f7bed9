"""Short words for what the tests of this room do again and again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from refund_plugin.actor import Action, Actor, ActorKind, customer_actor
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.services import request_refund
from tests.factories import NOW

CLERK = Actor(kind=ActorKind.STAFF, id="clerk", actions=frozenset(Action), label="Clara Clerk")
_keys = itertools.count()


def ask(purchase: Purchase, lines: Mapping[PurchaseLine | int, int] | None = None, **changes: object) -> RefundRequest:
    """Ask for a refund as the purchase's customer: all lines, all units, when none are named."""
    asked = lines if lines is not None else {line: line.quantity_left for line in purchase.lines.all()}
    arguments: dict = {
        "purchase_id": purchase.pk,
        "lines": {line if isinstance(line, int) else line.pk: quantity for line, quantity in asked.items()},
        "reason": "changed_mind",
        "by": customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id),
        "submission_key": f"key-{next(_keys)}",
        "now": NOW,
        **changes,
    }
    return request_refund(**arguments)


def balances(purchase: Purchase) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return (held, gone) of every payment and of every line."""
    return (
        list(Payment.objects.filter(purchase=purchase).order_by("pk").values_list("held_minor", "gone_minor")),
        list(PurchaseLine.objects.filter(purchase=purchase).order_by("pk").values_list("held_minor", "gone_minor")),
    )


def only_refund(request: RefundRequest) -> Refund:
    """Return the one refund of a request."""
    return Refund.objects.get(request=request)
