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
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("gateway account")
        verbose_name_plural = _("gateway accounts")

    def __str__(self) -> str:
        return self.slug
