"""The record of what was sent."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from refund_plugin.events.models import Event
from refund_plugin.orders.models import Customer
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.secrecy import without_secrets
from refund_plugin.stores.models import Store


class Message(models.Model):
    """One mail to one customer about one event; the unique pair makes a second delivery of the event send nothing."""

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="messages")
    request = models.ForeignKey(RefundRequest, models.PROTECT, null=True, related_name="messages")
    event = models.ForeignKey(Event, models.PROTECT, related_name="+")
    kind = models.CharField(_("kind"), max_length=40)
    locale = models.CharField(max_length=20, blank=True)
    subject = models.CharField(_("subject"), max_length=300)
    text = models.TextField()
    html = models.TextField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(_("sent"), null=True)

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = [models.UniqueConstraint(fields=["event", "kind"], name="refund_message_once")]

    def __str__(self) -> str:
        return self.subject

    @property
    def shown_text(self) -> str:
        """The text without what is the customer's alone; for staff, and whoever they hand it to."""
        return without_secrets(self.text, self.request) if self.request else self.text
