"""A policy, its frozen versions and their texts. Versions copy bytes and hash: they never point at a page or a revision."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.stores.models import Store


class Policy(models.Model):
    """What a policy page publishes. `store` is set while it is assigned; a copied page makes an unassigned one."""

    key = models.CharField(max_length=64, unique=True, help_text="The page's translation key.")
    title = models.CharField(_("title"), max_length=255)
    store = models.ForeignKey(Store, models.PROTECT, null=True, blank=True, related_name="policies")

    class Meta:
        verbose_name = _("policy")
        verbose_name_plural = _("policies")
        constraints = [models.UniqueConstraint(fields=["store"], condition=Q(store__isnull=False), name="refund_policy_one_per_store")]

    def __str__(self) -> str:
        return self.title


class PolicyVersion(models.Model):
    """What one publication froze. Immutable, except that closing it (unpublish, expiry) sets `closed_at`."""

    policy = models.ForeignKey(Policy, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.TextField(help_text="Canonical JSON of the clauses.")
    hash = models.CharField(max_length=64)
    format = models.PositiveSmallIntegerField()
    engine = models.PositiveSmallIntegerField()
    effective_from = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    founding_reason = models.CharField(max_length=500, blank=True, help_text="Why the first version was dated back.")
    frozen_at = models.DateTimeField()
    frozen_by = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("policy version")
        verbose_name_plural = _("policy versions")
        ordering = ["policy", "number"]
        constraints = [models.UniqueConstraint(fields=["policy", "number"], name="refund_version_number")]
        indexes = [models.Index(fields=["policy", "effective_from"], name="refund_version_effective")]

    def __str__(self) -> str:
        return f"{self.policy} v{self.number}"


class PolicyText(models.Model):
    """The prose of one version in one language, by clause anchor; it changes no verdict."""

    version = models.ForeignKey(PolicyVersion, models.PROTECT, related_name="texts")
    locale = models.CharField(max_length=20)
    texts = models.JSONField(default=dict)
    hash = models.CharField(max_length=64)
    added_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "locale", "hash"], name="refund_text_once")]

    def __str__(self) -> str:
        return f"{self.version} {self.locale}"
