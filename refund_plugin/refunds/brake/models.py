"""One row per store: the dial, the limits, the pause, and what was approved automatically of late."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.stores.models import Store


class AutomaticMode(models.TextChoices):
    """What the policy may do by itself."""

    OBSERVE = "observe", _("Observe")
    SUGGEST = "suggest", _("Suggest")
    AUTOMATIC = "automatic", _("Automatic")


class BrakeReason(models.TextChoices):
    """Why a person decides although the policy has an answer."""

    OBSERVE = "observe", _("Automatic refunds only observe: a person decides every request.")
    SUGGEST = "suggest", _("Automatic refunds only suggest: a person decides every request.")
    PAUSED = "paused", _("Automatic refunds were paused when the customer asked.")
    OVER_LIMIT = "over_limit", _("It is more than may be refunded automatically at once.")
    HOUR = "brake_hour", _("Automatic refunds had reached their ceiling for an hour.")
    DAY = "brake_day", _("Automatic refunds had reached their ceiling for a day.")


class AutomaticMoney(models.Model):
    """How far a store lets the policy move money without a person.

    Attributes:
        limit_minor: by currency, the most that one request gets automatically, in minor units; a missing one has no limit.
        ceilings: what the staff set, as a list of `windows.Ceiling.as_json`; others follow `REFUND_PLUGIN["BRAKE"]`. They
            are kept in this row, and not in a table of their own, because the row is read with the purchase: a customer's
            request then pays no statement for them.
        spent: what was approved automatically, see `windows`.
        alerted: when staff were last told of a reached ceiling (seconds since 1970), by the ceiling's name.
        revision: raised by every change, so that who decides by an older state of the row notices.
    """

    store = models.OneToOneField(Store, models.PROTECT, related_name="automatic_money")
    mode = models.CharField(_("mode"), max_length=10, choices=AutomaticMode, default=AutomaticMode.AUTOMATIC)
    limit_minor = models.JSONField(default=dict)
    ceilings = models.JSONField(default=list)
    spent = models.JSONField(default=dict)
    alerted = models.JSONField(default=dict)
    revision = models.PositiveBigIntegerField(default=0)
    paused_at = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(null=True)
    paused_by_id = models.CharField(max_length=64, blank=True)
    paused_by_label = models.CharField(max_length=200, blank=True)
    paused_why = models.TextField(blank=True)

    class Meta:
        verbose_name = _("automatic refunds")
        verbose_name_plural = _("automatic refunds")
        default_permissions = ()
        permissions = [("manage_brake", _("Can set and pause automatic refunds"))]
        constraints = [
            models.CheckConstraint(condition=Q(mode__in=AutomaticMode.values), name="refund_automatic_mode"),
            models.CheckConstraint(
                condition=Q(paused_at__isnull=True, paused_until__isnull=True) | Q(paused_until__gt=models.F("paused_at")),
                name="refund_automatic_pause",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.store_id}: {self.mode}"

    def is_paused(self, at: datetime) -> bool:
        """Tell whether automatic money is paused at this moment."""
        return self.paused_until is not None and self.paused_until > at
