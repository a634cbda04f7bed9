"""The code of docs/storefront.md, run as it stands: the same documents as ours, and a refund asked for through it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page

from refund_plugin import documents
from refund_plugin.refunds.models import RefundRequest
from tests.documented import ROOT
from tests.saleor.dashboard.conftest import buy, gateway, installation, policy_pages, purchase  # noqa: F401  # fixtures


@pytest.fixture(scope="session")
def base_url() -> str | None:
    """No demo runs here: pages are opened by their whole address."""
    return None


def shown_code() -> str:
    """Return the functions of the first block, without what only a server has."""
    block = re.findall(r"^```js\n(.*?)^```$", (ROOT / "docs/storefront.md").read_text(), re.MULTILINE | re.DOTALL)[0]
    return "\n".join(re.findall(r"^export ((?:async )?function .*?^})", block, re.MULTILINE | re.DOTALL))


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
