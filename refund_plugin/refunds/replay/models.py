"""Replays and their changed lines; drafts that decide silently, and what they said."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.orders.models import Customer, PurchaseLine
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.refunds.models import Decision, RefundRequest
from refund_plugin.stores.models import Store


class Answer(models.TextChoices):
    """What is answered about a line; the values of `rules.Outcome`, and that nobody can tell."""

    APPROVE = "approve", _("approved")
    DECLINE = "decline", _("declined")
    REVIEW = "review", _("a person decides")
    UNCLEAR = "unclear", _("cannot be told")


class ReplayState(models.TextChoices):
    """Where a replay stands."""

    RUNNING = "running", _("running")
    DONE = "done", _("done")
    CANCELED = "canceled", _("stopped")
    FAILED = "failed", _("failed")


class ReplayKind(models.TextChoices):
    """What is judged again: what was asked for, as the facts were then; or what could be asked for now."""

    REQUESTS = "requests", _("requests")
    PURCHASES = "purchases", _("purchases")


class ReplayRun(models.Model):
    """One reading of the past by a draft, page by page; `kind` and `cursor` are where it goes on.

    The draft is copied, and nothing points at the page or its revision: editing goes on while a replay runs.

    Attributes:
        policy_key: names the policy, as `Policy.key` does; there may be no such policy yet.
        cursor: the id of the last row that was read; ids are read from the newest to the oldest.
        total: requests and purchases to read, counted when the reading begins; `read` of them are done.
        counts: see `tally`.
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    policy_key = models.CharField(max_length=64)
    document = models.TextField(help_text="Canonical JSON of the draft's clauses.")
    hash = models.CharField(max_length=64)
    since = models.DateTimeField()
    until = models.DateTimeField()
    state = models.CharField(max_length=8, choices=ReplayState, default=ReplayState.RUNNING)
    kind = models.CharField(max_length=9, choices=ReplayKind, default=ReplayKind.REQUESTS)
    cursor = models.BigIntegerField(null=True)
    total = models.PositiveBigIntegerField(null=True)
    read = models.PositiveBigIntegerField(default=0)
    counts = models.JSONField(default=dict)
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    started_by_id = models.CharField(max_length=64, blank=True)
    started_by = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("replay")
        verbose_name_plural = _("replays")
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["store", "policy_key"], condition=Q(state="running"), name="refund_replay_one_running")
        ]

    def __str__(self) -> str:
        return f"{self.policy_key} {self.started_at:%Y-%m-%d %H:%M} {self.state}"

    @property
    def days(self) -> int:
        """How many days it looks back."""
        return (self.until - self.since).days

    @property
    def share_done(self) -> float:
        """How much was read, from 0 to 1; only what has ended is whole."""
        if self.state == ReplayState.DONE:
            return 1.0
        return min(0.99, self.read / self.total) if self.total else 0.0


class ReplayChange(models.Model):
    """One line that the draft answers otherwise. `facts` are those that both answers were given on, so both can be explained.

    Attributes:
        before, before_minor: the answer that was given, or for a purchase would be given; minor units of `currency`, 0 for a no.
        request: None for a purchase about which nobody asked.
        version: what decided, or would; None when no policy was in force on the day of the purchase.
        denied: a no, where it was none.
    """

    run = models.ForeignKey(ReplayRun, models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=9, choices=ReplayKind)
    request = models.ForeignKey(RefundRequest, models.CASCADE, null=True, related_name="+")
    line = models.ForeignKey(PurchaseLine, models.CASCADE, related_name="+")
    version = models.ForeignKey(PolicyVersion, models.PROTECT, null=True, related_name="+")
    before = models.CharField(max_length=7, choices=Answer)
    after = models.CharField(max_length=7, choices=Answer)
    before_minor = models.PositiveBigIntegerField()
    after_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    denied = models.BooleanField()
    facts = models.JSONField()
    step = models.PositiveIntegerField(default=1)

    class Meta:
        verbose_name = _("changed answer")
        verbose_name_plural = _("changed answers")
        default_permissions = ()
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.line_id}: {self.before} > {self.after}"


class ReplayDenied(models.Model):
    """A customer who gets a no from the draft where it was none: each once, so that they can be counted without being remembered."""

    run = models.ForeignKey(ReplayRun, models.CASCADE, related_name="denied")
    kind = models.CharField(max_length=9, choices=ReplayKind)
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "kind", "customer"], name="refund_replay_denied_once")]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.customer_id}"


class Shadow(models.Model):
    """A frozen draft that decides silently beside the store's policy, from `starts_at` until it is stopped or its time is over."""

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    policy_key = models.CharField(max_length=64)
    document = models.TextField(help_text="Canonical JSON of the draft's clauses.")
    hash = models.CharField(max_length=64)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    stopped_at = models.DateTimeField(null=True)
    started_by_id = models.CharField(max_length=64, blank=True)
    started_by = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("silent draft")
        verbose_name_plural = _("silent drafts")
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["store", "policy_key"], condition=Q(stopped_at__isnull=True), name="refund_shadow_one_open"),
            models.CheckConstraint(condition=Q(ends_at__gt=models.F("starts_at")), name="refund_shadow_ends_later"),
        ]

    def __str__(self) -> str:
        return f"{self.policy_key} {self.starts_at:%Y-%m-%d %H:%M}"


class ShadowVerdict(models.Model):
    """What a silent draft said about one line of a decision, beside what was answered; amounts as in `ReplayChange`."""

    shadow = models.ForeignKey(Shadow, models.CASCADE, related_name="verdicts")
    decision = models.ForeignKey(Decision, models.CASCADE, related_name="+")
    line = models.ForeignKey(PurchaseLine, models.CASCADE, related_name="+")
    before = models.CharField(max_length=7, choices=Answer)
    after = models.CharField(max_length=7, choices=Answer)
    before_minor = models.PositiveBigIntegerField()
    after_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    differs = models.BooleanField()
    decided_at = models.DateTimeField()

    class Meta:
        verbose_name = _("silent answer")
        verbose_name_plural = _("silent answers")
        default_permissions = ()
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["shadow", "decision", "line"], name="refund_shadow_once")]
        indexes = [models.Index(fields=["shadow", "differs", "-id"], name="refund_shadow_differs")]

    def __str__(self) -> str:
        return f"{self.line_id}: {self.before} > {self.after}"
