"""Subscriptions to be ended, and credit notes to be recorded at the gateway: work that waits, with its leases."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Refund


class EndState(models.TextChoices):
    """Dropped: the refund was taken back before. Refused: the gateway will not, so a person ends it there."""

    WANTED = "wanted"
    ENDED = "ended"
    DROPPED = "dropped"
    REFUSED = "refused"


class SubscriptionEnd(models.Model):
    """A subscription whose remaining term is given back. Its refunds wait until the gateway has confirmed that it ended.

    `quoted_at` is the moment for which the amount was quoted, by the earlier of the application's and the database's clock; what
    the gateway charges from then on is given back in full.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="+")
    subscription_id = models.CharField(max_length=255)
    state = models.CharField(max_length=8, choices=EndState, default=EndState.WANTED)
    quoted_at = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    due_at = models.DateTimeField(help_text="The database's clock.")
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["account", "subscription_id"], condition=Q(state=EndState.WANTED), name="refund_subscription_end_once"
            )
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="wanted"), name="refund_subscription_due"),
            models.Index(fields=["account", "subscription_id"], name="refund_subscription_of"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription_id}: {self.state}"


class InvoiceNote(models.Model):
    """A credit note that the gateway should record on its own invoice once the refund has succeeded, and void if it fails later.

    One that stands at the gateway has its id here. A refund's successor takes it over, because the customer still gets the money.
    """

    refund = models.OneToOneField(Refund, models.PROTECT, related_name="invoice_note")
    gateway_note_id = models.CharField(max_length=255, blank=True)
    number = models.CharField(max_length=80, blank=True)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    due_at = models.DateTimeField(null=True, help_text="The database's clock; null when it is done, or will never be.")
    lease_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="refund_invoice_note_due")]

    def __str__(self) -> str:
        return self.number or f"for {self.refund_id}"
