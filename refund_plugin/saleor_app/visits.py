"""Who looks from Saleor's dashboard, and at what: by the dashboard's token, or for some minutes by a ticket of ours.

A frame of another site gets no cookies, so every request proves itself. The dashboard sends a token by POST (RS256, five minutes);
forms of the page it is answered with carry a signed ticket for the same person, object and time, and never an address.
Source: Saleor, "Extending Dashboard with Apps".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from refund_plugin.actor import Action, Actor, ActorKind, saleor_id
from refund_plugin.errors import NotAllowed, RefundPluginError
from refund_plugin.orders.models import Customer, Purchase
from refund_plugin.orders.queries import clean_email
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.saleor.errors import NotInstalled, TokenInvalid
from refund_plugin.saleor.installations import active_installation
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import STORE_CREDIT
from refund_plugin.saleor.signatures import verify_dashboard_token
from refund_plugin.stores.base import CreditKind
from refund_plugin.stores.models import Store
from refund_plugin.stores.saleor_credit import kind_of_credit

# What Saleor itself wants of staff: orders and granted refunds need the first, sending the money the second.
VIEW, SEND = "MANAGE_ORDERS", "HANDLE_PAYMENTS"
ACTIONS = {
    VIEW: frozenset({Action.VIEW_CASES, Action.DECLINE, Action.ASK_EVIDENCE}),
    SEND: frozenset({Action.APPROVE}),
}
MAX_ID = 200  # characters of one of Saleor's global ids
MAX_TICKET = 4000
SALT = "refund_plugin.saleor.dashboard"


class VisitRefused(RefundPluginError):
    """Neither a token of this Saleor's dashboard nor a ticket of ours that still lasts: unknown, wrong and over read the same."""

    code = "VISIT_REFUSED"
    default_message = gettext_lazy(
        "Saleor has not told us who you are, or it was some minutes ago. Reload this page in Saleor, and go on from there."
    )


@dataclass(frozen=True)
class Visit:
    """A member of a Saleor's staff who looks at one thing.

    Attributes:
        permissions: of the person, in Saleor.
        kind: "order", "customer" or "desk": what the page is about.
        object_id: Saleor's global id of it; "" for the desk.
        theme: "light" or "dark" where the dashboard said so, else "".
        expires_at: UTC.
    """

    installation: SaleorInstallation
    user_id: str
    email: str
    permissions: frozenset[str]
    kind: str
    object_id: str
    theme: str
    expires_at: datetime

    @cached_property
    def store(self) -> Store:
        """The Saleor's store."""
        return Store.objects.get(slug=self.installation.slug)

    @property
    def may_send(self) -> bool:
        """Whether the person may start refunds and approve them."""
        return SEND in self.permissions

    @cached_property
    def credit(self) -> CreditKind | None:
        """What the person may give instead of money."""
        kind = kind_of_credit(self.installation, "store_credit")
        return kind if kind and self.may_send and STORE_CREDIT[kind] in self.permissions else None

    @cached_property
    def incentive(self) -> CreditKind | None:
        """What the person may give besides any refund."""
        kind = kind_of_credit(self.installation, "incentive")
        return kind if kind and STORE_CREDIT[kind] in self.permissions else None

    @property
    def actor(self) -> Actor:
        """Whom the services see: staff of this store, with the Saleor user's id."""
        actions = frozenset(action for permission in self.permissions & ACTIONS.keys() for action in ACTIONS[permission])
        actions |= {Action.PAY_BY_HAND} if self.credit else set()
        actions |= {Action.GIVE_INCENTIVE} if self.incentive else set()
        return Actor(
            kind=ActorKind.STAFF,
            id=saleor_id(self.user_id),
            store_id=self.store.pk,
            actions=actions,
            label=self.email,
            email=clean_email(self.email),
        )

    @property
    def ticket(self) -> str:
        """What a form carries instead of the token: it lasts as long, and is good for this object only."""
        content = {
            "installation": self.installation.slug,
            "user": self.user_id,
            "email": self.email,
            "permissions": sorted(self.permissions & {*ACTIONS, *STORE_CREDIT.values()}),
            "object": [self.kind, self.object_id],
            "until": self.expires_at.isoformat(),
        }
        return signing.dumps(content, salt=SALT)

    @cached_property
    def fields(self) -> dict[str, str]:
        """The hidden fields of every form of the page."""
        named = {"order": "orderId", "customer": "customerId"}
        told = {"ticket": self.ticket, "saleorApiUrl": self.installation.api_url, "theme": self.theme}
        return told | ({named[self.kind]: self.object_id} if self.kind in named else {})

    def customers(self) -> QuerySet[Customer]:
        """Return our rows of the Saleor customer whom the page is about."""
        return Customer.objects.filter(store=self.store, purchases__metadata__saleor_customer=self.object_id).distinct()

    def purchases(self) -> QuerySet[Purchase]:
        """Return the purchases within the visit."""
        found = Purchase.objects.filter(store=self.store)
        if self.kind == "order":
            return found.filter(metadata__saleor_order=self.object_id)
        if self.kind == "customer":
            return found.filter(customer__in=self.customers())
        return found

    def requests(self) -> QuerySet[RefundRequest]:
        """Return the requests within the visit."""
        found = RefundRequest.objects.filter(store=self.store)
        return found if self.kind == "desk" else found.filter(purchase__in=self.purchases())


def enter(request: HttpRequest, *, installation: SaleorInstallation | None, kind: str, now: datetime) -> Visit:
    """Return who asks for a page.

    Args:
        installation: the one that the request names, see `named_by`.
        kind: what the page is about; "" where the fields of the form say so.
    Raises:
        VisitRefused: see there.
        NotAllowed: the person lacks the permission to see orders; it is named.
    """
    if installation is None:
        raise VisitRefused
    kind, object_id = _object(request, kind)
    theme = request.POST.get("theme", "")
    if request.POST.get("accessToken"):
        found = _by_token(request, installation, now)
    else:
        found = _by_ticket(request, installation, [kind, object_id], now)
    if VIEW not in found["permissions"]:
        text = _("To see refunds you need the permission “%(permission)s” in Saleor. Ask an administrator of your store for it.")
        raise NotAllowed(text % {"permission": _("Manage orders")})
    theme = theme if theme in ("light", "dark") else ""
    return Visit(installation=installation, kind=kind, object_id=object_id, theme=theme, **found)


def named_by(request: HttpRequest) -> SaleorInstallation | None:
    """Return the installation that a request names, proven or not: whose dashboard may frame the answer; None for an unknown one."""
    api_url = request.POST.get("saleorApiUrl") or request.GET.get("saleorApiUrl", "")
    try:
        return active_installation(api_url=api_url) if "\x00" not in api_url else None
    except NotInstalled:
        return None


def _object(request: HttpRequest, kind: str) -> tuple[str, str]:
    order, customer = request.POST.get("orderId", ""), request.POST.get("customerId", "")
    kind = kind or ("order" if order else "customer" if customer else "desk")
    object_id = {"order": order, "customer": customer, "desk": ""}[kind]
    if len(object_id) > MAX_ID or "\x00" in object_id or (kind != "desk" and not object_id):
        raise VisitRefused
    return kind, object_id


def _by_token(request: HttpRequest, installation: SaleorInstallation, now: datetime) -> dict[str, Any]:
    try:
        user = verify_dashboard_token(token=request.POST["accessToken"], installation=installation, now=now)
    except TokenInvalid as error:
        raise VisitRefused from error
    return {"user_id": user.user_id, "email": user.email, "permissions": user.user_permissions, "expires_at": user.expires_at}


def _by_ticket(request: HttpRequest, installation: SaleorInstallation, wanted: list[str], now: datetime) -> dict[str, Any]:
    text = request.POST.get("ticket", "")
    try:
        content = signing.loads(text, salt=SALT) if len(text) <= MAX_TICKET else {}
    except signing.BadSignature as error:
        raise VisitRefused from error
    if content.get("installation") != installation.slug or content["object"] != wanted:
        raise VisitRefused
    until = datetime.fromisoformat(content["until"])
    if until <= now:
        raise VisitRefused
    return {"user_id": content["user"], "email": content["email"], "permissions": frozenset(content["permissions"]), "expires_at": until}
