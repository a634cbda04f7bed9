"""The consent ledger: what a customer agreed to before what they bought began, in the exact words they read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from refund_plugin.guards import AppendOnly
from refund_plugin.orders.models import PurchaseLine
from refund_plugin.stores.models import Store


class Consent(models.Model):
    """Append-only: one answer of one customer to one wording, for a purchase line or for an order that may not be recorded yet.

    The wording is copied, never pointed at: what an editor changes later changes nothing here. It names no person: who it was
    hangs at the purchase. Source: Directive 2011/83/EU art. 7(3), 8(8) and 16(a) and (m).
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    line = models.ForeignKey(PurchaseLine, models.PROTECT, null=True, blank=True, related_name="consents")
    order_number = models.CharField(max_length=64, blank=True, help_text="When the line was not known yet.")
    sku = models.CharField(max_length=120, blank=True, help_text="With the order number; empty means every line of the order.")
    wording = models.TextField(help_text="What the customer read, to the character.")
    wording_hash = models.CharField(max_length=64, help_text="SHA-256 of the wording in UTF-8, in hex.")
    locale = models.CharField(max_length=20)
    agreed_to_begin = models.BooleanField(help_text="Asked that it begin before the time to withdraw is over.")
    acknowledged = models.BooleanField(help_text="Understood that the right to withdraw ends with that.")
    given_at = models.DateTimeField()
    source = models.CharField(max_length=40, default="checkout")
    source_id = models.CharField(max_length=120)
    recorded_at = models.DateTimeField(db_default=Now(), help_text="When we were told; the database's clock.")

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["store", "source", "source_id"], name="refund_consent_source"),
            models.CheckConstraint(
                condition=Q(line__isnull=False, order_number="", sku="") | (Q(line__isnull=True) & ~Q(order_number="")),
                name="refund_consent_of_something",
            ),
            AppendOnly(name="refund_consent_append_only"),
        ]
        indexes = [
            models.Index(fields=["store", "order_number"], condition=~Q(order_number=""), name="refund_consent_order"),
            models.Index(fields=["store", "given_at"], name="refund_consent_given"),
        ]

    def __str__(self) -> str:
        return f"{self.line_id or self.order_number} {self.given_at:%Y-%m-%d %H:%M}"


class ConsentConfirmation(models.Model):
    """Append-only: the wording and the answer were handed over on a durable medium, such as a mail.

    Source: Directive 2011/83/EU art. 7(2) and 8(7), which art. 16(m)(iii) asks for.
    """

    consent = models.OneToOneField(Consent, models.PROTECT, related_name="confirmation")
    confirmed_at = models.DateTimeField()
    channel = models.CharField(max_length=20, default="mail")

    class Meta:
        default_permissions = ()
        constraints = [AppendOnly(name="refund_consent_confirmation_append_only")]

    def __str__(self) -> str:
        return f"{self.consent_id}: {self.confirmed_at:%Y-%m-%d %H:%M}"
