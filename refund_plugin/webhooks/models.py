"""Webhook events, stored once."""

from django.db import models

from refund_plugin.gateways.models import GatewayAccount


class WebhookEvent(models.Model):
    """A verified event without personal data; the unique key makes a duplicate delivery a no-op."""

    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="+")
    livemode = models.BooleanField()
    event_id = models.CharField(max_length=255)
    event_type = models.CharField(max_length=80)
    body = models.JSONField()
    received_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "livemode", "event_id"], name="refund_webhook_once")]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"
