"""A shop whose policy leaves everything above one euro to a person, and people with various permissions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from refund_plugin import clock, content
from refund_plugin.actor import customer_actor
from refund_plugin.events.heartbeats import beat
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.orders.data import LineData
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.sweep import WORKER
from tests.factories import EBOOK, MEMORY, make_purchase, publish_policy

ALL = ("view_cases", "approve_refunds", "decline_refunds", "ask_evidence")


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


@pytest.fixture
def gateway(db: None, settings: Any) -> MemoryGateway:
    """The default account's gateway, empty and well-behaved; a worker has just run."""
    settings.REFUND_PLUGIN = MEMORY
    _ledgers.clear()
    ensure_accounts()
    beat(WORKER, now=clock.now())
    return gateway_for(default_account())


@pytest.fixture
def policy(gateway: MemoryGateway) -> None:
    """Everything above one euro waits for a person."""
    publish_policy(limit=100, now=clock.now() - timedelta(days=365))


@pytest.fixture
def make_case(policy: None) -> Callable[..., RefundRequest]:
    """Ask for a refund as a customer would; the policy sends it to review unless it costs a euro or less."""
    made = 0

    def make(lines: Sequence[LineData] = (EBOOK,), *, email: str = "ada@example.com", message: str = "", **options: Any) -> RefundRequest:
        nonlocal made
        made += 1
        now, wants_person = options.pop("now", clock.now()), options.pop("wants_person", False)
        purchase = make_purchase(lines=lines, email=email, purchased_at=now - timedelta(days=6), **options)
        return request_refund(
            purchase_id=purchase.pk,
            lines={line.pk: line.quantity for line in purchase.lines.all()},
            reason="changed_mind",
            message=message,
            wants_person=wants_person,
            by=customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id),
            submission_key=f"key-{made}",
            now=now,
        )

    return make


@pytest.fixture
def case(make_case: Callable[..., RefundRequest]) -> RefundRequest:
    """One e-book for 18.20 EUR, waiting for a person."""
    return make_case(message="The last chapter is missing.")


@pytest.fixture
def make_user(db: None) -> Callable[..., Any]:
    """Make a person who may use the admin, with these permissions of ours."""

    def make(name: str = "sam", permissions: Sequence[str] = ALL) -> Any:
        user = get_user_model().objects.create_user(name, f"{name}@example.com", "secret")
        user.user_permissions.add(Permission.objects.get(codename="access_admin", content_type__app_label="wagtailadmin"))
        user.user_permissions.add(*Permission.objects.filter(codename__in=permissions, content_type__app_label="refund_plugin"))
        return user

    return make


@pytest.fixture
def sign_in() -> Callable[[Any], Client]:
    """Return a browser in which this person is signed in."""

    def open_browser(user: Any, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(user)
        return client

    return open_browser


@pytest.fixture
def staff(make_user: Callable[..., Any], sign_in: Callable[[Any], Client]) -> Client:
    """The browser of someone who may do everything."""
    return sign_in(make_user())
