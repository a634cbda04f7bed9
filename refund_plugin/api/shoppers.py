"""Customers who signed in at the storefront of an installed Saleor: known by the access token that Saleor gave them.

Such a request names its Saleor in the header `Saleor-Api-Url` and carries the token as Saleor itself takes it. No browser adds these
headers by itself, so they need no CSRF token, and the request is that customer's whatever cookies come with it.
Source: Saleor, `saleor/core/auth.py` (where a token stands) and `saleor/core/jwt.py` (what it says).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.utils.translation import gettext as _

from refund_plugin.api.tokens import START
from refund_plugin.conf import Limit, settings
from refund_plugin.errors import NotAllowed, RateLimited
from refund_plugin.limits.services import check_limits
from refund_plugin.saleor.errors import NotInstalled, TokenInvalid
from refund_plugin.saleor.installations import installation_of_request
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.stores.models import Store

# of a Saleor's public keys, because of customers' tokens; its deliveries have readings of their own
KEY_READINGS = Limit(1, 60)


@dataclass(frozen=True, slots=True)
class Shopper:
    """A customer of one Saleor's store.

    Attributes:
        user_id: Saleor's global id, as the purchases that Saleor calls theirs carry it. Nothing else makes a purchase theirs: an account
            may be used before its e-mail address is confirmed.
    """

    store: Store
    user_id: str


def shopper_of(request: HttpRequest, *, network: str | None, now: datetime) -> Shopper | None:
    """Return the customer whose access token came with a request; None when none came, or no Saleor can have given it.

    Args:
        network: whose requests are counted together; None for a program, which limits its visitors itself.
        now: UTC.
    Raises:
        NotAllowed: the token proves nothing here: forged, over, of another Saleor, of staff, for an App; all read the same.
        RateLimited: too many requests with a token, of the customer or from the network.
    """
    token = access_token(request)
    if not token:
        return None
    try:
        from refund_plugin.saleor.signatures import verify_customer_token
    except ImportError:  # without the extra “saleor” nobody has installed our App
        return None
    user, installation = None, None
    try:
        installation = installation_of_request(request.headers)
        user = verify_customer_token(token=token, installation=installation, now=now, may_ask=_may_read_keys)
    except (NotInstalled, TokenInvalid):
        pass
    limit = settings().limit_customer
    counted = [("customer:network", network, limit)] if network else []
    if user and installation:
        counted.append(("customer:user", f"{installation.slug}:{user.user_id}", limit))
    check_limits(limits=counted, now=now)
    if not (user and installation):
        raise refused()
    return Shopper(store=Store.objects.get(slug=installation.slug), user_id=user.user_id)


def access_token(request: HttpRequest) -> str:
    """Return what a request that names a Saleor brings as a customer's token; "" for other requests, whose tokens are the host's business.

    `Authorization-Bearer` goes first, as in Saleor: then `Authorization` is free for a service token.
    """
    if not request.headers.get("Saleor-Api-Url"):
        return ""
    if own := request.headers.get("Authorization-Bearer", "").strip():
        return own
    scheme, _space, value = request.headers.get("Authorization", "").partition(" ")
    value = value.strip()
    return value if scheme.lower() in ("bearer", "jwt") and not value.startswith(START) else ""


def refused() -> NotAllowed:
    """Return the one answer to every token that proves nothing."""
    return NotAllowed(_("The shop did not tell us who you are, or it was some minutes ago. Sign in there again, and try once more."))


def _may_read_keys(installation: SaleorInstallation, now: datetime) -> bool:
    try:
        check_limits(limits=[("customer:keys", installation.slug, KEY_READINGS)], now=now)
    except RateLimited:
        return False
    return True
