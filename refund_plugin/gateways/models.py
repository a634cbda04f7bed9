"""The row a gateway account lives in. Its secrets stay in the settings (or the environment), never in the database."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class GatewayAccount(models.Model):
    """One account at one payment provider; `slug` is its key in `REFUND_PLUGIN["GATEWAYS"]`."""

    slug = models.SlugField(_("slug"), unique=True)
    kind = models.CharField(_("kind"), max_length=40)
    livemode = models.BooleanField(_("live mode"), default=False)
    on_hold = models.BooleanField(_("on hold"), default=False, help_text=_("The gateway refuses our credentials; nothing is sent."))
    hold_reason = models.CharField(max_length=200, blank=True)
    breaker_failures = models.PositiveIntegerField(default=0, help_text="Timeouts and server errors in a row.")
    breaker_trips = models.PositiveIntegerField(default=0, help_text="How often it opened since it was last closed.")
    breaker_open_until = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent before; then one call tries.")
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("gateway account")
        verbose_name_plural = _("gateway accounts")

    def __str__(self) -> str:
        return self.slug


class SlotKind(models.TextChoices):
    """Gateways limit each endpoint by itself; reads do not take from sending."""

    SEND = "send"
    READ = "read"


class RateSlot(models.Model):
    """When the next call to an account may be made: one row that all workers share."""

    account = models.ForeignKey(GatewayAccount, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=4, choices=SlotKind)
    next_at = models.DateTimeField(help_text="The database's clock.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "kind"], name="refund_rate_slot_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.next_at:%H:%M:%S.%f}"
