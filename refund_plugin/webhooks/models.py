"""Webhook events: each stored once when it comes, and applied later by a worker."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from refund_plugin.gateways.models import GatewayAccount


class InboxState(models.TextChoices):
    """Foreign: about a payment we do not know (yet). Parked: failed too often; a person looks, and others go on."""

    WAITING = "waiting"
    DONE = "done"
    FOREIGN = "foreign"
    PARKED = "parked"


class WebhookEvent(models.Model):
    """A verified event; the unique key makes a duplicate delivery a no-op.

    `body` is the event as it came until it is applied, and then only what may be kept for good: no personal data.
    """

    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="+")
    livemode = models.BooleanField()
    event_id = models.CharField(max_length=255)
    event_type = models.CharField(max_length=80)
    gateway_payment_id = models.CharField(max_length=255, blank=True, help_text="The payment it is about, if it is about one.")
    body = models.JSONField()
    told_at = models.DateTimeField(help_text="When the gateway made it.")
    received_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=InboxState, default=InboxState.WAITING)
    failures = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(help_text="When a worker may apply it; the database's clock.")
    lease_until = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "livemode", "event_id"], name="refund_webhook_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="refund_webhook_due"),
            models.Index(fields=["account", "gateway_payment_id"], condition=Q(state="foreign"), name="refund_webhook_foreign"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"
