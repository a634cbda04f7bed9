"""Service tokens: hashed, scoped, per store."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from refund_plugin.stores.models import Store


class ServiceToken(models.Model):
    """A token for a program. Only its SHA-256 is kept: the token has 256 bits of its own, so no salt or stretching is needed."""

    store = models.ForeignKey(Store, models.PROTECT, related_name="service_tokens")
    name = models.CharField(_("name"), max_length=120)
    prefix = models.CharField(max_length=12, unique=True)
    hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list, help_text="Names of actions.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("service token")
        verbose_name_plural = _("service tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
