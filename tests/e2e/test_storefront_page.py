"""The code of docs/storefront.md, run as it stands: the same documents as ours, and a refund asked for through it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
import pytest
from playwright.sync_api import Page

from refund_plugin import clock, documents
from refund_plugin.refunds.models import RefundRequest
from tests.documented import ROOT
from tests.saleor.dashboard.conftest import API, CUSTOMER, KEY, buy, gateway, installation, policy_pages, purchase  # noqa: F401  # fixtures


@pytest.fixture(scope="session")
def base_url() -> str | None:
    """No demo runs here: pages are opened by their whole address."""
    return None


def shown_code() -> str:
    """Return the functions of the first block, without what only a server has."""
    block = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/storefront.md").read_text(), re.MULTILINE | re.DOTALL)[0]
    return "\n".join(re.findall(r"^export ((?:async )?function .*?^})", block, re.MULTILINE | re.DOTALL))


def customers_token(user_id: str) -> str:
    """Return what Saleor gives to a customer who signs in at the storefront."""
    claims = {"iss": API, "type": "access", "owner": "saleor", "is_staff": False, "user_id": user_id, "email": "ada@example.com"}
    return jwt.encode({**claims, "exp": clock.now() + timedelta(minutes=5)}, KEY, algorithm="RS256", headers={"kid": "one"})


class EmptyPage(BaseHTTPRequestHandler):
    """A page of the storefront."""

    def do_GET(self) -> None:
        """Answer every path alike."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>Shop</title><link rel=icon href=data:,>")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[str]:
    """The storefront's origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_the_code_shown_makes_the_documents_that_our_own_client_sends(page: Page) -> None:
    def normal(text: str) -> set[str]:
        return {" ".join(part.split()) for part in re.split(r"^(?=fragment )", text, flags=re.MULTILINE)}

    for name in documents.operation_names("storefront"):
        parts = [documents.document(name), documents.document("storefront/fragments")]
        made = page.evaluate(f"([text, fragments]) => {{ {shown_code()}; return withFragments(text, fragments); }}", parts)
        ours = documents.operation(name)
        assert {part.split("# ")[0].strip() for part in normal(made)} == {part.split("# ")[0].strip() for part in normal(ours)}, name


def test_a_refund_is_asked_for_through_the_code_shown(page: Page, live_server: Any, purchase: Any) -> None:  # noqa: F811
    page.goto(live_server.url + "/refunds/")
    told = "(error) => ({ problem: error.message, code: error.code })"
    call = f"([url, query, variables]) => {{ {shown_code()}; return send(url, '', query, variables).catch({told}); }}"
    url = live_server.url + "/refunds/graphql/"

    def send(name: str, **variables: Any) -> Any:
        return page.evaluate(call, [url, documents.operation(f"storefront/{name}"), variables])

    whose = {"orderNumber": purchase.number, "email": purchase.customer.email, "channel": purchase.store.slug}
    quote = send("RefundQuote", **whose)["refundQuote"]
    lines = [{"lineId": line["line"]["id"], "quantity": line["quantity"]} for line in quote["lines"] if line["askable"]]
    asked = {
        **whose,
        "lines": lines,
        "reason": "CHANGED_MIND",
        "message": "",
        "clientKey": "0f1c6f0e-4a56-4d0b-9a55-3f0f9d6b7a11",
        "promise": quote["promise"],
    }
    answer = send("RefundRequestCreate", input=asked)
    assert "problem" not in answer, answer
    made = answer["refundRequest"]
    assert made["reference"] == RefundRequest.objects.get().reference
    assert send("RefundRequest", token=made["trackingToken"])["nextStep"]
    assert send("RefundQuote", **whose | {"email": "eve@example.com"})["code"] == "NOT_FOUND"


def test_a_customer_who_is_signed_in_lists_quotes_asks_and_follows_through_the_code_shown(
    page: Page,
    live_server: Any,
    purchase: Any,  # noqa: F811
) -> None:
    page.goto(live_server.url + "/refunds/")
    call = f"([url, query, variables, who]) => {{ {shown_code()}; return send(url, '', query, variables, 'en', who); }}"
    who = {"Authorization-Bearer": customers_token(CUSTOMER), "Saleor-Api-Url": API}

    def mine(name: str, **variables: Any) -> Any:
        return page.evaluate(call, [f"{live_server.url}/refunds/graphql/", documents.operation(f"storefront/{name}"), variables, who])

    (bought,) = [edge["node"] for edge in mine("Purchases", first=20)["edges"]]
    number = {"orderNumber": bought["orderNumber"]}
    quote = mine("RefundQuote", **number)["refundQuote"]
    lines = [{"lineId": line["line"]["id"], "quantity": line["quantity"]} for line in quote["lines"] if line["askable"]]
    key = "0f1c6f0e-4a56-4d0b-9a55-3f0f9d6b7a11"
    asked = {**number, "lines": lines, "reason": "CHANGED_MIND", "clientKey": key, "promise": quote["promise"]}
    made = mine("RefundRequestCreate", input=asked)["refundRequest"]
    assert made["reference"] == RefundRequest.objects.get().reference
    assert [edge["node"]["reference"] for edge in mine("RefundRequests", first=20)["edges"]] == [made["reference"]]
    assert mine("RefundRequest", id=made["id"])["nextStep"]


@pytest.mark.parametrize("named", [True, False])
def test_a_page_of_another_origin_reads_an_answer_only_when_the_settings_name_it(
    page: Page,
    live_server: Any,
    purchase: Any,  # noqa: F811
    settings: Any,
    shop: str,
    complaints: list[str],
    named: bool,
) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "STOREFRONT_ORIGINS": [shop] if named else []}
    blocks = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/storefront.md").read_text(), re.MULTILINE | re.DOTALL)
    (shown,) = [block for block in blocks if 'credentials: "omit"' in block]
    code = shown.replace("https://your-site.example", live_server.url).replace("https://shop.example/graphql/", API)
    page.goto(f"{shop}/account")
    call = f"async ([accessToken, query]) => {{ try {{ {code}; return data; }} catch (error) {{ return error.name; }} }}"
    told = page.evaluate(call, [customers_token(CUSTOMER), documents.operation("storefront/Purchases")])
    if named:
        assert [edge["node"]["orderNumber"] for edge in told["purchases"]["edges"]] == [purchase.number]
    else:
        assert told == "TypeError"
        complaints.clear()  # the browser says in its console why it kept the answer
