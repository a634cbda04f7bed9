"""Django signals for hosts, sent after commit. Rooms of this package never use them among themselves."""

from django.dispatch import Signal

event_recorded = Signal()
"""Sent with `event` (`refund_plugin.events.models.Event`) once the transaction that recorded it has committed."""
