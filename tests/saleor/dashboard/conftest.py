"""A Saleor with one order of three lines, its staff, and a browser in which its dashboard opens our pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from bs4 import BeautifulSoup
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse
from jwt.algorithms import RSAAlgorithm

from refund_plugin import clock, content
from refund_plugin.actor import customer_actor
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.services import request_refund
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import encrypt
from refund_plugin.stores.models import Store
from tests.factories import COURSE, EBOOK, MEMORY, SALE, make_purchase, publish_policy

API, OTHER_API = "https://shop.example/graphql/", "https://other.example/graphql/"
APP, ORDER, CUSTOMER, USER = "QXBwOjE=", "T3JkZXI6MQ==", "VXNlcjo3", "VXNlcjox"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ALL = ("MANAGE_ORDERS", "HANDLE_PAYMENTS")
Make = Callable[..., Any]


class Pages:
    """Stands in for the site's policy pages."""

    def policy_url(self, version: Any, anchor: str = "") -> str:
        """Return an address that names the version and the clause."""
        return f"/policy/{version.number}/#{anchor}"

    def current_policy_url(self, store_id: int) -> str:
        """Return an address."""
        return "/policy/"


@pytest.fixture(autouse=True)
def policy_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links to the policy lead to a known address."""
    monkeypatch.setattr(content, "_policy_pages", Pages())


def install(api_url: str, *, slug: str, key: rsa.RSAPrivateKey = KEY, app_id: str = APP) -> SaleorInstallation:
    """Make the rows that a handshake makes."""
    told = json.loads(RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "one", "use": "sig", "alg": "RS256"}
    Store.objects.create(slug=slug, name=slug, adapter="saleor", timezone="Europe/Berlin")
    GatewayAccount.objects.create(slug=slug, kind="saleor", livemode=True)
    return SaleorInstallation.objects.create(
        slug=slug,
        api_url=api_url,
        app_id=app_id,
        token_encrypted=encrypt("token"),
        version="3.23.28",
        keys={"keys": [told]},
        keys_read_at=clock.now(),  # so that no test asks the network for keys
        installed_at=clock.now(),
    )


@pytest.fixture
def gateway(db: None, settings: Any) -> MemoryGateway:
    """The account that our App's payments are with; two Saleors may install the App."""
    settings.REFUND_PLUGIN = MEMORY | {"SALEOR": {API: {"dashboard": "https://dashboard.example"}, OTHER_API: {}}}
    _ledgers.clear()
    ensure_accounts()
    gateway = gateway_for(default_account())
    assert isinstance(gateway, MemoryGateway)
    return gateway


@pytest.fixture
def installation(gateway: MemoryGateway) -> SaleorInstallation:
    """A Saleor that has installed the App, with a policy for its store."""
    made = install(API, slug="shop-example")
    publish_policy(store=Store.objects.get(slug=made.slug), now=clock.now() - timedelta(days=365))
    return made


@pytest.fixture
def buy(installation: SaleorInstallation) -> Make:
    """Record an order of the Saleor's store."""

    def make(*lines: Any, order: str = ORDER, customer: str = CUSTOMER, days_ago: int = 6, **options: Any) -> Purchase:
        store = options.pop("store", None) or Store.objects.get(slug=installation.slug)
        bought = clock.now() - timedelta(days=days_ago)
        purchase = make_purchase(lines=lines or (EBOOK, COURSE, SALE), store=store, purchased_at=bought, **options)
        purchase.metadata = {**purchase.metadata, "saleor_order": order, "saleor_customer": customer}
        purchase.save(update_fields=["metadata"])
        return purchase

    return make


@pytest.fixture
def purchase(buy: Make) -> Purchase:
    """An e-book and a course that the policy gives back, and a font that it does not: 57.07 EUR, of which 48.07 come back."""
    found: Purchase = buy()
    return found


def token(*, api_url: str = API, key: Any = KEY, permissions: tuple[str, ...] = ALL, algorithm: str = "RS256", **claims: Any) -> str:
    """Return what the dashboard hands to a page of ours."""
    told = {
        "iss": api_url,
        "app": APP,
        "user_id": USER,
        "email": "sam@shop.example",
        "type": "thirdparty",
        "permissions": list(permissions),
        "user_permissions": list(permissions),
        "exp": clock.now() + timedelta(minutes=5),
        **claims,
    }
    return jwt.encode(told, key, algorithm=algorithm, headers={"kid": "one"})


def opening(**changes: Any) -> dict[str, Any]:
    """Return what the dashboard posts into the frame beside an order; None takes a field away."""
    data = {"saleorApiUrl": API, "accessToken": token(), "appId": APP, "orderId": ORDER, **changes}
    return {name: value for name, value in data.items() if value is not None}


def desk_opening(**changes: Any) -> dict[str, Any]:
    """Return what the App's own page posts, once the dashboard gave it a token."""
    return opening(orderId=None, **changes)


class Panel:
    """A page in the dashboard's frame, in a browser that keeps no cookies: forms are sent as they stand."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.soup = BeautifulSoup(response.content, "html.parser")

    @classmethod
    def open(cls, name: str = "saleor_order_widget", **changes: Any) -> Panel:
        """Open a page as the dashboard does."""
        return cls(Client().post(reverse(f"refund_plugin:{name}"), opening(**changes)))

    @property
    def text(self) -> str:
        """What can be read, with single spaces."""
        return " ".join(self.soup.get_text(" ").split())

    def press(self, label: str, **changes: Any) -> Panel:
        """Press the button with this label, in the first form that has one, after filling in `changes`."""
        button = next(each for each in self.soup.select("button") if each.get_text(" ", strip=True).startswith(label))
        url, data = self.sent_by(button)
        return Panel(Client().post(url, {name: value for name, value in (data | changes).items() if value is not None}))

    def sent_by(self, button: Any) -> tuple[str, dict[str, Any]]:
        """Return where a button's form goes, and what a browser would send."""
        form = button.find_parent("form")
        data: dict[str, Any] = {}
        for field in form.select("input[name]"):
            if field.get("type") == "checkbox":
                if field.has_attr("checked"):
                    data.setdefault(field["name"], []).append(field["value"])
            elif field["name"] in data and field["name"] == "line":
                data["line"] = [*data["line"], field["value"]]
            else:
                data[field["name"]] = [field["value"]] if field["name"] == "line" else field.get("value", "")
        for field in form.select("textarea[name]"):
            data[field["name"]] = field.get_text()
        for field in form.select("select[name]"):
            chosen = field.select_one("option[selected]") or field.select_one("option")
            data[field["name"]] = chosen.get("value") or chosen.get_text()
        if button.get("name"):
            data[button["name"]] = button.get("value", "")
        return form.get("action") or self.response.wsgi_request.path, data


def everything() -> tuple[Any, ...]:
    """Return all that asking or deciding would change."""
    states = list(RefundRequest.objects.order_by("pk").values_list("pk", "state", "changed_at", "evidence_question"))
    return (states, Decision.objects.count(), Refund.objects.count())


@pytest.fixture
def ask(purchase: Purchase) -> Make:
    """Ask for lines of the order as its customer; the policy answers."""
    made = 0

    def make(of: Purchase | None = None, *, wants_person: bool = True, to_review: bool = True, **options: Any) -> RefundRequest:
        nonlocal made
        made += 1
        bought = of or purchase
        return request_refund(
            purchase_id=bought.pk,
            lines={line.pk: line.quantity for line in bought.lines.all()},
            reason="defective",
            message="Chapter 3 is empty.",
            wants_person=wants_person,
            to_review=to_review,
            by=customer_actor(customer_id=bought.customer_id, store_id=bought.store_id),
            submission_key=f"asked-{made}",
            now=clock.now(),
            **options,
        )

    return make
