"""Rows that say when something was last seen alive; written by the worker's own task, read by the health page."""

from __future__ import annotations

from datetime import datetime

from refund_plugin.events.models import Heartbeat


def beat(name: str, *, now: datetime) -> None:
    """Write that `name` is alive at `now` (the database's clock)."""
    Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": now})


def last_beat(name: str) -> datetime | None:
    """Return when `name` was last alive, or None."""
    return Heartbeat.objects.filter(name=name).values_list("beat_at", flat=True).first()
