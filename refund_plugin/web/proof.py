"""Who has proved to be the buyer of a purchase: this session, the signed-in owner, or the holder of a mailed link."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser
from django.core.signing import BadSignature, Signer
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.actor import Actor, customer_actor
from refund_plugin.errors import NotFound
from refund_plugin.limits.network import network_of
from refund_plugin.orders.lookup import look_up_purchase
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.tracking import customer_by_token
from refund_plugin.stores.models import Store
from refund_plugin.web.forms import LookupForm

SESSION_KEY = "refund_plugin.proved"
PROOF_LASTS = timedelta(hours=2)
MAX_PROOFS = 20


def _signer() -> Signer:
    return Signer(salt="refund_plugin.web.purchase", sep=".")


def purchase_ref(purchase: Purchase) -> str:
    """Return the opaque name of a purchase in addresses; it opens nothing without a proof."""
    return _signer().sign_object(purchase.pk)


def purchase_page(purchase: Purchase, *, list_token: str = "") -> str:
    """Return the path of a purchase's page; below the mailed list when `list_token` is given."""
    if list_token:
        return reverse("refund_plugin:purchase_from_list", args=[list_token, purchase_ref(purchase)])
    return reverse("refund_plugin:purchase", args=[purchase_ref(purchase)])


def withdrawal_page(purchase: Purchase, *, list_token: str = "") -> str:
    """Return the path of a purchase's withdrawal, its first step; below the mailed list when `list_token` is given."""
    if list_token:
        return reverse("refund_plugin:withdraw_from_list", args=[list_token, purchase_ref(purchase)])
    return reverse("refund_plugin:withdraw", args=[purchase_ref(purchase)])


def prove(request: HttpRequest, form: LookupForm, store: Store) -> Purchase | None:
    """Find the purchase that a valid form names, and note the proof; None with an error on the form, the same for wrong and unknown.

    Raises:
        RateLimited: see `look_up_purchase`.
    """
    now = clock.now()
    number, email = form.cleaned_data["number"], form.cleaned_data["email"]
    try:
        purchase = look_up_purchase(store_slug=store.slug, number=number, email=email, network=network_of(request.META), now=now)
    except NotFound:
        form.add_error("number", _("We could not find this order with this e-mail address. Check both: they are on your receipt."))
        return None
    remember_proof(request, purchase, now=now)
    return purchase


def remember_proof(request: HttpRequest, purchase: Purchase, *, now: datetime) -> None:
    """Note in the session that order number and e-mail were both right; the proof ends with the customer that it was about."""
    proofs = {key: moment for key, moment in request.session.get(SESSION_KEY, {}).items() if _fresh(moment, now)}
    proofs.pop(_name(purchase), None)
    request.session[SESSION_KEY] = dict([*proofs.items(), (_name(purchase), now.isoformat())][-MAX_PROOFS:])
    # whoever knew this session's key before must not see what it opens now
    request.session.cycle_key()


def open_purchase(request: HttpRequest, ref: str, *, now: datetime, list_token: str = "") -> Purchase:
    """Return the purchase behind an address, with its customer and store, to whoever has proved to be its buyer.

    Raises:
        NotFound: forged, unknown, or no proof: all the same.
    """
    try:
        purchase_id = _signer().unsign_object(ref)
    except (BadSignature, ValueError):
        raise NotFound from None
    purchase = Purchase.objects.select_related("customer", "store").filter(pk=purchase_id).first()
    if purchase is None:
        raise NotFound
    if list_token:
        if customer_by_token(list_token).pk != purchase.customer_id:
            raise NotFound
    elif not (_proved(request, purchase, now) or _owns(request, purchase)):
        raise NotFound
    return purchase


def buyer(purchase: Purchase) -> Actor:
    """Return the actor of a purchase's customer."""
    return customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id)


def _name(purchase: Purchase) -> str:
    return f"{purchase.pk}:{purchase.customer_id}"


def _proved(request: HttpRequest, purchase: Purchase, now: datetime) -> bool:
    moment = request.session.get(SESSION_KEY, {}).get(_name(purchase))
    return moment is not None and _fresh(moment, now)


def _fresh(moment: str, now: datetime) -> bool:
    return datetime.fromisoformat(moment) + PROOF_LASTS > now


def _owns(request: HttpRequest, purchase: Purchase) -> bool:
    user = getattr(request, "user", AnonymousUser())
    return user.is_authenticated and purchase.user_id == user.pk
