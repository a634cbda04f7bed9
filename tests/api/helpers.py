"""Short words for what these tests do again and again."""

from __future__ import annotations

import itertools
from typing import Any

from refund_plugin.actor import customer_actor
from refund_plugin.api.types import global_id
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.services import request_refund
from tests.factories import NOW

_keys = itertools.count()


def line_id(line: PurchaseLine) -> str:
    """Return the opaque id of a line."""
    return global_id("PurchaseLine", line.pk)


def case_id(request: RefundRequest) -> str:
    """Return the opaque id of a request."""
    return global_id("RefundRequest", request.reference)


def question(purchase: Purchase, **changes: Any) -> dict[str, Any]:
    """Return the variables that ask for everything that is left of a purchase."""
    asked = {
        "orderNumber": purchase.number,
        "email": purchase.customer.email,
        "lines": [{"lineId": line_id(line), "quantity": line.quantity} for line in purchase.lines.all()],
        "reason": "CHANGED_MIND",
    }
    return {"input": {**asked, **changes}}


def asked_for(purchase: Purchase, **changes: Any) -> RefundRequest:
    """Ask for all of a purchase, as its customer."""
    arguments: dict[str, Any] = {
        "purchase_id": purchase.pk,
        "lines": {line.pk: line.quantity_left for line in purchase.lines.all()},
        "reason": "changed_mind",
        "by": customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id),
        "submission_key": f"a-key-of-its-own-{next(_keys)}",
        "now": NOW,
        **changes,
    }
    return request_refund(**arguments)


def everything() -> dict[str, list[tuple[Any, ...]]]:
    """Return what a denied call must leave as it was."""
    return {
        "requests": sorted(RefundRequest.objects.values_list("reference", "state", "message", "evidence_question")),
        "decisions": list(Decision.objects.order_by("pk").values_list("pk", "outcome", "amount_minor")),
        "refunds": sorted(Refund.objects.values_list("pk", "state", "amount_minor")),
        "payments": list(Payment.objects.order_by("pk").values_list("pk", "held_minor", "gone_minor")),
        "lines": list(PurchaseLine.objects.order_by("pk").values_list("pk", "held_minor", "gone_minor", "held_quantity")),
    }
