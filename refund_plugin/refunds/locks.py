"""Locks, always in this order: purchases by id, the store's brake, payments by id, refunds by id."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.functions import Now

from refund_plugin import clock
from refund_plugin.errors import NotFound
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import name_in_force, version_named
from refund_plugin.refunds.models import Refund, RefundRequest

Row = TypeVar("Row", bound=Model)


def for_update(rows: QuerySet[Row], *, skip_locked: bool = False) -> QuerySet[Row]:
    """Lock rows against change, yet let others refer to them.

    A plain FOR UPDATE also stops the inserting of rows that point here, and two workers would wait for each other.
    """
    no_key = connection.features.has_select_for_no_key_update
    return rows.select_for_update(of=("self",), no_key=no_key, skip_locked=skip_locked)


def lock_purchase(purchase_id: int) -> Purchase:
    """Lock a purchase; its store and customer come with it.

    Raises:
        NotFound: no such purchase.
    """
    try:
        return for_update(Purchase.objects.all()).select_related("store", "customer").get(pk=purchase_id)
    except Purchase.DoesNotExist:
        raise NotFound from None


def lock_purchase_for_request(purchase_id: int) -> tuple[Purchase, PolicyVersion | None, datetime]:
    """Lock a purchase and read (unlocked) its store's brake with it, in one statement.

    Returns:
        The purchase, the policy version in force for it, and the database's time.

    Raises:
        NotFound: no such purchase.
    """
    rows = (
        for_update(Purchase.objects.all())
        .select_related("store__automatic_money", "customer")
        .annotate(read_at=Now(), version=name_in_force())
    )
    purchase = rows.filter(pk=purchase_id).first()
    if purchase is None:
        raise NotFound
    version = version_named(purchase.version) if purchase.version else None
    return purchase, version, clock.of_database(purchase.read_at)


def lock_request(request_id: UUID) -> RefundRequest:
    """Lock a request and, before it, its purchase.

    Raises:
        NotFound: no such request.
    """
    purchase_id = RefundRequest.objects.filter(pk=request_id).values_list("purchase_id", flat=True).first()
    if purchase_id is None:
        raise NotFound
    purchase = lock_purchase(purchase_id)
    request = for_update(RefundRequest.objects.all()).select_related("store", "customer", "policy_version").get(pk=request_id)
    request.purchase = purchase
    return request


def lock_payment(payment_id: int) -> Payment | None:
    """Lock a payment and, before it, its purchase; None when there is no such payment."""
    purchase_id = Payment.objects.filter(pk=payment_id).values_list("purchase_id", flat=True).first()
    if purchase_id is None:
        return None
    purchase = lock_purchase(purchase_id)
    payment = for_update(Payment.objects.all()).select_related("account").get(pk=payment_id)
    payment.purchase = purchase
    return payment


def lock_refund(refund_id: UUID) -> Refund | None:
    """Lock a refund and, before it, its purchase and payment; None when there is no such refund."""
    return next(iter(lock_refunds([refund_id])), None)


def lock_refunds(refund_ids: Iterable[UUID]) -> list[Refund]:
    """Lock refunds and, before them, their purchases and payments; refunds of one payment share its object.

    Returns:
        The refunds that exist, by id, each with request, account, payment and the payment's purchase.
    """
    ids = list(refund_ids)
    names = list(Refund.objects.filter(pk__in=ids).values_list("payment_id", "payment__purchase_id"))
    purchases = for_update(Purchase.objects.order_by("pk")).select_related("store", "customer").in_bulk({name[1] for name in names})
    payments = for_update(Payment.objects.order_by("pk")).in_bulk({name[0] for name in names})
    for payment in payments.values():
        payment.purchase = purchases[payment.purchase_id]
    refunds = list(for_update(Refund.objects.order_by("pk")).select_related("request", "account").filter(pk__in=ids))
    for refund in refunds:
        refund.payment = payments[refund.payment_id]
        if refund.request is not None:
            refund.request.purchase = refund.payment.purchase
    return refunds
