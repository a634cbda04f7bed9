"""Who asks, by session, by service token or by a Saleor's token, and what they may see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import cached_property
from typing import Any

import strawberry
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.actor import Action, Actor, ActorKind
from refund_plugin.api.models import ServiceToken
from refund_plugin.api.shoppers import Shopper, refused, shopper_of
from refund_plugin.api.tokens import START, find_token
from refund_plugin.conf import settings
from refund_plugin.errors import NotAllowed, NotFound
from refund_plugin.limits.network import network_of
from refund_plugin.orders.models import SALEOR_CUSTOMER, Purchase
from refund_plugin.orders.queries import owned_by_saleor_customer, owned_by_user
from refund_plugin.refunds.checks import check_text
from refund_plugin.refunds.people import staff_actor
from refund_plugin.stores.models import Store

_KEY = "_refund_plugin_caller"


class Role(Enum):
    """What somebody is to a request: it decides which fields they see."""

    HOLDER = "holder"  # has the tracking link; the mail it came with may have been passed on
    CUSTOMER = "customer"  # the signed-in owner, or whoever has just made the request
    SERVICE = "service"
    STAFF = "staff"


@dataclass(frozen=True)
class Caller:
    """The one behind a web request. Nothing is looked up before it is needed.

    Attributes:
        token: of a program. A request with a token is that program's, whatever cookies come with it.
        shopper: who is signed in at a Saleor's storefront. A request with their token is theirs, whatever else comes with it.
        network: whose tries are counted together; None behind a service token, whose customers all come from one. A customer of a
            Saleor behind the shop's server counts alone.
    """

    request: HttpRequest
    token: ServiceToken | None
    shopper: Shopper | None
    network: str | None

    @cached_property
    def user(self) -> Any:
        """The signed-in user, or None."""
        user = None if self.brings_token else getattr(self.request, "user", None)
        return user if user is not None and user.is_authenticated else None

    @property
    def brings_token(self) -> bool:
        """Whether the one who wrote the request says who it is from, and not the browser."""
        return self.token is not None or self.shopper is not None

    def may(self, action: Action) -> bool:
        """Tell whether the caller is staff, or a program, that holds `action`."""
        if self.token:
            return action in self.token.scopes
        return self.user is not None and self.user.has_perm(f"refund_plugin.{action.value}")

    @cached_property
    def views_cases(self) -> bool:
        """Whether the caller sees requests other than their own."""
        return self.may(Action.VIEW_CASES)

    @property
    def store(self) -> Store | None:
        """The only store the caller may see; None means every one."""
        if self.token:
            return self.token.store
        return self.shopper.store if self.shopper else None

    @property
    def store_id(self) -> int | None:
        """Key of `store`."""
        return self.store.pk if self.store else None

    @property
    def owned(self) -> Q | None:
        """The condition on purchases that are the caller's own; None when nobody is signed in."""
        if self.shopper:
            return owned_by_saleor_customer(store=self.shopper.store, user_id=self.shopper.user_id)
        return owned_by_user(self.user) if self.user is not None else None

    def owns(self, purchase: Purchase) -> bool:
        """Tell whether a purchase is the caller's own."""
        if self.shopper:
            shopper = self.shopper
            return purchase.store_id == shopper.store.pk and purchase.metadata.get(SALEOR_CUSTOMER) == shopper.user_id
        return self.user is not None and purchase.user_id == self.user.pk

    @property
    def role(self) -> Role:
        """What somebody who `views_cases` is to a case."""
        return Role.SERVICE if self.token else Role.STAFF

    def worker(self, store: Store) -> Actor:
        """Return the actor that decides about a case of `store`.

        Raises:
            NotAllowed: nobody is signed in.
        """
        if self.token:
            actions = frozenset(action for action in Action if action in self.token.scopes)
            return Actor(kind=ActorKind.SERVICE, id=self.token.prefix, store_id=self.token.store_id, actions=actions, label=self.token.name)
        if self.user is None:
            raise NotAllowed(_("Sign in, or send a service token, to do this."))
        return staff_actor(self.user, store)

    def store_slug(self, channel: str | None) -> str:
        """Return the slug of the store that is meant: the caller's own, else the channel's, else the default one.

        Raises:
            NotFound: a token, or a customer of a Saleor, names another store than their own.
            InvalidInput: no slug.
        """
        check_text(channel or "", field="channel")
        if self.store is None:
            return channel or settings().store
        if channel and channel != self.store.slug:
            told = _("This service token belongs to another store.") if self.token else _("You are signed in at another store.")
            raise NotFound(told, field="channel")
        return self.store.slug


def caller_of(info: strawberry.Info) -> Caller:
    """Return who asks.

    Raises:
        NotAllowed: a service token came with the request and is unknown, expired or revoked, or a customer's that proves nothing.
        RateLimited: see `shopper_of`.
    """
    context = info.context
    request: HttpRequest = context["request"] if isinstance(context, dict) else context.request
    return caller_from(request)


def caller_from(request: HttpRequest) -> Caller:
    """Return who sent a web request; found once and remembered on it.

    Raises:
        NotAllowed, RateLimited: as in `caller_of`.
    """
    known: Caller | None = getattr(request, _KEY, None)
    if known is None:
        known = _find_caller(request, now=clock.now())
        setattr(request, _KEY, known)
    return known


def _find_caller(request: HttpRequest, *, now: datetime) -> Caller:
    plain = bearer_token(request)
    token = find_token(plain, now=now) if plain else None
    if plain and token is None:
        raise NotAllowed(_("This service token is unknown, expired or revoked. Make a new one with: manage.py refunds_token create"))
    network = None if token else network_of(request.META)
    shopper = shopper_of(request, network=network, now=now)
    if shopper and token:
        if token.store_id != shopper.store.pk:
            raise refused()
        token = None  # it only says that the call comes from the shop's server: a customer may no more because of its scopes
        network = f"{shopper.store.slug}:{shopper.user_id}"  # and that server speaks for many, who each count for themselves
    return Caller(request=request, token=token, shopper=shopper, network=network)


def bearer_token(request: HttpRequest) -> str:
    """Return the service token in the header `Authorization: Bearer rpt_…`; another scheme's token is the host's business."""
    scheme, _space, value = request.headers.get("Authorization", "").partition(" ")
    value = value.strip()
    return value if scheme.lower() == "bearer" and value.startswith(START) else ""
