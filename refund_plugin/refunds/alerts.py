"""What staff must look at: raised once while it is open, and looked at by somebody who says so."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime

from django.db import IntegrityError, transaction

from refund_plugin.actor import SYSTEM, Actor
from refund_plugin.errors import NotFound
from refund_plugin.events.services import DomainEvent, record
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import Payment
from refund_plugin.refunds import events
from refund_plugin.refunds.models import Alert, Refund

logger = logging.getLogger(__name__)


def raise_alert(
    *,
    kind: str,
    key: str,
    why: str,
    now: datetime,
    store_id: int | None = None,
    refund: Refund | None = None,
    payment: Payment | None = None,
    account: GatewayAccount | None = None,
    details: Mapping[str, object] | None = None,
) -> Alert | None:
    """Raise an alert unless one of this key is open; return it, or None when it was open already.

    Args:
        kind: what sort of trouble, for filters, such as `money_over`.
        key: names the trouble itself, such as `money_over:<payment id>`.
        why: one sentence for people.
    """
    if Alert.objects.filter(key=key, looked_at__isnull=True).exists():
        return None
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                store_id=store_id,
                kind=kind,
                key=key,
                why=why[:500],
                refund=refund,
                payment=payment,
                account=account,
                details=dict(details or {}),
                raised_at=now,
            )
    except IntegrityError:  # somebody raised it at this very moment
        return None
    logger.error("alert %s: %s", key, why)
    if store_id is not None:
        case = refund.request_id if refund is not None else None
        payload = {"alert": alert.pk, "kind": kind, "why": alert.why}
        record(DomainEvent(kind=events.ALERT_RAISED, store_id=store_id, case=case, actor=SYSTEM, payload=payload), now=now)
    return alert


def look_at(*, alert_id: int, by: Actor, note: str = "", now: datetime) -> Alert:
    """Say that somebody looked; the same trouble may then be raised anew.

    Raises:
        NotFound: no such alert in the actor's store.
    """
    with transaction.atomic():
        alert = Alert.objects.select_for_update().filter(pk=alert_id).first()
        if alert is None or (by.store_id is not None and alert.store_id != by.store_id):
            raise NotFound
        if alert.looked_at is None:
            alert.looked_at, alert.looked_by_id, alert.looked_by_label, alert.note = now, by.id, by.label, note[:4000]
            alert.save(update_fields=["looked_at", "looked_by_id", "looked_by_label", "note"])
    return alert
