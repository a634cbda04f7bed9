"""A Saleor whose customers sign in at its storefront, which calls our API in their name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from refund_plugin import documents
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.orders.models import Purchase
from refund_plugin.rules import MoneyBack
from refund_plugin.stores.models import Store
from tests.api.conftest import Answer
from tests.factories import publish_policy
from tests.saleor.conftest import Installed
from tests.saleor.orders.shop import Shop
from tests.saleor.standin import Standin
from tests.saleor.standin.django_transport import DjangoTransport
from tests.saleor.standin.world import User

URL = "/refunds/graphql/"
QUESTION = """
query ($id: ID) { refundRequest(id: $id) { reference status userEmail trackingToken } }
"""


@dataclass
class Storefront:
    """The shop's own pages: they hold the token that Saleor gave to whoever signed in."""

    shop: Shop

    @property
    def saleor(self) -> Standin:
        """The Saleor behind it."""
        return self.shop.saleor

    def buys(self, user: User | None, *prices: str, email: str = "", number: str = "") -> Purchase:
        """Let somebody buy books, one for each price, signed in or as a guest; returns what was recorded of it."""
        lines = [{"name": f"Book {index}", "sku": f"BOOK-{index}", "price": price} for index, price in enumerate(prices or ("18.20",))]
        address = email or (user.email if user else "guest@example.com")
        order, _transaction = self.shop.sell(*lines, email=address, user=user, number=number)
        self.shop.hear()
        return self.shop.purchase(order)

    def send(
        self,
        operation: str,
        variables: dict[str, Any] | None = None,
        *,
        user: User | None = None,
        token: str = "",
        api_url: str | None = None,
        service: str = "",
        client: Client | None = None,
        **extra: Any,
    ) -> Answer:
        """Send an operation by its name, or a query by its text, in the name of `user`, or with a token as it stands.

        Args:
            service: a service token; the customer's goes into Saleor's own header then.
        """
        query = operation if "{" in operation else documents.operation(f"storefront/{operation}")
        token = token or (self.saleor.customer_token(user) if user else "")
        headers = {"Saleor-Api-Url": self.saleor.api_url if api_url is None else api_url}
        if service:
            headers |= {"Authorization": f"Bearer {service}", "Authorization-Bearer": token}
        elif token:
            headers["Authorization"] = f"Bearer {token}"
        body = json.dumps({"query": query, "variables": variables or {}})
        response = (client or Client()).post(URL, body, content_type="application/json", headers=headers, **extra)
        return Answer(response.status_code, response.json())

    def numbers(self, user: User, **variables: Any) -> list[str]:
        """List the numbers of somebody's purchases."""
        return [edge["node"]["orderNumber"] for edge in self.send("Purchases", variables, user=user).data["edges"]]


@pytest.fixture
def storefront(saleor: Standin, installed: Installed, settings: Any) -> Storefront:
    """The Saleor's store has a policy: everything comes back, and more than 900.00 only after a person has looked."""
    settings.REFUND_PLUGIN = {
        **settings.REFUND_PLUGIN,
        "RATE_PER_SECOND": 0,
        "CONCURRENT_CALLS": 1,
        "PUBLIC_URL": "https://refunds.example",
    }
    ensure_accounts()
    store = Store.objects.get(slug="paper-heron")
    publish_policy(store=store, clauses=[MoneyBack(anchor="all", window_days=30)], limit=90_000)
    return Storefront(Shop(saleor, installed.app, store, GatewayAccount.objects.get(slug="paper-heron")))


@pytest.fixture
def ada(storefront: Storefront) -> User:
    """A customer with an account."""
    return storefront.saleor.add_user("ada@example.com")


@pytest.fixture
def eve(storefront: Storefront) -> User:
    """Another one."""
    return storefront.saleor.add_user("eve@example.com")


@pytest.fixture
def other_saleor(saleor_version: str) -> Iterator[Standin]:
    """A second Saleor, with keys of its own."""
    standin = Standin(saleor_version, transport=DjangoTransport()).start()
    yield standin
    standin.stop()
