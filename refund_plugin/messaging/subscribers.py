"""Follows what happens to requests and refunds, and writes to the customer about it."""

from __future__ import annotations

from refund_plugin import clock
from refund_plugin.events import services as events
from refund_plugin.events.models import Event
from refund_plugin.messaging.compose import COMPOSERS
from refund_plugin.messaging.services import send_for_event

NAME = "messaging"


def register() -> None:
    """Follow the events that customers hear about; called from `AppConfig.ready()`."""
    events.subscribe(NAME, tuple(COMPOSERS), on_event)


def on_event(event: Event) -> None:
    """Send the mail that belongs to an event, if one does; may be called again for the same event."""
    send_for_event(event=event, now=clock.now())
