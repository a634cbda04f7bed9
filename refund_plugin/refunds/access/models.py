"""What the store should let customers use, and what it was last told."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.orders.models import PurchaseLine


class AccessState(models.Model):
    """How many units of a line are frozen or revoked: as they should be (`wanted`), and as the store confirmed (`done`).

    `due_at` is null while both agree.
    """

    line = models.OneToOneField(PurchaseLine, models.PROTECT, related_name="access_state")
    wanted_frozen = models.PositiveIntegerField(default=0)
    wanted_revoked = models.PositiveIntegerField(default=0)
    done_frozen = models.PositiveIntegerField(default=0)
    done_revoked = models.PositiveIntegerField(default=0)
    version = models.PositiveIntegerField(default=0, help_text="Rises with every change of what is wanted.")
    failures = models.PositiveIntegerField(default=0, help_text="Tries in a row that the store did not confirm.")
    last_error = models.CharField(max_length=500, blank=True)
    due_at = models.DateTimeField(null=True, help_text="When the store is told next; the database's clock.")
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("access")
        verbose_name_plural = _("access")
        default_permissions = ()
        constraints = [
            models.CheckConstraint(
                condition=Q(due_at__isnull=False) | Q(wanted_frozen=F("done_frozen"), wanted_revoked=F("done_revoked")),
                name="refund_access_state_due",
            )
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="refund_access_waiting")]

    def __str__(self) -> str:
        return f"{self.line_id}: {self.wanted_frozen} frozen, {self.wanted_revoked} revoked"
