"""Postings and credit notes: fields and guards."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.guards import AppendOnly, Balanced
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Refund
from refund_plugin.stores.models import Store


class Account(models.TextChoices):
    """The accounts that refunds touch; a bookkeeper maps them to the merchant's own chart."""

    REVENUE_CONTRA = "revenue_contra", _("revenue, returned")
    TAX = "tax", _("tax, returned")
    CUSTOMER_PAYABLE = "customer_payable", _("owed to customers")
    IN_TRANSIT = "in_transit", _("on its way to customers")
    GATEWAY_CLEARING = "gateway_clearing", _("gateway clearing")
    UNALLOCATED = "unallocated", _("refunded at the gateway, not assigned")
    BANK = "bank", _("bank")
    STORE_CREDIT = "store_credit", _("store credit")
    DISPUTE_RECEIVABLE = "dispute_receivable", _("disputed payments")
    LOSS = "loss", _("lost disputes")
    CUSTOMER_RECEIVABLE = "customer_receivable", _("paid to customers without a debt")
    FEE = "fee", _("gateway fees")
    EXCHANGE = "exchange", _("exchange differences")


class LedgerEvent(models.TextChoices):
    """What was booked."""

    RESERVED = "reserved", _("refund reserved")
    RELEASED = "released", _("refund canceled or given up")
    SUPERSEDED = "superseded", _("debt handed to a successor")
    PENDING = "pending", _("sent, with the bank")
    SUCCEEDED = "succeeded", _("refunded")
    FAILED = "failed", _("returned by the bank")
    EXTERNAL = "external", _("refunded at the gateway")
    ALLOCATED = "allocated", _("external refund assigned")
    PAID_BY_HAND = "paid_by_hand", _("paid by a person")
    BOUNCED = "bounced", _("payment by hand bounced")
    DISPUTE_OPENED = "dispute_opened", _("dispute opened")
    DISPUTE_WON = "dispute_won", _("dispute won")
    DISPUTE_LOST = "dispute_lost", _("dispute lost")
    FEE = "fee", _("fee")
    EXCHANGE = "exchange", _("exchange difference")


class LedgerEntry(models.Model):
    """One posting. The postings of one `movement` share an event and a currency, and balance; none is ever changed.

    Holds ids only, so that a person can be forgotten while the books stay true.
    """

    movement = models.UUIDField(default=uuid.uuid4)
    event = models.CharField(max_length=16, choices=LedgerEvent)
    account = models.CharField(max_length=20, choices=Account)
    debit_minor = models.PositiveBigIntegerField(default=0)
    credit_minor = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3)
    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    refund = models.ForeignKey(Refund, models.PROTECT, null=True, related_name="ledger_entries")
    payment = models.ForeignKey(Payment, models.PROTECT, null=True, related_name="ledger_entries")
    recorded_at = models.DateTimeField(_("booked"))

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        ordering = ["id"]
        default_permissions = ()
        permissions = [("view_books", _("Can see the books of refunds and download them"))]
        constraints = [
            models.CheckConstraint(condition=Q(debit_minor=0) | Q(credit_minor=0), name="refund_ledger_one_side"),
            models.CheckConstraint(condition=Q(debit_minor__gt=0) | Q(credit_minor__gt=0), name="refund_ledger_amount"),
            AppendOnly(name="refund_ledger_append_only"),
            Balanced(name="refund_ledger_balanced", group=["movement", "currency"], debit="debit_minor", credit="credit_minor"),
        ]
        indexes = [models.Index(fields=["store", "recorded_at"], name="refund_ledger_journal")]

    def __str__(self) -> str:
        return f"{self.event} {self.account} {self.debit_minor or -self.credit_minor} {self.currency}"


class CreditNoteSeries(models.Model):
    """Who holds this row's lock takes the next number; a transaction that fails gives its number back by rolling back."""

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    prefix = models.CharField(max_length=20)
    last_number = models.PositiveBigIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["store", "prefix"], name="refund_credit_note_series")]

    def __str__(self) -> str:
        return f"{self.prefix}{self.last_number}"


class CreditNote(models.Model):
    """A document about money given back: issued once, never changed. A correction (`corrects`) has negative amounts.

    `lines` holds, by tax rate and line: name, SKU, quantity, gross, tax and net in minor units. No personal data: the address
    on the page comes from the customer's row, which can be erased.
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="credit_notes")
    series = models.ForeignKey(CreditNoteSeries, models.PROTECT, related_name="notes")
    number = models.PositiveBigIntegerField()
    label = models.CharField(_("number"), max_length=40)
    refund = models.ForeignKey(Refund, models.PROTECT, related_name="credit_notes")
    position = models.PositiveSmallIntegerField(help_text="1 for the first document about this refund, 2 for its correction …")
    corrects = models.OneToOneField("self", models.PROTECT, null=True, blank=True, related_name="correction")
    issued_at = models.DateTimeField(_("issued"))
    tax_period = models.CharField(_("tax period"), max_length=7, help_text="2026-03: the month of issue in the store's time zone.")
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField(_("amount"))
    tax_minor = models.BigIntegerField(_("tax"))
    lines = models.JSONField()

    class Meta:
        verbose_name = _("credit note")
        verbose_name_plural = _("credit notes")
        default_permissions = ()
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["series", "number"], name="refund_credit_note_number"),
            models.UniqueConstraint(fields=["store", "label"], name="refund_credit_note_label"),
            models.UniqueConstraint(fields=["refund", "position"], name="refund_credit_note_once"),
            AppendOnly(name="refund_credit_note_append_only"),
        ]
        indexes = [models.Index(fields=["store", "tax_period"], name="refund_credit_note_period")]

    def __str__(self) -> str:
        return self.label

    @property
    def gross(self) -> Money:
        """What was given back; below zero in a correction."""
        return Money(self.gross_minor, self.currency)

    @property
    def tax(self) -> Money:
        """The tax within it."""
        return Money(self.tax_minor, self.currency)
