"""Signed links that open without a login: one request's tracking page, and one customer's list of purchases."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.core.signing import BadSignature, Signer, TimestampSigner
from django.urls import reverse
from wagtail.models import Site

from refund_plugin.conf import settings
from refund_plugin.errors import NotFound
from refund_plugin.orders.models import Customer
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.stores.models import Store

LIST_MAX_AGE = timedelta(days=2)
_SEPARATOR = "."


def _request_signer(nonce: str) -> Signer:
    # the nonce is in the salt, not in the link: writing a new one ends every link that was given out
    return Signer(salt=f"refund_plugin.track.{nonce}", sep=_SEPARATOR)


def _list_signer() -> TimestampSigner:
    return TimestampSigner(salt="refund_plugin.purchases", sep=_SEPARATOR)


def tracking_token(request: RefundRequest) -> str:
    """Return the token of a request's tracking link; it does not expire."""
    return _request_signer(request.tracking_nonce).sign(request.pk.hex)


def find_by_token(token: str) -> RefundRequest:
    """Return the request a tracking token opens, with its store, purchase and customer.

    Raises:
        NotFound: malformed, forged, revoked or unknown: all the same.
    """
    try:
        request_id = UUID(hex=token.partition(_SEPARATOR)[0])
    except ValueError:
        raise NotFound from None
    request = RefundRequest.objects.select_related("store", "purchase", "customer", "policy_version").filter(pk=request_id).first()
    # signing with a dummy nonce keeps the work the same for unknown requests
    signer = _request_signer(request.tracking_nonce if request else "unknown")
    try:
        signer.unsign(token)
    except (BadSignature, UnicodeEncodeError):  # the second: half a surrogate pair, which JSON can carry
        raise NotFound from None
    if request is None:
        raise NotFound
    return request


def purchases_token(customer: Customer) -> str:
    """Return the token of the mailed list of purchases; it expires after `LIST_MAX_AGE`."""
    return _list_signer().sign(str(customer.pk))


def customer_by_token(token: str) -> Customer:
    """Return the customer a list token opens, with the store.

    Raises:
        NotFound: malformed, forged, expired or unknown.
    """
    try:
        customer_id = int(_list_signer().unsign(token, max_age=LIST_MAX_AGE))
    except (BadSignature, ValueError):
        raise NotFound from None
    customer = Customer.objects.select_related("store").filter(pk=customer_id).first()
    if customer is None:
        raise NotFound
    return customer


def absolute_url(path: str, *, store: Store | None = None) -> str:
    """Return `path` with the public scheme and host: `PUBLIC_URL`, else the default Wagtail site's.

    Args:
        store: whose page it has to be: that of its own Wagtail site then, where it has one.
    """
    site = Site.objects.filter(pk=store.wagtail_site_id).first() if store and store.wagtail_site_id else None
    base = "" if site else settings().public_url
    if not base:
        site = site or Site.objects.filter(is_default_site=True).first()
        base = site.root_url if site else ""
    return base.rstrip("/") + path


def tracking_url(request: RefundRequest) -> str:
    """Return the absolute tracking link of a request."""
    return absolute_url(reverse("refund_plugin:track", args=[tracking_token(request)]))


def purchases_url(customer: Customer) -> str:
    """Return the absolute link to a customer's list of purchases."""
    return absolute_url(reverse("refund_plugin:purchase_list", args=[purchases_token(customer)]))
