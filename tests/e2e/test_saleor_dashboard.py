"""Our pages within Saleor's dashboard: a little host page posts into a sandboxed frame of another origin, as the dashboard does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils.html import escape
from playwright.sync_api import FrameLocator, Page, expect

from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.stores import registry
from tests.e2e.conftest import Picture, check_accessible
from tests.factories import COURSE, EBOOK, LICENCE, SALE
from tests.issuing_store import IssuingStore
from tests.saleor.dashboard.conftest import (  # noqa: F401  # fixtures
    ALL,
    API,
    APP,
    CUSTOMER,
    ORDER,
    ask,
    buy,
    gateway,
    installation,
    policy_pages,
    purchase,
    token,
)

SANDBOX = "allow-same-origin allow-forms allow-scripts allow-downloads allow-popups"  # as Saleor's dashboard 3.23 has it
HOST = """<!doctype html><html lang="en"><head><title>Dashboard</title><meta name="viewport" content="width=device-width">
<style>body {{ background: #f4f4f6; font-family: sans-serif; margin: 16px; }}
iframe {{ border: 1px solid #ddd; border-radius: 8px; height: 200px; width: 100%; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #0c0d10; color: #eee; }} iframe {{ border-color: #333; }} }}</style></head>
<body><main><h1>Saleor</h1><form method="post" target="app" action="{url}">{fields}</form>
<iframe name="app" title="App" src="{src}" sandbox="{sandbox}"></iframe></main>
<script>
const frame = document.querySelector("iframe");
if (!frame.getAttribute("src")) document.forms[0].submit();
addEventListener("message", (event) => {{
  if (event.data.type === "widgetResize") frame.style.height = `${{event.data.payload.height}}px`;
  const pass = {{ type: "handshake", payload: {{ token: {token}, version: 1 }} }};
  if (event.data.type === "notifyReady") frame.contentWindow.postMessage(pass, event.origin);
}});
</script></body></html>"""


class Host:
    """The dashboard's part: pages of one origin that frame ours."""

    def __init__(self, app: str) -> None:
        self.app = app
        self.permissions = ALL
        self.page = ""
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(host.page.encode() if self.path == "/" else b"")

            def log_message(self, *_args: Any) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def widget(self, page: Page, path: str, **fields: str) -> FrameLocator:
        """Open a panel: the token is posted into the frame."""
        told = {"saleorApiUrl": API, "accessToken": token(permissions=self.permissions), "appId": APP, **fields}
        hidden = "".join(f'<input type="hidden" name="{name}" value="{escape(value)}">' for name, value in told.items())
        return self._open(page, url=self.app + path, fields=hidden, src="")

    def app_page(self, page: Page, path: str, query: str) -> FrameLocator:
        """Open the App's own page: an address, and the token by a message."""
        return self._open(page, url="", fields="", src=escape(f"{self.app}{path}?{query}"))

    def _open(self, page: Page, *, url: str, fields: str, src: str) -> FrameLocator:
        self.page = HOST.format(url=url, fields=fields, src=src, sandbox=SANDBOX, token=json.dumps(token(permissions=self.permissions)))
        page.goto(self.url)
        return page.frame_locator("iframe")


@pytest.fixture
def host(live_server: Any, installation: Any, settings: Any) -> Iterator[Host]:  # noqa: F811
    """A dashboard that may frame us."""
    made = Host(live_server.url)
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"SALEOR": {API: {"dashboard": made.url}}}
    yield made
    made.close()


@pytest.fixture(scope="session")
def base_url() -> str | None:
    """No demo runs here: pages are opened by their whole address."""
    return None


LOOKS: list[tuple[str, dict[str, int], str]] = [
    ("wide", {"width": 760, "height": 900}, "light"),
    ("panel", {"width": 452, "height": 900}, "light"),
    ("narrow", {"width": 352, "height": 800}, "light"),
    ("dark", {"width": 452, "height": 900}, "dark"),
]


def each_look(page: Page, picture: Picture, name: str) -> None:
    """Check the page and keep a picture of it, wide, as a panel, narrow and dark."""
    for look, size, scheme in LOOKS:
        page.set_viewport_size(size)  # type: ignore[arg-type]  # a dict of two numbers
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # "light" or "dark"
        check_accessible(page)
        frame = page.frames[1]
        assert frame.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        picture(page, f"saleor-{name}-{look}")
    page.set_viewport_size({"width": 452, "height": 900})
    page.emulate_media(color_scheme="light")


def test_staff_start_a_refund_beside_an_order_and_a_double_click_sends_one(
    page: Page,
    host: Host,
    picture: Picture,
    buy: Callable[..., Any],  # noqa: F811
) -> None:
    buy(EBOOK, COURSE, LICENCE, SALE, number="1042")
    frame = host.widget(page, "/refunds/saleor/widgets/order/", orderId=ORDER)
    expect(frame.get_by_role("heading", level=1)).to_contain_text("can go back now")
    expect(page.locator("iframe")).not_to_have_css("height", "200px")  # the panel told the dashboard how tall it is
    each_look(page, picture, "order")
    frame.get_by_role("button", name="Start a refund").click()
    frame.get_by_label("Why?").select_option("bought_twice")
    each_look(page, picture, "order-choose")
    frame.get_by_role("button", name="Continue").press("Enter")
    send = frame.get_by_role("button", name="Send €72.07 back")
    expect(send).to_be_visible()
    each_look(page, picture, "order-check")
    send.dblclick()
    expect(frame.get_by_role("status")).to_contain_text("is made.")
    each_look(page, picture, "order-made")
    assert RefundRequest.objects.count() == 1 and sum(refund.amount_minor for refund in Refund.objects.all()) == 7207


def test_the_queue_opens_by_the_dashboards_message_and_a_case_is_approved_there(
    page: Page,
    host: Host,
    picture: Picture,
    buy: Callable[..., Any],  # noqa: F811
    ask: Callable[..., RefundRequest],  # noqa: F811
) -> None:
    for number, lines in enumerate([(EBOOK,), (COURSE, SALE), (LICENCE,)]):
        waits = ask(buy(*lines, order=f"order-{number}", number=str(1042 + number), email=f"{'abc'[number]}da@example.com"))
    frame = host.app_page(page, "/refunds/saleor/app/", f"saleorApiUrl={API}&id={APP}&theme=light")
    expect(frame.get_by_role("heading", level=1)).to_have_text("Refund requests")
    page.locator("iframe").evaluate("frame => frame.style.height = '700px'")
    each_look(page, picture, "desk")
    frame.get_by_role("button", name=waits.reference).click()
    expect(frame.get_by_role("heading", level=1)).to_contain_text("The policy would give")
    page.locator("iframe").evaluate("frame => frame.style.height = '1300px'")
    frame.get_by_text("Approve", exact=True).click()
    frame.get_by_label("Reason, for your colleagues").fill("The licence never worked.")
    each_look(page, picture, "case")
    frame.get_by_role("button", name="Approve and send the money").click()
    expect(frame.get_by_role("status")).to_contain_text("is approved")
    waits.refresh_from_db()
    assert waits.state == "approved"
    each_look(page, picture, "case-approved")


def test_a_voucher_is_given_beside_the_answer(
    page: Page,
    host: Host,
    picture: Picture,
    settings: Any,
    installation: Any,  # noqa: F811
    ask: Callable[..., RefundRequest],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = IssuingStore()  # Saleor itself is not there
    monkeypatch.setitem(registry._adapters, "saleor", shop)
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | {"SALEOR": {API: {"dashboard": host.url, "incentive": "voucher"}}}
    SaleorInstallation.objects.filter(pk=installation.pk).update(permissions=["MANAGE_DISCOUNTS"])
    host.permissions = ("MANAGE_ORDERS", "MANAGE_DISCOUNTS")
    waits = ask()
    frame = host.app_page(page, "/refunds/saleor/app/", f"saleorApiUrl={API}&id={APP}&theme=light")
    page.locator("iframe").evaluate("frame => frame.style.height = '1700px'")
    frame.get_by_role("button", name=waits.reference).click()
    frame.get_by_text("Give a voucher", exact=True).click()
    frame.get_by_label("Worth").fill("15")
    frame.get_by_label("In", exact=True).select_option("percent")
    frame.get_by_label("Reason, for your colleagues").fill("Waited long.")
    each_look(page, picture, "case-give")
    frame.get_by_role("button", name="Give it and tell the customer").dblclick()
    expect(frame.get_by_role("status")).to_contain_text("is told the code")
    each_look(page, picture, "case-given")
    assert [told.worth for told in shop.issued] == [15]


def test_the_panel_beside_a_customer_shows_what_they_bought_and_got_back(
    page: Page,
    host: Host,
    picture: Picture,
    ask: Callable[..., RefundRequest],  # noqa: F811
) -> None:
    ask(to_review=False)
    frame = host.widget(page, "/refunds/saleor/widgets/customer/", customerId=CUSTOMER)
    expect(frame.get_by_role("heading", level=1)).to_have_text("Asked for a refund once")
    each_look(page, picture, "customer")
