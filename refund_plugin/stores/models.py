"""The row every purchase, policy assignment and event belongs to."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Store(models.Model):
    """One seller; a simple site has one, made by `migrate` from `REFUND_PLUGIN`."""

    slug = models.SlugField(_("slug"), unique=True)
    name = models.CharField(_("name"), max_length=200)
    adapter = models.CharField(max_length=40, default="local")
    timezone = models.CharField(max_length=64, help_text=_("IANA name; windows are counted in days of this zone."))
    wagtail_site_id = models.PositiveBigIntegerField(null=True, blank=True, unique=True)
    is_internal = models.BooleanField(default=False, help_text=_("For self-tests: in no list, no books, no mail."))
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("store")
        verbose_name_plural = _("stores")

    def __str__(self) -> str:
        return self.name
