"""Whether the background work is alive, told where staff would otherwise wait for it in vain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from refund_plugin.conf import settings
from refund_plugin.events.heartbeats import last_beat
from refund_plugin.refunds.sweep import WORKER

GRACE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Silence:
    """No worker gave a sign of life lately; `since` is None when none ever did."""

    since: datetime | None


def worker_silence(now: datetime) -> Silence | None:
    """Return a `Silence` when no worker's own task has run for a minute and two sweeps; None when all is well."""
    latest = last_beat(WORKER)
    if latest is None:
        return Silence(None)
    allowed = timedelta(seconds=GRACE_SECONDS + 2 * settings().sweep_seconds)
    return Silence(latest) if now - latest > allowed else None
