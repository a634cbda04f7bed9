"""A shop with a policy, a gateway in memory and a customer who bought something six days ago."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from refund_plugin import clock, content
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.orders.models import Purchase
from refund_plugin.web.proof import purchase_page
from tests.factories import MEMORY, make_purchase, publish_policy

EMAIL = "ada@example.com"


@pytest.fixture(autouse=True)
def no_policy_page(monkeypatch):
    """A site whose policy has no page yet, so that what is counted and compared here is this door's own."""
    monkeypatch.setattr(content, "_policy_pages", content.NoPolicyPages())


@pytest.fixture
def gateway(db, settings) -> MemoryGateway:
    """The default account's gateway, empty and well-behaved."""
    settings.REFUND_PLUGIN = MEMORY
    _ledgers.clear()
    ensure_accounts()
    return gateway_for(default_account())


@pytest.fixture
def policy(gateway):
    """A published policy with one clause of each kind."""
    return publish_policy()


@pytest.fixture
def bare_host(gateway, settings):
    """A host whose base template has the one block `content` and asks the database for nothing."""
    templates = deepcopy(settings.TEMPLATES)
    templates[0]["DIRS"] = [Path(__file__).parent / "templates"]
    settings.TEMPLATES = templates
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "BASE_TEMPLATE": "bare.html"}


def buy(*lines, days_ago: int = 6, **changes) -> Purchase:
    """Record a purchase made some days before this moment."""
    if lines:
        changes["lines"] = lines
    return make_purchase(purchased_at=clock.now() - timedelta(days=days_ago), **changes)


def look_up(client: Client, number: str, email: str = EMAIL) -> HttpResponse:
    """Give order number and e-mail on the first page."""
    return client.post(reverse("refund_plugin:ask"), {"number": number, "email": email})


def open_page(client: Client, purchase: Purchase) -> BeautifulSoup:
    """Prove to be the buyer and open the page of the purchase."""
    look_up(client, purchase.number, purchase.customer.email)
    return soup(client.get(purchase_page(purchase)))


def soup(response: HttpResponse) -> BeautifulSoup:
    """Parse a page."""
    return BeautifulSoup(response.content, "html.parser")


def words(page: BeautifulSoup, selector: str = ".refund") -> str:
    """Return the text of the first match, with single spaces."""
    return " ".join(page.select_one(selector).get_text(" ").split())


def form_data(page: BeautifulSoup, **changes: object) -> dict[str, object]:
    """Return what a browser would send from the form of a purchase; None takes a field away."""
    form = page.select_one("form[data-refund-live]")
    data: dict[str, object] = {"reason": "changed_mind", "message": ""}
    for field in form.select("input[type=hidden]"):
        data[field["name"]] = field["value"]
    data["line"] = [field["value"] for field in form.select("input[name=line][checked]")]
    data["person"] = [field["value"] for field in form.select("input[name=person][checked]")]
    for field in form.select("select[name^=quantity]"):
        data[field["name"]] = field.select_one("option[selected]").get_text()
    data.pop("csrfmiddlewaretoken", None)
    data |= changes
    return {name: value for name, value in data.items() if value is not None}


def problems(page: BeautifulSoup) -> list[tuple[str, str]]:
    """Return the error summary: text and where its link leads."""
    return [(link.get_text(), link["href"]) for link in page.select(".refund-problem a")]
