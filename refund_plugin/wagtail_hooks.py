"""Wagtail looks here for hooks; they live with the staff's door."""

from refund_plugin.staff import hooks

__all__ = ["hooks"]
