"""Follows what happens to requests and refunds, and writes to the customer about it."""

from __future__ import annotations

from refund_plugin import clock
from refund_plugin.events import services as events
from refund_plugin.events.models import Event
from refund_plugin.messaging.compose import COMPOSERS
from refund_plugin.messaging.services import send_for_event
from refund_plugin.policies.consent import confirm_consent
from refund_plugin.policies.consent_models import Consent
from refund_plugin.policies.events import CONSENT_GIVEN

NAME = "messaging"


def register() -> None:
    """Follow the events that customers hear about; called from `AppConfig.ready()`."""
    events.subscribe(NAME, tuple(COMPOSERS), on_event)


def on_event(event: Event) -> None:
    """Send the mail that belongs to an event, if one does; may be called again for the same event."""
    message = send_for_event(event=event, now=clock.now())
    if event.kind == CONSENT_GIVEN and message is not None and message.sent_at is not None:
        consent = Consent.objects.get(pk=event.payload["consent"])
        confirm_consent(consent=consent, confirmed_at=max(message.sent_at, consent.given_at), now=clock.now())
