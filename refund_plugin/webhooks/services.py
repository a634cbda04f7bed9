"""Take in a gateway's webhook: verify it, keep it once, wake a worker. Nothing else happens while the gateway waits."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured, WebhookRejected
from refund_plugin.events import doorbell
from refund_plugin.gateways.base import WebhookFact
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import gateway_for
from refund_plugin.webhooks.handlers import handler_of
from refund_plugin.webhooks.models import InboxState, WebhookEvent

logger = logging.getLogger(__name__)

APPLY = "refund_plugin.apply_webhooks"  # the task that workers are woken for


def receive_webhook(*, kind: str, slug: str, body: bytes, signature: str, now: datetime) -> None:
    """Keep one delivery of a webhook for a worker to apply; a delivery that comes again changes nothing.

    Locks nothing that money hangs on and calls nobody but the broker, so that the gateway gets its answer in milliseconds.

    Args:
        kind: of the gateway that this door belongs to.
        slug: of the gateway account, from the address.
        now: UTC.
    Raises:
        WebhookRejected: unknown account, or signature or time do not verify: all read the same.
    """
    account = GatewayAccount.objects.filter(slug=slug, kind=kind).first()
    # without a secret anybody could sign
    if account is None or not settings().gateways.get(slug, {}).get("webhook_secret"):
        logger.warning("a webhook came for %r, which is no %s account with a webhook_secret in REFUND_PLUGIN['GATEWAYS']", slug[:60], kind)
        raise WebhookRejected
    try:
        gateway = gateway_for(account)
        event = gateway.verify_webhook(body=body, signature=signature, now=now)
    except GatewayMisconfigured as error:
        logger.error("gateway account %s cannot read its webhooks: %s", account.slug, error)
        raise WebhookRejected from error
    fact = gateway.read_event(event)
    if fact is None or handler_of(type(fact)) is None:
        return
    if fact.livemode != account.livemode:
        logger.warning("webhook %s is of the other mode than account %s and changes nothing", fact.event_id, account.slug)
        return
    keep_event(account=account, fact=fact, body=dict(event), now=now)


def keep_event(*, account: GatewayAccount, fact: WebhookFact, body: dict[str, Any], now: datetime) -> bool:
    """Store an event unless we have it, and wake a worker; return whether it was new.

    One that was parked waits again: somebody had the gateway send it once more.
    """
    row = WebhookEvent(
        account=account,
        livemode=fact.livemode,
        event_id=fact.event_id[:255],
        event_type=fact.event_type[:80],
        gateway_payment_id=getattr(fact, "gateway_payment_id", "")[:255],
        body=body,
        told_at=fact.created,
        received_at=now,
        due_at=Now(),
    )
    try:
        with transaction.atomic(durable=True):
            WebhookEvent.objects.bulk_create([row])
            doorbell.ring(APPLY)
    except IntegrityError:
        parked = WebhookEvent.objects.filter(account=account, livemode=row.livemode, event_id=row.event_id, state=InboxState.PARKED)
        if parked.update(state=InboxState.WAITING, failures=0, due_at=Now()):
            doorbell.ring(APPLY)
        return False
    return True
