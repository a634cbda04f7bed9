"""Pages of other origins: only those that the settings name may call from the browser, and without its cookies."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from refund_plugin.refunds.models import RefundRequest
from tests.api.conftest import URL
from tests.api.helpers import question
from tests.factories import make_purchase

pytestmark = pytest.mark.usefixtures("policy")

SHOP = "https://shop.example"
POLICY = json.dumps({"query": "{ refundPolicy { title } }"})
STRANGERS = [
    "https://evil.example",
    "https://shop.example.evil.example",
    "http://shop.example",
    "https://shop.example:8443",
    "null",
    "*",
    "",
]


@pytest.fixture(autouse=True)
def named(settings, store):
    """One origin is named."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "STOREFRONT_ORIGINS": [SHOP]}


def asks_first(origin: str, method: str = "POST"):
    headers = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization,content-type,saleor-api-url"}
    return Client().options(URL, headers={"Origin": origin, **headers})


def test_a_page_of_a_named_origin_may_bring_a_token_and_read_the_answer():
    told = asks_first(SHOP)
    assert (told.status_code, told.content) == (204, b"")
    assert (told["Access-Control-Allow-Origin"], told["Access-Control-Allow-Methods"]) == (SHOP, "POST")
    allowed = {name.strip().lower() for name in told["Access-Control-Allow-Headers"].split(",")}
    assert allowed == {"authorization", "authorization-bearer", "content-type", "saleor-api-url"}
    answer = Client().post(URL, POLICY, content_type="application/json", headers={"Origin": SHOP})
    assert answer["Access-Control-Allow-Origin"] == SHOP
    assert "Origin" in answer["Vary"]


def test_it_reads_refusals_too():
    for body, headers in (("{", {}), (POLICY, {"Authorization": "Bearer rpt_00000000_wrong"})):
        answer = Client().post(URL, body, content_type="application/json", headers={"Origin": SHOP, **headers})
        assert answer.status_code in (400, 401)
        assert answer["Access-Control-Allow-Origin"] == SHOP


def test_no_browser_is_told_to_send_cookies_along(person):
    for answer in (asks_first(SHOP), person("ada").post(URL, POLICY, content_type="application/json", headers={"Origin": SHOP})):
        assert "Access-Control-Allow-Credentials" not in answer


def test_a_session_of_a_named_origin_is_checked_like_any_other(send, person):
    ada = person("ada")
    ada.handler.enforce_csrf_checks = True
    asked = question(make_purchase(user_id=ada.user.pk), email=None)
    assert send("RefundRequestCreate", asked, client=ada, HTTP_ORIGIN=SHOP).status == 403
    assert not RefundRequest.objects.exists()


@pytest.mark.parametrize("origin", STRANGERS)
def test_a_page_of_another_origin_is_told_nothing(origin):
    told = asks_first(origin)
    assert told.status_code == 405
    answer = Client().post(URL, POLICY, content_type="application/json", headers={"Origin": origin})
    for response in (told, answer):
        assert not [name for name in response.headers if name.startswith("Access-Control")]
        assert "Origin" in response["Vary"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_only_what_is_answered_is_allowed(method):
    assert asks_first(SHOP, method).status_code == 405


def test_by_default_no_origin_is_named(settings):
    settings.REFUND_PLUGIN = {name: value for name, value in settings.REFUND_PLUGIN.items() if name != "STOREFRONT_ORIGINS"}
    assert asks_first(SHOP).status_code == 405
    answer = Client().post(URL, POLICY, content_type="application/json", headers={"Origin": SHOP})
    assert "Access-Control-Allow-Origin" not in answer
