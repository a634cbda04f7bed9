"""The periodic sweep: finds the work nobody rang for, and tells that a worker is alive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from refund_plugin import clock
from refund_plugin.events.heartbeats import beat, last_beat
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.services import ping_accounts
from refund_plugin.limits.services import forget_expired
from refund_plugin.refunds.execute import drive_refunds

WORKER = "worker"
PING_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    calls: int
    deliveries: int


def sweep_once(now: datetime) -> Swept:
    """Beat, look after the gateways, send what is due, deliver what is due.

    Args:
        now: UTC.
    """
    beat(WORKER, now=clock.database_now())
    _ping_if_due()
    calls = drive_refunds()
    deliveries = deliver_due()
    forget_expired(now=now)
    return Swept(calls=calls, deliveries=deliveries)


def _ping_if_due() -> None:
    now = clock.database_now()
    last = last_beat("ping")
    if last is not None and now - last < timedelta(seconds=PING_SECONDS):
        return
    beat("ping", now=now)
    for slug, answered in ping_accounts().items():
        if answered:
            beat(f"gateway:{slug}", now=clock.database_now())
