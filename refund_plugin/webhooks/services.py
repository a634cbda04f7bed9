"""Take in a gateway's webhook: verify it, keep it once, apply it."""

from __future__ import annotations

import logging
from datetime import datetime

from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured, WebhookRejected
from refund_plugin.gateways.base import AnswerKind, WebhookRefund
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import gateway_for
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.states import OVER
from refund_plugin.webhooks.models import WebhookEvent

logger = logging.getLogger(__name__)


def receive_webhook(*, kind: str, slug: str, body: bytes, signature: str, now: datetime) -> None:
    """Apply one delivery of a webhook; a delivery that comes again, late or out of order changes nothing.

    An event is stored before it is applied and marked after, so one that was cut off in between is applied when the gateway
    delivers it again. Events about refunds that are not ours are kept and change nothing.

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
        told = gateway_for(account).parse_webhook(body=body, signature=signature, now=now)
    except GatewayMisconfigured as error:
        logger.error("gateway account %s cannot read its webhooks: %s", account.slug, error)
        raise WebhookRejected from error
    if told is None:
        return
    if told.livemode != account.livemode:
        logger.warning("webhook %s is of the other mode than account %s and changes nothing", told.event_id, account.slug)
        return
    event, _created = WebhookEvent.objects.get_or_create(
        account=account,
        livemode=told.livemode,
        event_id=told.event_id[:255],
        defaults={"event_type": told.event_type[:80], "body": _kept_of(told), "received_at": now},
    )
    if event.applied_at is None:
        _apply(account, told, now=now)
        WebhookEvent.objects.filter(pk=event.pk).update(applied_at=now)


def _kept_of(told: WebhookRefund) -> dict[str, object]:
    """Return what is kept of an event, in the shape it came in: its head, and of the refund what its gateway deems fit to keep.

    The rest may name the customer (Stripe sends an `instructions_email`), and nobody could erase it from here.
    """
    return {
        "id": told.event_id,
        "type": told.event_type,
        "livemode": told.livemode,
        "created": int(told.created.timestamp()),
        "data": {"object": dict(told.answer.raw)},
    }


def _apply(account: GatewayAccount, told: WebhookRefund, *, now: datetime) -> None:
    # the metadata is the gateway's to fill: believe it only for a refund of this very account and payment
    ours = Refund.objects.filter(account=account, livemode=told.livemode, payment__gateway_payment_id=told.gateway_payment_id)
    refund = ours.filter(pk=told.refund_id).first() if told.refund_id else None
    if refund is None:
        logger.info("webhook %s is about a refund that is not ours (%s)", told.event_id, told.answer.gateway_refund_id)
        return
    if _is_old_news(refund, told):
        logger.info("webhook %s tells of refund %s as it was before it ended", told.event_id, refund.pk)
        return
    record_answer(refund_id=refund.pk, answer=told.answer, now=now)


def _is_old_news(refund: Refund, told: WebhookRefund) -> bool:
    """Tell a late delivery from a gateway that contradicts itself, which would count as "paid after all"."""
    return (
        refund.state in OVER
        and told.answer.kind in (AnswerKind.PENDING, AnswerKind.SUCCEEDED)
        and told.answer.gateway_refund_id == refund.gateway_refund_id
        and refund.settled_at is not None
        and told.created <= refund.settled_at
    )
