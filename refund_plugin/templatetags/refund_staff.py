"""Django looks here for template tags; these live with the staff's door."""

from refund_plugin.staff.tags import register

__all__ = ["register"]
