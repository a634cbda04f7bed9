"""Celery tasks: doorbells and the sweep. They carry no arguments, because the rows are the queue."""

from __future__ import annotations

from celery import shared_task

from refund_plugin import clock
from refund_plugin.events import doorbell
from refund_plugin.events.services import DELIVER, PATIENCE_SECONDS, deliver_due
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.events import DRIVE
from refund_plugin.refunds.replay.services import replay_due
from refund_plugin.refunds.subscriptions.services import drive_ends
from refund_plugin.refunds.sweep import sweep_once
from refund_plugin.refunds.telling.services import tell_stores


@shared_task(name="refund_plugin.drive_refunds", ignore_result=True)
def drive() -> None:
    """Send what is due."""
    if drive_refunds():
        doorbell.send(DRIVE)  # there may be more; other tasks get their turn first


@shared_task(name="refund_plugin.deliver_events", ignore_result=True)
def deliver() -> None:
    """Deliver events to their subscribers."""
    if deliver_due(seconds=PATIENCE_SECONDS):
        doorbell.send(DELIVER)  # there may be more; other tasks get their turn first


@shared_task(name="refund_plugin.replay", ignore_result=True)
def replay() -> None:
    """Go on with the replays under way."""
    replay_due(clock.now())


@shared_task(name="refund_plugin.end_subscriptions", ignore_result=True)
def end_subscriptions() -> None:
    """End the subscriptions that refunds wait for."""
    drive_ends(clock.now())


@shared_task(name="refund_plugin.tell_stores", ignore_result=True)
def tell() -> None:
    """Tell stores what became of refunds."""
    tell_stores(clock.now())


@shared_task(name="refund_plugin.sweep", ignore_result=True)
def sweep() -> None:
    """Find the work nobody rang for."""
    sweep_once(clock.now())
