"""Locks, always in this order: purchase, payments by id, refunds by id."""

from __future__ import annotations

from uuid import UUID

from refund_plugin.errors import NotFound
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.refunds.models import Refund, RefundRequest


def lock_purchase(purchase_id: int) -> Purchase:
    """Lock a purchase; its store and customer come with it.

    Raises:
        NotFound: no such purchase.
    """
    try:
        return Purchase.objects.select_for_update(of=("self",)).select_related("store", "customer").get(pk=purchase_id)
    except Purchase.DoesNotExist:
        raise NotFound from None


def lock_request(request_id: UUID) -> RefundRequest:
    """Lock a request and, before it, its purchase.

    Raises:
        NotFound: no such request.
    """
    purchase_id = RefundRequest.objects.filter(pk=request_id).values_list("purchase_id", flat=True).first()
    if purchase_id is None:
        raise NotFound
    purchase = lock_purchase(purchase_id)
    request = RefundRequest.objects.select_for_update(of=("self",)).select_related("store", "customer", "policy_version").get(pk=request_id)
    request.purchase = purchase
    return request


def lock_refund(refund_id: UUID) -> Refund | None:
    """Lock a refund and, before it, its purchase and payment; None when there is no such refund."""
    found = Refund.objects.filter(pk=refund_id).values_list("request__purchase_id", "payment_id").first()
    if found is None:
        return None
    purchase = lock_purchase(found[0])
    payment = Payment.objects.select_for_update().get(pk=found[1])
    refund = Refund.objects.select_for_update(of=("self",)).select_related("request", "account").get(pk=refund_id)
    refund.request.purchase = purchase
    refund.payment = payment
    return refund
