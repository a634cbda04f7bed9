"""The row of one Saleor that installed our App. Its store and its gateway account carry the same slug."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SaleorInstallation(models.Model):
    """One Saleor instance that installed the App; it stays when the App is removed, because purchases belong to its store.

    `slug` is also the slug of the installation's `Store` and `GatewayAccount`. The token and the secret of its webhooks are kept
    encrypted (`secrets.py`).
    """

    slug = models.SlugField(_("slug"), unique=True)
    api_url = models.URLField(_("API address"), max_length=255, unique=True)
    app_id = models.CharField(max_length=255, blank=True, help_text="Saleor's global id of our App there.")
    token_encrypted = models.TextField(blank=True, help_text="Empty once the App was removed.")
    version = models.CharField(_("version"), max_length=40, blank=True, help_text="Of Saleor, as it said last: 3.23.1")
    permissions = models.JSONField(default=list, blank=True, help_text="What Saleor granted us, as it said last.")
    keys = models.JSONField(default=dict, blank=True, help_text="Saleor's public keys (JWKS), as read last.")
    keys_read_at = models.DateTimeField(null=True, blank=True)
    webhook_secret_encrypted = models.TextField(blank=True, help_text="What Saleor sends along with our webhooks and no others.")
    webhook_secret_set_at = models.DateTimeField(null=True, blank=True, help_text="When all our webhooks there were seen to carry it.")
    is_active = models.BooleanField(_("active"), default=True)
    installed_at = models.DateTimeField(_("installed"))
    removed_at = models.DateTimeField(_("removed"), null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("Saleor")
        verbose_name_plural = _("Saleors")

    def __str__(self) -> str:
        return self.slug
