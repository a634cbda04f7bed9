"""Celery looks here for tasks."""

from refund_plugin.refunds.tasks import deliver, drive, sweep

__all__ = ["deliver", "drive", "sweep"]
