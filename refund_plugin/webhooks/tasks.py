"""The Celery task that workers are woken for."""

from __future__ import annotations

from celery import shared_task

from refund_plugin.events import doorbell
from refund_plugin.webhooks.apply import AT_ONCE, apply_waiting
from refund_plugin.webhooks.services import APPLY


@shared_task(name=APPLY, ignore_result=True)
def apply() -> None:
    """Apply the events that wait."""
    if apply_waiting(limit=AT_ONCE) >= AT_ONCE:
        doorbell.send(APPLY)  # there may be more; other tasks get their turn first
