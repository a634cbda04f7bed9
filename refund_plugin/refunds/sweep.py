"""The periodic sweep: finds the work nobody rang for, does what rooms and doors registered, and tells that a worker is alive."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from refund_plugin import clock
from refund_plugin.duties import Duty, duties
from refund_plugin.events.heartbeats import beat, last_beat
from refund_plugin.events.services import PATIENCE_SECONDS, deliver_due
from refund_plugin.gateways.services import ping_accounts
from refund_plugin.limits.services import forget_expired
from refund_plugin.refunds.calls import drive_refunds

logger = logging.getLogger(__name__)

WORKER = "worker"
PING_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    calls: int
    deliveries: int
    duties: int


def sweep_once(now: datetime) -> Swept:
    """Beat, look after the gateways, hear what may stop money, send what is due, do the other duties, deliver what is due.

    Args:
        now: UTC.
    """
    beat(WORKER, now=clock.database_now())
    _ping_if_due()
    done = sum(_do(duty, now) for duty in duties() if duty.before_money)
    calls = drive_refunds()
    done += sum(_do(duty, now) for duty in duties() if not duty.before_money)
    deliveries = deliver_due(seconds=PATIENCE_SECONDS)
    forget_expired(now=now)
    return Swept(calls=calls, deliveries=deliveries, duties=done)


def _do(duty: Duty, now: datetime) -> int:
    """Do a duty if it is its time. One that fails is logged and tried at its next time; the others go on."""
    if duty.every_seconds and not _is_time(f"duty:{duty.name}", duty.every_seconds):
        return 0
    try:
        return duty.run(now)
    except Exception:
        logger.exception("the duty %s failed", duty.name)
        return 0


def _is_time(name: str, every_seconds: int) -> bool:
    now = clock.database_now()
    last = last_beat(name)
    if last is not None and now - last < timedelta(seconds=every_seconds):
        return False
    beat(name, now=now)
    return True


def _ping_if_due() -> None:
    if not _is_time("ping", PING_SECONDS):
        return
    for slug, answered in ping_accounts().items():
        if answered:
            beat(f"gateway:{slug}", now=clock.database_now())
