"""The stand-in's webhookUpdate and headers of a webhook's own are as strict as Saleor's (webhook/validators.py)."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.saleor.standin import Standin
from tests.saleor.standin.install import InstallRefused, check_manifest
from tests.saleor.standin.world import App, Webhook

UPDATE = """
mutation Update($id: ID!, $input: WebhookUpdateInput!) {
  webhookUpdate(id: $id, input: $input) { webhook { name isActive customHeaders } errors { field message code } }
}
"""
QUERY = "subscription { event { __typename } }"


def make_app(saleor: Standin, name: str) -> App:
    app = saleor.add_app(permissions=[], identifier=name, token=f"token of {name}")
    hook = Webhook(
        id=saleor.world.next_id("Webhook"), app=app, name=name, target_url=f"http://{name}/", query=QUERY, events=["ORDER_UPDATED"]
    )
    app.webhooks.append(hook)
    return app


def update(saleor: Standin, token: str, webhook: Webhook, **given: Any) -> dict[str, Any]:
    answer = requests.post(
        saleor.api_url,
        json={"query": UPDATE, "variables": {"id": webhook.id, "input": given}},
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    return dict(answer.json())


def test_an_app_sets_headers_of_its_own_webhook_whose_names_come_back_in_lower_case(saleor: Standin) -> None:
    app = make_app(saleor, "one.app")
    done = update(saleor, "token of one.app", app.webhooks[0], customHeaders=json.dumps({"X-Refunds-Secret": "s3cret"}), name="New")
    told = done["data"]["webhookUpdate"]
    assert told["errors"] == []
    assert (told["webhook"]["name"], json.loads(told["webhook"]["customHeaders"])) == ("New", {"x-refunds-secret": "s3cret"})
    saleor.tell("ORDER_UPDATED", saleor.add_order(lines=[{"price": "1.00"}]))
    (delivery,) = saleor.post.queue
    assert saleor.post.headers(delivery, delivery.body)["x-refunds-secret"] == "s3cret"
    update(saleor, "token of one.app", app.webhooks[0], customHeaders=json.dumps({"X-Refunds-Secret": "another"}))
    assert saleor.post.headers(delivery, delivery.body)["x-refunds-secret"] == "another"  # read when it is sent


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "a"},
        {"Saleor-Signature": "a"},
        {"X-A": "ü"},
        {"X:A": "a"},
        {"X-A": 1},
        {"X-A": "a" * 995},
        {f"X-{number}": "a" for number in range(6)},
    ],
)
def test_headers_that_saleor_refuses_are_refused_and_change_nothing(saleor: Standin, headers: dict[str, Any]) -> None:
    hook = make_app(saleor, "one.app").webhooks[0]
    (error,) = update(saleor, "token of one.app", hook, customHeaders=json.dumps(headers))["data"]["webhookUpdate"]["errors"]
    assert (error["field"], error["code"]) == ("customHeaders", "INVALID_CUSTOM_HEADERS")
    assert hook.custom_headers == {}
    hooks = [{"name": "w", "targetUrl": "http://a/", "asyncEvents": ["ORDER_UPDATED"], "query": QUERY, "customHeaders": headers}]
    manifest = {"id": "a", "name": "A", "version": "1", "webhooks": hooks}
    with pytest.raises(InstallRefused, match="custom headers"):
        check_manifest(manifest, version=saleor.version, api_version=saleor.api_version, world=saleor.world)


def test_another_apps_webhook_is_not_found_and_a_stranger_may_nothing(saleor: Standin) -> None:
    make_app(saleor, "one.app")
    hook = make_app(saleor, "other.app").webhooks[0]
    (error,) = update(saleor, "token of one.app", hook, isActive=False)["data"]["webhookUpdate"]["errors"]
    assert error["code"] == "NOT_FOUND"
    assert "MANAGE_APPS" in update(saleor, "unknown", hook, isActive=False)["errors"][0]["message"]
    assert hook.is_active
