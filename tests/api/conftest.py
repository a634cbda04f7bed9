"""A store with a policy, its people, and a way to send operations over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client

from refund_plugin import clock, content, documents
from refund_plugin.actor import Action
from refund_plugin.api.tokens import create_token
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from tests.factories import MEMORY, NOW, publish_policy

URL = "/refunds/graphql/"


class PolicyPages:
    """Stands for the app that publishes policies."""

    def policy_url(self, version: content.FrozenVersion, anchor: str = "") -> str:
        """Where this version can be read."""
        return f"/policy/{version.number}/" + (f"#{anchor}" if anchor else "")

    def current_policy_url(self, store_id: int) -> str:
        """Where the policy can be read now."""
        return "/policy/"


@pytest.fixture
def store(db, settings, monkeypatch) -> Store:
    """The default store, paying through a gateway in memory, on the day the purchases of the factories are six days old."""
    settings.REFUND_PLUGIN = {**MEMORY, "PUBLIC_URL": "https://shop.example"}
    ensure_accounts()
    monkeypatch.setattr(clock, "now", lambda: NOW)
    monkeypatch.setattr(content, "_policy_pages", PolicyPages())
    return ensure_default_store()


@pytest.fixture
def other_store(store) -> Store:
    """Another seller on the same site."""
    return Store.objects.create(slug="other", name="Other", timezone="UTC")


@pytest.fixture
def policy(store) -> PolicyVersion:
    """One clause of each kind."""
    return publish_policy(store=store)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: dict[str, Any]

    @property
    def data(self) -> Any:
        """The one field that was asked for."""
        assert "errors" not in self.body, self.body["errors"]
        (value,) = self.body["data"].values()
        return value

    @property
    def codes(self) -> list[tuple[str | None, str]]:
        """Field and code of each error in the answer."""
        return [(error["field"], error["code"]) for error in self.data["errors"]]

    @property
    def failure(self) -> dict[str, Any]:
        """The one error beside the data."""
        (error,) = self.body["errors"]
        return error


Send = Callable[..., Answer]


@pytest.fixture
def send(store) -> Send:
    """Send an operation of the storefront by its name, or a query by its text."""

    def send(
        operation: str, variables: dict[str, Any] | None = None, *, client: Client | None = None, token: str = "", **extra: Any
    ) -> Answer:
        query = operation if "{" in operation else documents.operation(f"storefront/{operation}")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        body = json.dumps({"query": query, "variables": variables or {}})
        response = (client or Client()).post(URL, body, content_type="application/json", headers=headers, **extra)
        return Answer(response.status_code, response.json())

    return send


@pytest.fixture
def person(db) -> Callable[..., Client]:
    """Return a signed-in client for a user who holds the given actions; `client.user` is the user."""

    def person(name: str, *actions: Action) -> Client:
        user = get_user_model().objects.create_user(username=name, email=f"{name}@example.com", password="secret")
        user.user_permissions.set(Permission.objects.filter(content_type__app_label="refund_plugin", codename__in=[*actions]))
        client = Client()
        client.force_login(user)
        client.user = user
        return client

    return person


@pytest.fixture
def service_token(store) -> Callable[..., str]:
    """Return a service token with the given scopes, of the default store unless another is named."""

    def service_token(*scopes: Action, store: Store = store) -> str:
        return create_token(store=store, name="storefront", scopes=[scope.value for scope in scopes], now=NOW)[1]

    return service_token
