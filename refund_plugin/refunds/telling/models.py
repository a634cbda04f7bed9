"""What a store asked for in its own back office, and what it was told about refunds."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Refund
from refund_plugin.stores.models import Store


class StoreAsk(models.Model):
    """One wish for a refund that came out of a store's own back office, and the answer it got: asked again, it gets the same one.

    `key` names the wish itself, `debt` what it is for (a refund that was granted there), which may be wished for again after it failed.
    """

    store = models.ForeignKey(Store, models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    debt = models.CharField(max_length=255, blank=True)
    refund = models.ForeignKey(Refund, models.PROTECT, null=True, related_name="store_asks", help_text="Empty when it was refused.")
    refusal = models.CharField(max_length=512, blank=True)
    amount_minor = models.PositiveBigIntegerField()
    asked_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["store", "key"], name="refund_store_ask_once"),
            models.CheckConstraint(condition=Q(refund__isnull=False) | ~Q(refusal=""), name="refund_store_ask_answered"),
        ]

    def __str__(self) -> str:
        return self.key


class ToldState(models.TextChoices):
    """What a store needs to know of a refund."""

    UNDER_WAY = "under_way", _("under way")
    REFUNDED = "refunded", _("refunded")
    FAILED = "failed", _("failed")


class StoreTelling(models.Model):
    """One refund in the store's books: how it should stand there (`wanted`), and how the store confirmed it (`done`).

    It goes by the id of `refund`. A retry on our side is the same refund there, so `current` is the last of them and its state counts;
    but once the store may have booked the money as gone (`told_refunded`), what follows gets an entry of its own.
    `due_at` is null while both agree.
    """

    refund = models.OneToOneField(Refund, models.PROTECT, related_name="store_telling")
    current = models.OneToOneField(Refund, models.PROTECT, related_name="store_told_by")
    asked_at = models.DateTimeField(null=True, help_text="When the store itself asked for it, last.")
    wanted = models.CharField(max_length=10, choices=ToldState)
    done = models.CharField(max_length=10, choices=ToldState, blank=True)
    told_refunded = models.BooleanField(default=False, help_text="The store was told, or may have been, that the money has gone.")
    version = models.PositiveIntegerField(default=0, help_text="Rises with every change of what is wanted.")
    failures = models.PositiveIntegerField(default=0, help_text="Tries in a row that the store did not confirm.")
    last_error = models.CharField(max_length=500, blank=True)
    due_at = models.DateTimeField(null=True, help_text="When the store is told next; the database's clock.")
    lease_until = models.DateTimeField(null=True)
    fence = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(due_at__isnull=False) | Q(wanted=F("done")), name="refund_store_telling_due")]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="refund_store_telling_wait")]

    def __str__(self) -> str:
        return f"{self.refund_id}: {self.wanted}"
