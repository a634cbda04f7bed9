"""Celery looks here for tasks."""

from refund_plugin.refunds.tasks import deliver, drive, replay, sweep
from refund_plugin.webhooks.tasks import apply

__all__ = ["apply", "deliver", "drive", "replay", "sweep"]
