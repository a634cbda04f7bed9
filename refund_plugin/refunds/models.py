"""Requests, decisions, refunds, allocations and attempts: fields and constraints, no workflow."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.guards import Transitions
from refund_plugin.money import Money
from refund_plugin.orders.models import Customer, Payment, Purchase, PurchaseLine
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.refunds.brake.models import BrakeReason
from refund_plugin.refunds.states import STATE_CHANGES, RefundState, RequestState
from refund_plugin.stores.models import Store


class RequestReason(models.TextChoices):
    """Why the customer asks, in their own terms."""

    CHANGED_MIND = "changed_mind", _("I changed my mind")
    NOT_AS_DESCRIBED = "not_as_described", _("It is not what was described")
    DEFECTIVE = "defective", _("It does not work")
    BOUGHT_TWICE = "bought_twice", _("I bought it twice")
    NOT_RECOGNISED = "not_recognised", _("I do not recognise this purchase")
    OTHER = "other", _("Something else")


class RefundRequest(models.Model):
    """What a customer or staff asks for. `reference` is the human id; the UUID is never shown to customers."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    reference = models.CharField(_("reference"), max_length=12, unique=True)
    store = models.ForeignKey(Store, models.PROTECT, related_name="refund_requests")
    purchase = models.ForeignKey(Purchase, models.PROTECT, related_name="refund_requests", verbose_name=_("purchase"))
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="refund_requests")
    state = models.CharField(_("state"), max_length=16, choices=RequestState, default=RequestState.SUBMITTED)
    reason = models.CharField(_("reason"), max_length=20, choices=RequestReason, default=RequestReason.OTHER)
    message = models.TextField(_("message"), blank=True)
    wants_person = models.BooleanField(default=False, help_text=_("The customer asks that a person looks."))
    evidence_question = models.TextField(blank=True)
    submission_key = models.CharField(max_length=64, help_text="One form, one key: a second submit returns the first request.")
    policy_version = models.ForeignKey(PolicyVersion, models.PROTECT, null=True, related_name="+")
    is_withdrawal = models.BooleanField(
        _("statutory withdrawal"), default=False, help_text=_("The customer declared a withdrawal: recorded, not approved.")
    )
    withdrawn_at = models.DateTimeField(null=True, blank=True, help_text=_("When the declaration arrived."))
    reimburse_by = models.DateTimeField(_("reimburse by"), null=True, blank=True, help_text=_("The law's last moment for the money."))
    channel = models.CharField(max_length=20, default="web", help_text="web, graphql, command, staff …")
    locale = models.CharField(max_length=20, blank=True)
    tracking_nonce = models.CharField(max_length=32, help_text="Part of the tracking link's signature; changing it ends old links.")
    created_at = models.DateTimeField(_("asked"))
    changed_at = models.DateTimeField(_("last change"))
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("refund request")
        verbose_name_plural = _("refund requests")
        default_permissions = ()  # nothing is added, changed or deleted by hand: the verbs below are the only ways
        permissions = [
            ("view_cases", _("Can see refund requests and purchases")),
            ("approve_refunds", _("Can approve refunds")),
            ("decline_refunds", _("Can decline refunds")),
            ("ask_evidence", _("Can ask customers for evidence")),
            ("pay_by_hand", _("Can pay refunds by hand")),
            ("give_incentives", _("Can give customers vouchers and gift cards")),
        ]
        constraints = [
            models.UniqueConstraint(fields=["purchase", "submission_key"], name="refund_request_once"),
            models.CheckConstraint(condition=Q(state__in=RequestState.values), name="refund_request_state"),
            models.CheckConstraint(
                condition=Q(is_withdrawal=False) | Q(withdrawn_at__isnull=False, reimburse_by__isnull=False),
                name="refund_request_withdrawal",
            ),
        ]
        indexes = [
            models.Index(fields=["store", "state", "created_at"], name="refund_request_queue"),
            models.Index(fields=["customer", "-created_at"], name="refund_request_customer"),
            models.Index(fields=["reimburse_by"], condition=Q(is_withdrawal=True), name="refund_request_reimburse"),
        ]

    def __str__(self) -> str:
        return self.reference


class RequestLine(models.Model):
    """One line a request asks for."""

    request = models.ForeignKey(RefundRequest, models.PROTECT, related_name="lines")
    line = models.ForeignKey(PurchaseLine, models.PROTECT, related_name="request_lines")
    quantity = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["request", "line"], name="refund_request_line_once")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.line_id}"


class DecisionOutcome(models.TextChoices):
    """What was decided."""

    APPROVED = "approved", _("approved")
    DECLINED = "declined", _("declined")
    REVIEW = "review", _("a person must look")
    EVIDENCE = "evidence", _("evidence asked for")


class Decision(models.Model):
    """Append-only: by the engine or a person. The same policy version and facts give the same verdicts, byte for byte.

    `facts` and `verdicts` are lists of canonical JSON, one per requested line, in the request's order;
    `amounts` maps line ids to minor units.
    """

    request = models.ForeignKey(RefundRequest, models.PROTECT, related_name="decisions")
    outcome = models.CharField(max_length=10, choices=DecisionOutcome)
    policy_version = models.ForeignKey(PolicyVersion, models.PROTECT, null=True, related_name="+")
    facts = models.JSONField(default=list)
    verdicts = models.JSONField(default=list)
    amounts = models.JSONField(default=dict)
    amount_minor = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    reason = models.TextField(blank=True)
    is_override = models.BooleanField(default=False, help_text="A person decided other than the engine.")
    brake = models.CharField(max_length=12, choices=BrakeReason, blank=True, help_text="Why the engine left it to a person.")
    actor_kind = models.CharField(max_length=12)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=200, blank=True)
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.outcome} {self.decided_at:%Y-%m-%d %H:%M}"

    @property
    def amount(self) -> Money:
        """What was granted in all."""
        return Money(self.amount_minor, self.currency)


class RefundOrigin(models.TextChoices):
    """Who started the movement of money."""

    ENGINE = "engine", _("policy")
    STAFF = "staff", _("staff")
    STORE = "store", _("store")
    EXTERNAL = "external", _("gateway dashboard")


class Operation(models.TextChoices):
    """What the gateway is asked to do."""

    REFUND = "refund", _("refund")
    CANCEL_PAYMENT = "cancel_payment", _("cancel the uncaptured payment")


class WaitsFor(models.TextChoices):
    """Why a refund that is reserved may not be sent yet."""

    NOTHING = "", _("nothing")
    SUBSCRIPTION = "subscription", _("the end of the subscription")
    PERSON = "person", _("a person")


class Refund(models.Model):
    """One movement of money on one payment = one object at the gateway = one key, for life.

    A refund found at the gateway that nobody here asked for has the origin `external`, and neither request nor decision.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # each index makes every claim dearer; these three would choose badly (few stores and accounts) or find what `request` finds
    store = models.ForeignKey(Store, models.PROTECT, related_name="refunds", db_index=False)
    request = models.ForeignKey(RefundRequest, models.PROTECT, null=True, blank=True, related_name="refunds")
    decision = models.ForeignKey(Decision, models.PROTECT, null=True, blank=True, related_name="refunds", db_index=False)
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="refunds")
    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="refunds", db_index=False)
    livemode = models.BooleanField()
    amount_minor = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(_("state"), max_length=16, choices=RefundState, default=RefundState.RESERVED)
    origin = models.CharField(max_length=10, choices=RefundOrigin, default=RefundOrigin.ENGINE)
    operation = models.CharField(max_length=16, choices=Operation, default=Operation.REFUND)
    supersedes = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="successor")
    owed = models.BooleanField(default=True, help_text="A debt to the customer stands behind it: not canceled, given up or superseded.")
    waits_for = models.CharField(max_length=12, choices=WaitsFor, blank=True, default=WaitsFor.NOTHING)
    idempotency_key = models.CharField(max_length=255)
    command = models.JSONField(null=True, help_text="What is sent, frozen at the first attempt.")
    gateway_refund_id = models.CharField(max_length=255, blank=True)
    failure_code = models.CharField(max_length=80, blank=True)
    failure_message = models.CharField(max_length=500, blank=True)
    trace_reference = models.CharField(max_length=120, blank=True)
    maybe_executed = models.BooleanField(default=False, help_text="Some attempt may have reached the gateway.")
    attempt_count = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(help_text="When a worker should look again; the database's clock.")
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    first_sent_at = models.DateTimeField(null=True)
    list_first = models.BooleanField(default=False, help_text="Look into the gateway's listing before sending, as after a restore.")
    listed_at = models.DateTimeField(null=True, help_text="When a complete listing before the first sending did not have it.")
    absent_since = models.DateTimeField(null=True, help_text="The first complete listing without it since it was last sent.")
    absent_at = models.DateTimeField(null=True, help_text="The last complete listing without it since it was last sent.")
    key_known_at = models.DateTimeField(null=True, help_text="When the gateway said that it knows the key.")
    stored_error = models.BooleanField(default=False, help_text="The gateway keeps an error under the key: a replay tells nothing new.")
    created_at = models.DateTimeField()
    reserved_at = models.DateTimeField(help_text="When it was made, by the database's clock: its key can be no older.")
    settled_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True, help_text="When the gateway said what `state` says; its own clock, if it told.")
    heard_at = models.DateTimeField(null=True, help_text="When we heard what `state` says; the database's clock.")
    seen_at = models.DateTimeField(null=True, help_text="When a listing of the gateway last showed it; the database's clock.")
    needs_person = models.CharField(max_length=200, blank=True, help_text="Why a person must look at the money.")
    claimed_by_id = models.CharField(max_length=64, blank=True, help_text="Who pays it by hand.")
    claimed_by_label = models.CharField(max_length=200, blank=True)
    claimed_at = models.DateTimeField(null=True)
    proof = models.JSONField(null=True, help_text="How it was paid by hand: method, reference, day, note.")

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            # not `unique=True`, which on PostgreSQL brings a second index that every claim would have to maintain
            models.UniqueConstraint(fields=["idempotency_key"], name="refund_key_once"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_amount_positive"),
            models.CheckConstraint(condition=Q(state__in=RefundState.values), name="refund_state_known"),
            models.CheckConstraint(
                condition=Q(origin=RefundOrigin.EXTERNAL) | Q(request__isnull=False, decision__isnull=False), name="refund_asked_for"
            ),
            models.UniqueConstraint(
                fields=["account", "livemode", "gateway_refund_id"], condition=~Q(gateway_refund_id=""), name="refund_gateway_id_once"
            ),
            Transitions(name="refund_state_changes", field="state", allowed=STATE_CHANGES),
        ]
        indexes = [
            models.Index(
                fields=["account", "due_at", "id"],
                condition=Q(state__in=["reserved", "processing", "unknown", "pending"], waits_for=""),
                name="refund_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.state}"

    @property
    def amount(self) -> Money:
        """The amount, in the payment's currency."""
        return Money(self.amount_minor, self.currency)


class Allocation(models.Model):
    """Which part of a refund belongs to which line; parts and tax add up exactly."""

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="allocations")
    line = models.ForeignKey(PurchaseLine, models.PROTECT, related_name="allocations")
    quantity = models.PositiveIntegerField()
    counted_quantity = models.PositiveIntegerField(help_text="Units it counts for on the line now; fewer when they were given away.")
    gross_minor = models.PositiveBigIntegerField()
    tax_minor = models.PositiveBigIntegerField()
    tax_rate_percent = models.DecimalField(max_digits=6, decimal_places=3, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["refund", "line"], name="refund_allocation_once"),
            models.CheckConstraint(condition=Q(tax_minor__lte=F("gross_minor")), name="refund_allocation_tax"),
        ]

    def __str__(self) -> str:
        return f"{self.gross_minor} of {self.line_id}"

    @property
    def net_minor(self) -> int:
        """Gross less tax."""
        return self.gross_minor - self.tax_minor


class AttemptPurpose(models.TextChoices):
    """What the call to the gateway was for."""

    SEND = "send"
    REPLAY = "replay"
    RETRIEVE = "retrieve"
    LIST = "list"
    BURN = "burn"  # make the key useless, so that a late sender cannot pay


class Attempt(models.Model):
    """One call to a gateway, committed before the call is made. An open row (`ended_at` null) is a call in flight."""

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="attempts")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="attempts")
    number = models.PositiveIntegerField()
    fence = models.PositiveIntegerField()
    purpose = models.CharField(max_length=8, choices=AttemptPurpose)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=20, blank=True)
    code = models.CharField(max_length=80, blank=True)
    message = models.CharField(max_length=500, blank=True)
    raw = models.JSONField(default=dict)

    class Meta:
        ordering = ["refund", "number"]
        constraints = [
            models.UniqueConstraint(fields=["refund", "number"], name="refund_attempt_number"),
            models.UniqueConstraint(fields=["payment"], condition=Q(ended_at__isnull=True), name="refund_attempt_one_in_flight"),
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.number}: {self.answer or 'in flight'}"


class Alert(models.Model):
    """One thing about money that a person must look at; `key` names it, and only one of a key is open at a time."""

    store = models.ForeignKey(Store, models.PROTECT, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=40, db_index=True)
    key = models.CharField(max_length=120)
    why = models.CharField(max_length=500)
    refund = models.ForeignKey("Refund", models.PROTECT, null=True, blank=True, related_name="alerts")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, blank=True, related_name="alerts")
    account = models.ForeignKey(GatewayAccount, models.PROTECT, null=True, blank=True, related_name="alerts")
    details = models.JSONField(default=dict, blank=True)
    raised_at = models.DateTimeField(_("raised"))
    looked_at = models.DateTimeField(_("looked at"), null=True, blank=True)
    looked_by_id = models.CharField(max_length=64, blank=True)
    looked_by_label = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        default_permissions = ()
        ordering = ["-raised_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["key"], condition=Q(looked_at__isnull=True), name="refund_alert_open_once")]

    def __str__(self) -> str:
        return self.why


class DisputeKind(models.TextChoices):
    """How far the customer's bank has gone; only a formal dispute takes money."""

    WARNING = "warning", _("early fraud warning")
    INQUIRY = "inquiry", _("inquiry")
    FORMAL = "formal", _("dispute")


class DisputeOutcome(models.TextChoices):
    """How it ended."""

    OPEN = "", _("open")
    WON = "won", _("won")
    LOST = "lost", _("lost")
    CLOSED = "closed", _("closed")


class Dispute(models.Model):
    """A payment that the customer's bank doubts, as the gateway told it last.

    `counted_minor` is this dispute's part of the payment's `disputed_minor`: the amount while a formal dispute is open, and for
    good once it is lost, because the bank keeps the money; nothing once it is won. An inquiry and a warning never count.
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="disputes", verbose_name=_("payment"))
    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="+")
    livemode = models.BooleanField()
    gateway_dispute_id = models.CharField(max_length=255)
    kind = models.CharField(_("kind"), max_length=8, choices=DisputeKind)
    status = models.CharField(max_length=40, help_text="The gateway's own word.")
    outcome = models.CharField(_("outcome"), max_length=8, choices=DisputeOutcome, blank=True, default=DisputeOutcome.OPEN)
    reason = models.CharField(_("reason"), max_length=60, blank=True)
    amount_minor = models.PositiveBigIntegerField(default=0)
    counted_minor = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    fee_minor = models.BigIntegerField(default=0, help_text="What the gateway has charged for it, in the settlement currency.")
    exchange_minor = models.BigIntegerField(default=0, help_text="Lost by the exchange when the money came back; below zero: won.")
    settlement_currency = models.CharField(max_length=3, blank=True)
    evidence_due = models.DateTimeField(_("evidence due"), null=True, blank=True)
    opened_at = models.DateTimeField(_("opened"))
    closed_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(help_text="When the gateway said what stands here; an older word changes nothing.")

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        default_permissions = ()
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "livemode", "gateway_dispute_id"], name="refund_dispute_once"),
            models.CheckConstraint(condition=Q(counted_minor__lte=F("amount_minor")), name="refund_dispute_counted"),
            models.CheckConstraint(condition=Q(counted_minor=0) | Q(kind="formal"), name="refund_dispute_only_formal_counts"),
        ]

    def __str__(self) -> str:
        return self.gateway_dispute_id

    @property
    def amount(self) -> Money:
        """What the bank doubts."""
        return Money(self.amount_minor, self.currency)
