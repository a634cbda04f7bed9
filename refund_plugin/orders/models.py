"""Customers, purchases, their lines and payments, and the access ledger."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.guards import AppendOnly
from refund_plugin.money import Money
from refund_plugin.stores.models import Store

# in metadata: the ids that what was bought at a Saleor has there
SALEOR_ORDER, SALEOR_LINE, SALEOR_TRANSACTION, SALEOR_CUSTOMER = "saleor_order", "saleor_line", "saleor_transaction", "saleor_customer"


class BuyerKind(models.TextChoices):
    """Consumers have rights that businesses have not; unknown counts as consumer."""

    CONSUMER = "consumer", _("consumer")
    BUSINESS = "business", _("business")
    UNKNOWN = "unknown", _("unknown")


class Nature(models.TextChoices):
    """EU Directive 2011/83 treats digital content and digital services differently."""

    CONTENT = "content", _("digital content")
    SERVICE = "service", _("digital service")


class Customer(models.Model):
    """The erasable row: everything that names a person hangs here and nowhere else.

    An address proves nothing, because anybody can type it at a checkout: who may see a purchase is known to the purchase.
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="customers")
    email = models.EmailField(_("e-mail"), help_text=_("Lower case."))
    name = models.CharField(_("name"), max_length=200, blank=True)
    locale = models.CharField(max_length=20, blank=True)

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        constraints = [models.UniqueConstraint(fields=["store", "email"], name="refund_customer_email")]

    def __str__(self) -> str:
        return self.email


class Purchase(models.Model):
    """Our record of an order, whatever the store.

    `user` is who bought it signed in, and owns this purchase only.
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="purchases")
    number = models.CharField(_("order number"), max_length=64)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="purchases", verbose_name=_("customer"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")
    currency = models.CharField(max_length=3)
    purchased_at = models.DateTimeField(_("bought"))
    buyer_kind = models.CharField(max_length=10, choices=BuyerKind, default=BuyerKind.UNKNOWN)
    country = models.CharField(max_length=2, blank=True)
    channel = models.CharField(max_length=64, blank=True)
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("purchase")
        verbose_name_plural = _("purchases")
        constraints = [models.UniqueConstraint(fields=["store", "number"], name="refund_purchase_number")]
        indexes = [
            models.Index(fields=["customer", "-purchased_at"], name="refund_purchase_customer"),
            models.Index(KeyTransform(SALEOR_ORDER, "metadata"), name="refund_purchase_saleor_order"),
            models.Index(KeyTransform(SALEOR_CUSTOMER, "metadata"), name="refund_purchase_saleor_user"),
        ]

    def __str__(self) -> str:
        return self.number


class PurchaseLine(models.Model):
    """One line of a purchase; amounts in minor units of the purchase's currency, after discounts, tax included."""

    purchase = models.ForeignKey(Purchase, models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField(default=0)
    sku = models.CharField(_("SKU"), max_length=120)
    name = models.CharField(_("name"), max_length=300)
    product_type = models.CharField(max_length=120, blank=True)
    categories = models.JSONField(default=list, blank=True)
    tags = models.JSONField(default=list, blank=True)
    nature = models.CharField(max_length=10, choices=Nature, default=Nature.CONTENT)
    quantity = models.PositiveIntegerField(_("quantity"), default=1)
    paid_minor = models.PositiveBigIntegerField(_("paid"))
    tax_minor = models.PositiveBigIntegerField(_("tax included"), default=0)
    tax_rate_percent = models.DecimalField(max_digits=6, decimal_places=3, default=0)
    term_start = models.DateTimeField(null=True, blank=True)
    term_end = models.DateTimeField(null=True, blank=True)
    units_granted = models.PositiveIntegerField(null=True, blank=True)
    unit_name = models.CharField(max_length=40, blank=True)
    held_minor = models.PositiveBigIntegerField(default=0)
    gone_minor = models.PositiveBigIntegerField(default=0)
    held_quantity = models.PositiveIntegerField(default=0)
    gone_quantity = models.PositiveIntegerField(default=0)
    over_minor = models.PositiveBigIntegerField(default=0, help_text=_("More gone than paid: only the gateway's word raises it."))
    refunded_tax_minor = models.PositiveBigIntegerField(default=0, help_text=_("Tax within held and gone."))
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("purchase line")
        verbose_name_plural = _("purchase lines")
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["purchase", "position"], name="refund_line_position"),
            models.CheckConstraint(
                condition=Q(paid_minor__gte=F("held_minor") + F("gone_minor") - F("over_minor")), name="refund_line_amount_left"
            ),
            models.CheckConstraint(condition=Q(quantity__gte=F("held_quantity") + F("gone_quantity")), name="refund_line_quantity_left"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="refund_line_quantity_positive"),
            models.CheckConstraint(condition=Q(tax_minor__lte=F("paid_minor")), name="refund_line_tax_within_paid"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def quantity_left(self) -> int:
        """Units that are neither refunded nor on their way."""
        return self.quantity - self.held_quantity - self.gone_quantity

    @property
    def left_minor(self) -> int:
        """Minor units that are neither refunded nor on their way."""
        return max(0, self.paid_minor - self.held_minor - self.gone_minor)


class Payment(models.Model):
    """Money captured for a purchase; `held + gone + disputed <= captured + over` always (domain invariant 1)."""

    purchase = models.ForeignKey(Purchase, models.PROTECT, related_name="payments")
    account = models.ForeignKey(GatewayAccount, models.PROTECT, related_name="payments")
    livemode = models.BooleanField(default=False)
    gateway_payment_id = models.CharField(max_length=255)
    currency = models.CharField(max_length=3)
    captured_minor = models.PositiveBigIntegerField(help_text=_("What was authorised, while it is not captured."))
    is_captured = models.BooleanField(_("captured"), default=True)
    held_minor = models.PositiveBigIntegerField(default=0)
    gone_minor = models.PositiveBigIntegerField(default=0)
    disputed_minor = models.PositiveBigIntegerField(default=0)
    over_minor = models.PositiveBigIntegerField(default=0)
    unallocated_minor = models.PositiveBigIntegerField(default=0, help_text=_("Refunded at the gateway, not yet assigned to lines."))
    settlement_minor = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("What reached the merchant's balance."))
    settlement_currency = models.CharField(max_length=3, blank=True)
    fee_minor = models.PositiveBigIntegerField(null=True, blank=True, help_text=_("The gateway's fee, in the settlement currency."))
    subscription_id = models.CharField(max_length=255, blank=True, help_text=_("The gateway's subscription that it paid for."))
    invoice_id = models.CharField(max_length=255, blank=True)
    method = models.CharField(max_length=40, blank=True, help_text=_("card, sepa_debit, …"))
    brand = models.CharField(max_length=40, blank=True)
    last4 = models.CharField(max_length=4, blank=True)
    captured_at = models.DateTimeField(null=True, blank=True)
    history_due_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("When to ask the gateway what was refunded and disputed before we knew it; empty when that is known."),
    )
    metadata = models.JSONField(default=dict, blank=True)

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "livemode", "gateway_payment_id"], name="refund_payment_gateway_id"),
            models.CheckConstraint(
                condition=Q(captured_minor__gte=F("held_minor") + F("gone_minor") + F("disputed_minor") - F("over_minor")),
                name="refund_payment_balance",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "subscription_id"], condition=~Q(subscription_id=""), name="refund_payment_subscription"),
            models.Index(fields=["history_due_at"], condition=Q(history_due_at__isnull=False), name="refund_payment_history"),
        ]

    def __str__(self) -> str:
        return self.gateway_payment_id

    @property
    def left(self) -> Money:
        """What may still be refunded."""
        return Money(max(0, self.captured_minor + self.over_minor - self.held_minor - self.gone_minor - self.disputed_minor), self.currency)


class AccessKind(models.TextChoices):
    """Facts of use."""

    DOWNLOADED = "downloaded", _("downloaded")
    VIEWED = "viewed", _("viewed")
    STREAMED = "streamed", _("streamed")
    ACTIVATED = "activated", _("licence activated")
    CONSUMED = "consumed", _("unit used")
    CERTIFIED = "certified", _("certificate issued")


class AccessEvent(models.Model):
    """Append-only fact that a line was used.

    `amount` is how many units (consumed) or how many percent in all were viewed so far (viewed); 1 for the others.
    `source` is who tells it, and `source_id` their name of the fact: the same fact told twice is one row. What turns out to
    be wrong stays, and an `AccessCorrection` takes it out of the sums.
    """

    line = models.ForeignKey(PurchaseLine, models.PROTECT, related_name="access_events")
    kind = models.CharField(max_length=12, choices=AccessKind)
    amount = models.PositiveIntegerField(default=1)
    source = models.CharField(max_length=40, default="shop")
    source_id = models.CharField(max_length=120)
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(db_default=Now(), help_text="When we were told; the database's clock.")

    class Meta:
        verbose_name = _("access event")
        verbose_name_plural = _("access events")
        constraints = [
            models.UniqueConstraint(fields=["line", "source", "source_id"], name="refund_access_source"),
            AppendOnly(name="refund_access_append_only"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.occurred_at:%Y-%m-%d %H:%M}"


class CorrectionReason(models.TextChoices):
    """Why a recorded use does not count; customers read it."""

    FAILED = "failed", _("it failed")
    NOT_CUSTOMER = "not_customer", _("it was not the customer")
    TWICE = "twice", _("it was recorded twice")
    MISTAKE = "mistake", _("it was recorded by mistake")


class AccessCorrection(models.Model):
    """Append-only: a recorded use that does not count, once and for good. `note` is for colleagues."""

    event = models.OneToOneField(AccessEvent, models.PROTECT, related_name="correction")
    reason = models.CharField(max_length=20, choices=CorrectionReason)
    note = models.TextField()
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=64, blank=True)
    corrected_at = models.DateTimeField()

    class Meta:
        verbose_name = _("access correction")
        verbose_name_plural = _("access corrections")
        default_permissions = ()
        permissions = [("correct_access", _("Can say that a recorded use does not count"))]
        constraints = [AppendOnly(name="refund_access_correction_append_only")]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.reason}"


class SalesBackfill(models.Model):
    """How far the older sales of an account have been read; committed page by page, so that a run that ended early goes on.

    `counts`: of the sales that were read, how many were recorded, left out and so on (the fields of `BackfillReport`).
    """

    account = models.OneToOneField(GatewayAccount, models.CASCADE, related_name="+")
    since = models.DateTimeField(null=True, help_text="Older sales are left out.")
    kind = models.CharField(max_length=20, help_text="Which listing is read; sessions come before invoices.")
    cursor = models.CharField(max_length=255, blank=True)
    is_automatic = models.BooleanField(default=False, help_text="Workers read on by themselves; else somebody runs the command.")
    counts = models.JSONField(default=dict, blank=True)
    expected = models.PositiveIntegerField(null=True, help_text="How many sales there are, where the gateway counts them.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Pages that could not be read, in a row.")
    last_error = models.CharField(max_length=200, blank=True)
    lease_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.account_id}: {self.kind} {self.cursor}"

    @property
    def read(self) -> int:
        """How many sales were read."""
        return sum(self.counts.values())

    @property
    def share_done(self) -> float:
        """How much was read, from 0 to 1; 0 while nobody knows how much there is."""
        if self.finished_at is not None:
            return 1.0
        return min(0.99, self.read / self.expected) if self.expected else 0.0
