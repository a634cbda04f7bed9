"""How fast an account may be called: one row that all workers share, so that a hundred of them keep one limit.

Calls are given instants, evenly apart (the generic cell rate algorithm with a burst of one): a gateway that counts in any
window sees no more than its limit. Source: docs.stripe.com/rate-limits, 25 requests a second for each endpoint.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.gateways.models import GatewayAccount, RateSlot, SlotKind


def take_slots(account: GatewayAccount, kind: SlotKind, wanted: int) -> list[float]:
    """Take `wanted` instants and return how many seconds from now each of them is.

    What is taken and not used is lost, which delays others by a fraction of a second.
    """
    rate = settings().rate_per_second
    if not wanted or rate <= 0:  # no limit, as for a gateway of one's own
        return [0.0] * wanted
    pause = timedelta(seconds=1 / rate)
    with transaction.atomic(durable=True):
        row = _lock(account, kind)
        now = clock.database_now()
        first = max(now, row.next_at)
        RateSlot.objects.filter(pk=row.pk).update(next_at=first + wanted * pause)
    return [(first + index * pause - now).total_seconds() for index in range(wanted)]


def push_back(account: GatewayAccount, kind: SlotKind, *, seconds: float) -> None:
    """Let nobody call before so many seconds have passed: the gateway asked for it (429)."""
    with transaction.atomic(durable=True):
        row = _lock(account, kind)
        next_at = max(row.next_at, clock.database_now() + timedelta(seconds=seconds))
        RateSlot.objects.filter(pk=row.pk).update(next_at=next_at)


def _lock(account: GatewayAccount, kind: SlotKind) -> RateSlot:
    no_key = connection.features.has_select_for_no_key_update
    rows = RateSlot.objects.select_for_update(no_key=no_key)
    row = rows.filter(account=account, kind=kind).first()
    if row is None:
        RateSlot.objects.bulk_create([RateSlot(account=account, kind=kind, next_at=_long_ago())], ignore_conflicts=True)
        row = rows.get(account=account, kind=kind)
    return row


def _long_ago() -> datetime:
    return clock.database_now() - timedelta(days=1)
