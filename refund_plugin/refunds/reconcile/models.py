"""Runs and what they found: fields and constraints."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.models import Refund


class RunState(models.TextChoices):
    """Where a run stands."""

    RUNNING = "running", _("running")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class ReconciliationRun(models.Model):
    """One reading of an account's whole listing over a span of time, page by page; `cursor` is where it goes on.

    `counts`: how many refunds were listed, and of these how many are ours, were made past us, are on payments of others, or told
    us something new; and how many of ours were not listed.
    """

    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="reconciliations", verbose_name=_("gateway account"))
    since = models.DateTimeField(_("since"), help_text=_("Refunds made before are not read."))
    state = models.CharField(_("state"), max_length=8, choices=RunState, default=RunState.RUNNING)
    cursor = models.CharField(max_length=255, blank=True)
    pages = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    reached = models.DateTimeField(null=True, help_text="The listing goes back in time and has come this far.")
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    started_by = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        default_permissions = ()
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["account"], condition=Q(state="running"), name="refund_reconciliation_one_running")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.started_at:%Y-%m-%d %H:%M} {self.state}"

    @property
    def share_done(self) -> float:
        """How much of the span was read, from 0 to 1."""
        if self.state == RunState.DONE:
            return 1.0
        if self.reached is None:
            return 0.0
        whole = (self.started_at - self.since).total_seconds()
        return min(0.99, max(0.0, (self.started_at - self.reached).total_seconds() / whole)) if whole > 0 else 0.99


class FindingKind(models.TextChoices):
    """What differs between the gateway and us."""

    MISSING = "missing", _("we say it was sent; the gateway does not list it")
    UNKNOWN_HERE = "unknown_here", _("the gateway has our mark on it; we do not know it")
    DIFFERS = "differs", _("the gateway tells it differently")


class Finding(models.Model):
    """One difference, open until a later run no longer finds it."""

    run = models.ForeignKey(ReconciliationRun, models.PROTECT, related_name="findings")
    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="findings")
    kind = models.CharField(_("kind"), max_length=16, choices=FindingKind)
    refund = models.ForeignKey(Refund, models.PROTECT, null=True, blank=True, related_name="findings")
    gateway_refund_id = models.CharField(max_length=255, blank=True)
    ours = models.CharField(max_length=200, blank=True)
    theirs = models.CharField(max_length=200, blank=True)
    runs = models.PositiveIntegerField(default=1, help_text="How many runs in a row found it.")
    found_at = models.DateTimeField(_("found"))
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind", "gateway_refund_id"], condition=Q(resolved_at__isnull=True), name="refund_finding_open_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.gateway_refund_id}"


class SelfTest(models.Model):
    """What a small test charge and its refund gave, step by step: name, fine, detail, seconds."""

    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="self_tests", verbose_name=_("gateway account"))
    fine = models.BooleanField(_("fine"))
    steps = models.JSONField(default=list)
    started_by = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField(_("started"))
    finished_at = models.DateTimeField(_("finished"))

    class Meta:
        verbose_name = _("self-test")
        verbose_name_plural = _("self-tests")
        default_permissions = ()
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.account_id} {self.started_at:%Y-%m-%d %H:%M}"
