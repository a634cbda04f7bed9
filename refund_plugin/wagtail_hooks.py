"""Wagtail looks here for hooks; they live with the staff's door, and with the customers' where documents are served."""

from refund_plugin.staff import hooks
from refund_plugin.web import documents

__all__ = ["documents", "hooks"]
