"""A site with `ATOMIC_REQUESTS = True` opens a transaction around every view; money is only moved where none is open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from refund_plugin import documents
from refund_plugin.api.types import global_id
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.refunds.models import RefundRequest
from tests.factories import MEMORY, make_purchase, publish_policy

PACKAGES = ("refund_plugin", "cms_pages")


@pytest.fixture
def atomic_host(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """Turn the setting on for the present site."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, **MEMORY}
    ensure_accounts()
    publish_policy()


def _views(patterns: list[URLPattern | URLResolver]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns)
        else:
            yield str(pattern.pattern), pattern.callback


def _module(view: Callable[..., Any]) -> str:
    return getattr(view, "view_class", view).__module__


def test_every_view_of_the_public_pages_stays_out_of_the_hosts_transaction() -> None:
    (ours,) = [part for part in get_resolver().url_patterns if getattr(part, "namespace", None) == "refund_plugin"]
    views = dict(_views(ours.url_patterns))
    assert len(views) > 10
    assert [route for route, view in views.items() if not getattr(view, "_non_atomic_requests", None)] == []


def test_every_view_of_ours_in_the_admin_that_decides_stays_out_of_it_too() -> None:
    views = [view for _route, view in _views(get_resolver().url_patterns) if _module(view).startswith("refund_plugin.staff")]
    deciding = [view for view in views if hasattr(getattr(view, "view_class", None), "post")]
    assert deciding
    assert [view for view in deciding if not getattr(view, "_non_atomic_requests", None)] == []


def test_a_customer_gets_a_refund_approved_and_held(atomic_host: None) -> None:
    purchase = make_purchase()
    (line,) = purchase.lines.all()
    asked = {
        "orderNumber": purchase.number,
        "email": purchase.customer.email,
        "lines": [{"lineId": global_id("PurchaseLine", line.pk), "quantity": 1}],
        "reason": "CHANGED_MIND",
    }
    body = json.dumps({"query": documents.operation("storefront/RefundRequestCreate"), "variables": {"input": asked}})
    answer = Client().post("/refunds/graphql/", body, content_type="application/json").json()
    assert answer["data"]["refundRequestCreate"]["errors"] == []
    assert RefundRequest.objects.get().purchase_id == purchase.pk


def test_the_hosts_own_views_still_run_in_a_transaction(atomic_host: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def note(request: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(connection.in_atomic_block)
        raise PermissionError

    monkeypatch.setattr("demo.shop.views.render", note)
    client = Client(raise_request_exception=False)
    client.get("/checkout/1/thanks/")
    assert seen == [True]
