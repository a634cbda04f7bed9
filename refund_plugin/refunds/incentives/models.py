"""What customers were given besides refunds."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.money import Money
from refund_plugin.orders.models import Customer
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.stores.base import CreditKind
from refund_plugin.stores.models import Store


class IncentiveState(models.TextChoices):
    """Where an incentive stands. The customer hears of it, and of its code, once it is issued: never before."""

    WAITING = "waiting", _("being issued")
    ISSUED = "issued", _("given")
    CANCELED = "canceled", _("taken back before it was given")


class Incentive(models.Model):
    """One voucher or gift card that a person gave a customer with a request. It is no refund: what is owed stays owed.

    It is worth an amount, or percent off one order (`amount_minor` is null then). `due_at` is null once nothing is left to do.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="incentives")
    request = models.ForeignKey(RefundRequest, models.PROTECT, related_name="incentives")
    submission_key = models.CharField(max_length=64)
    kind = models.CharField(max_length=10, choices=[(kind.value, kind.value) for kind in CreditKind])
    currency = models.CharField(max_length=3)
    amount_minor = models.PositiveBigIntegerField(null=True)
    percent = models.PositiveSmallIntegerField(null=True)
    code = models.CharField(max_length=32, unique=True, help_text="Who has it can spend it; the customer reads it once it is issued.")
    ends_at = models.DateTimeField(help_text="The last moment in which it can be used.")
    reason = models.TextField(help_text="For colleagues.")
    message = models.TextField(blank=True, help_text="For the customer.")
    given_by_id = models.CharField(max_length=64)
    given_by_label = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=10, choices=IncentiveState, default=IncentiveState.WAITING)
    created_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0, help_text="Tries that the store did not confirm.")
    last_error = models.CharField(max_length=500, blank=True)
    due_at = models.DateTimeField(null=True, help_text="When the store is asked next; the database's clock.")
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        ordering = ["created_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["request", "submission_key"], name="refund_incentive_once"),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, percent__isnull=True) | Q(amount_minor__isnull=True, percent__range=(1, 100)),
                name="refund_incentive_worth",
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", due_at__isnull=False, issued_at__isnull=True)
                | Q(state="issued", due_at__isnull=True, issued_at__isnull=False)
                | Q(state="canceled", due_at__isnull=True, issued_at__isnull=True),
                name="refund_incentive_state",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="refund_incentive_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def worth(self) -> Money | int:
        """An amount, or whole percent."""
        return Money(self.amount_minor, self.currency) if self.amount_minor is not None else int(self.percent or 0)
