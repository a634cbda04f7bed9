"""Events and their deliveries; the worker's heartbeat."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Event(models.Model):
    """Something that happened: plain data and ids, never personal data, never changed."""

    store = models.ForeignKey("refund_plugin.Store", models.PROTECT, related_name="+")
    kind = models.CharField(max_length=60)
    case = models.UUIDField(null=True, db_index=True, help_text="The refund request it belongs to.")
    payload = models.JSONField(default=dict)
    actor_kind = models.CharField(max_length=12)
    actor_id = models.CharField(max_length=64, blank=True)
    occurred_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        # the few that belong to no case, such as pauses, among the many that do
        indexes = [models.Index(fields=["store", "kind", "id"], condition=Q(case__isnull=True), name="refund_event_of_store")]

    def __str__(self) -> str:
        return self.kind


class DeliveryState(models.TextChoices):
    """Parked: failed too often; a person looks, later events of the case go on."""

    WAITING = "waiting"
    DONE = "done"
    PARKED = "parked"


class Delivery(models.Model):
    """One event for one subscriber."""

    event = models.ForeignKey(Event, models.PROTECT, related_name="deliveries")
    subscriber = models.CharField(max_length=60)
    case = models.UUIDField(null=True)
    state = models.CharField(max_length=8, choices=DeliveryState, default=DeliveryState.WAITING)
    failures = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "subscriber"], name="refund_delivery_once")]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="refund_delivery_due"),
            models.Index(fields=["subscriber", "case"], condition=Q(state="waiting"), name="refund_delivery_case"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} {self.state}"


class Heartbeat(models.Model):
    """When a worker's own task last ran; the health page reads it."""

    name = models.CharField(max_length=40, unique=True)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
