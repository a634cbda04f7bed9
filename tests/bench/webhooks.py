"""How long a gateway waits until its webhook is taken in, and that nothing is asked of it meanwhile."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from refund_plugin import clock
from refund_plugin.refunds.models import Refund
from refund_plugin.webhooks.models import WebhookEvent
from tests.bench.figures import Row, at_most, percentile, time_each
from tests.faults import hooks, seeding
from tests.faults.world import WEBHOOK_SECRET, World

if TYPE_CHECKING:
    from django.test import Client

PATH = "/refunds/webhooks/stripe/default/"
WARM_UP = 20


def acknowledged(world: World, count: int) -> list[Row]:
    """Deliver `count` events about as many refunds, through the door that Stripe knocks at."""
    from django.test import Client

    calls = world.folder / "webhook-calls"
    with world.row(plugin={}, account={}) as scene:
        seeding.reserve(scene, count + WARM_UP)
        client = Client()
        deliveries = [_delivery(client, refund) for refund in Refund.objects.select_related("payment")]
        hooks.count_calls(str(calls))
        time_each(deliveries[:WARM_UP])
        taken = time_each(deliveries[WARM_UP:])
        stored = WebhookEvent.objects.count()
    if stored != len(deliveries):
        raise RuntimeError(f"{stored} of {len(deliveries)} events were stored.")
    name = f"Webhook acknowledged, {count} events about refunds"
    return [
        at_most(f"{name}, p95", percentile(taken, 95), 25, "ms", 1),
        Row("  p50", f"{percentile(taken, 50):.1f} ms"),
        at_most("  calls to the gateway", calls.stat().st_size, 0, "", 0),
    ]


def _delivery(client: Client, refund: Refund) -> Callable[[], None]:
    moment = int(clock.now().timestamp())
    told = {
        "id": f"re_{refund.pk.hex}",
        "object": "refund",
        "amount": refund.amount_minor,
        "balance_transaction": f"txn_{refund.pk.hex}",
        "charge": f"ch_{refund.payment_id}",
        "created": moment,
        "currency": refund.currency.lower(),
        "destination_details": {"card": {"reference_status": "pending", "reference_type": "acquirer_reference_number"}, "type": "card"},
        "metadata": {"refund_id": str(refund.pk), "reference": "R-23456789", "installation": "default"},
        "payment_intent": refund.payment.gateway_payment_id,
        "reason": "requested_by_customer",
        "status": "succeeded",
    }
    event = {
        "id": f"evt_{refund.pk.hex}",
        "object": "event",
        "api_version": "2026-10-28",
        "created": moment,
        "data": {"object": told},
        "livemode": False,
        "type": "refund.updated",
    }
    body = json.dumps(event).encode()
    signature = hmac.new(WEBHOOK_SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Stripe-Signature": f"t={moment},v1={signature}"}

    def deliver() -> None:
        answer = client.post(PATH, body, content_type="application/json", headers=headers)
        if answer.status_code != 200:
            raise RuntimeError(f"The webhook was answered with {answer.status_code}: {answer.content.decode()}")

    return deliver
