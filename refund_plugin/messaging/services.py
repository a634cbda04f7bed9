"""Write the mail that belongs to an event once, and send it.

Sending is "at least once": `sent_at` is written after the mail server has taken the mail, so a worker that dies in between
sends it a second time, with the same Message-ID. The other order could lose an answer, which is worse.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

from django.conf import settings as django_settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.utils import translation

from refund_plugin.conf import settings
from refund_plugin.errors import NotFound
from refund_plugin.events.models import Event
from refund_plugin.messaging.compose import compose
from refund_plugin.messaging.letters import language_for
from refund_plugin.messaging.models import Message
from refund_plugin.orders.models import Customer
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.queries import case

MAIL_TIMEOUT_SECONDS = 20


def send_for_event(*, event: Event, now: datetime) -> Message | None:
    """Send the mail that belongs to an event, unless it was sent already.

    Returns:
        The message; None when nobody is to be told.
    Raises:
        OSError, smtplib.SMTPException: the mail server did not take it; call again later.
    """
    message = Message.objects.filter(event=event).select_related("customer", "store").first() or _write(event, now=now)
    if message is not None and message.sent_at is None:
        _send(message)
        message.sent_at = now
        message.save(update_fields=["sent_at"])
    return message


def _write(event: Event, *, now: datetime) -> Message | None:
    request = _request(event)
    customer = request.customer if request else _customer(event)
    if customer is None or (request is not None and request.store.is_internal):
        return None
    language = language_for(customer, request)
    with translation.override(language):
        letter = compose(event, customer=customer, request=request)
        if letter is None:
            return None
        message, _created = Message.objects.get_or_create(
            event=event,
            kind=letter.kind,
            defaults={
                "store": customer.store,
                "customer": customer,
                "request": request,
                "locale": language,
                "subject": " ".join(letter.subject.split())[:300],
                "text": letter.as_text(),
                "html": letter.as_html(language),
                "created_at": now,
            },
        )
    return message


def _request(event: Event) -> RefundRequest | None:
    if event.case is None:
        return None
    try:
        return case(event.case)
    except NotFound:
        return None


def _customer(event: Event) -> Customer | None:
    return Customer.objects.filter(pk=event.payload.get("customer_id")).select_related("store").first()


def _send(message: Message) -> None:
    conf = settings()
    sender = conf.from_email or django_settings.DEFAULT_FROM_EMAIL
    host = urlsplit(conf.public_url).hostname or parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    connection = mail.get_connection()
    if getattr(connection, "timeout", 0) is None:
        # Django waits for ever when a site sets no EMAIL_TIMEOUT; a worker must not
        connection.timeout = MAIL_TIMEOUT_SECONDS  # type: ignore[attr-defined]
    outgoing = EmailMultiAlternatives(
        subject=message.subject,
        body=message.text,
        from_email=sender,
        to=[message.customer.email],
        reply_to=[conf.reply_to] if conf.reply_to else None,
        headers={
            "Message-ID": f"<refund-{message.pk}-{message.created_at:%Y%m%d%H%M%S%f}@{host}>",
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
        connection=connection,
    )
    outgoing.attach_alternative(message.html, "text/html")
    outgoing.send()
