"""What holds for every customer page: headers, clean markup, no transaction around it, the same help everywhere."""

from __future__ import annotations

import re

import pytest
from django.urls import get_resolver, reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.limits.network import network_of
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.ledger.credit_notes import settle_credit_notes
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.tracking import purchases_token, tracking_token
from refund_plugin.web import urls
from refund_plugin.web.download import download_path
from refund_plugin.web.proof import purchase_page, withdrawal_page
from tests.factories import EBOOK, SALE
from tests.refunds.helpers import ask
from tests.web.conftest import buy, look_up, soup

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(client, policy, settings) -> dict[str, str]:
    """The address of every kind of page by name."""
    purchase, declined = buy(EBOOK, SALE), buy(SALE)
    look_up(client, purchase.number)
    request = request_refund(
        purchase_id=declined.pk,
        lines={declined.lines.get().pk: 1},
        reason="other",
        by=SYSTEM,
        submission_key="1",
        wants_person=True,
        now=clock.now(),
    )
    paid = ask(buy(EBOOK), now=clock.now())
    drive_refunds()
    note = settle_credit_notes(refund_id=paid.refunds.get().pk, now=clock.now())
    assert note is not None
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "DOWNLOAD_HANDLER": "tests.web.test_download.hand_out"}
    refunded = note.refund.allocations.get().line
    token, mailed = tracking_token(request), purchases_token(purchase.customer)
    withdrawn = ask(buy(SALE), withdrawal=True, now=clock.now())
    return {
        "ask": "/refunds/",
        "purchase": purchase_page(purchase),
        "purchase_from_list": purchase_page(purchase, list_token=mailed),
        "track": reverse("refund_plugin:track", args=[token]),
        "track_status": reverse("refund_plugin:track_status", args=[token]),
        "track_cancel": reverse("refund_plugin:track_cancel", args=[token]),
        "track_answer": reverse("refund_plugin:track_answer", args=[token]),
        "track_document": reverse("refund_plugin:track_document", args=[tracking_token(paid), note.pk]),
        "download": download_path(line=refunded, file="slow-web.epub", now=clock.now()),
        "withdraw_start": "/refunds/withdraw/",
        "withdraw": withdrawal_page(purchase),
        "withdraw_from_list": withdrawal_page(purchase, list_token=mailed),
        "withdraw_receipt": reverse("refund_plugin:withdraw_receipt", args=[tracking_token(withdrawn)]),
        "mine": "/refunds/mine/",
        "purchases": "/refunds/purchases/",
        "purchases_sent": "/refunds/purchases/sent/",
        "purchase_list": reverse("refund_plugin:purchase_list", args=[mailed]),
        "not found": reverse("refund_plugin:track", args=["nobody"]),
    }


def test_every_address_is_looked_at_here(pages):
    assert {pattern.name for pattern in urls.urlpatterns} <= {*pages, "health"}


def test_every_page_is_private_strict_and_uncached(client, pages):
    for name, address in pages.items():
        response = client.get(address)
        policy = response["Content-Security-Policy"]
        assert "default-src 'self'" in policy, name
        assert "unsafe" not in policy, name
        assert response["Referrer-Policy"] == "same-origin", name
        assert "no-store" in response["Cache-Control"], name
        assert "private" in response["Cache-Control"], name
        assert response["X-Robots-Tag"] == "noindex", name


def test_no_page_holds_script_or_style_of_its_own(client, pages):
    for name, address in pages.items():
        page = soup(client.get(address))
        assert [tag for tag in page.select("script") if not tag.get("src")] == [], name
        assert page.select("style, [style]") == [], name
        assert [attribute for tag in page.select("*") for attribute in tag.attrs if re.match(r"on[a-z]+$", attribute)] == [], name


def test_every_page_stands_in_the_hosts_frame_with_one_heading_and_the_same_help(client, pages):
    help_links = set()
    for name, address in pages.items():
        response = client.get(address)
        page = soup(response)
        if response.status_code == 302 or name == "track_status":
            continue
        assert page.select_one("header.masthead") is not None, name
        assert len(page.select("h1")) == 1, name
        assert page.title.get_text().strip(), name
        help_links.add(str(page.select_one("nav.refund-help")))
        assert len(page.select("[id]")) == len({tag["id"] for tag in page.select("[id]")}), name
    assert len(help_links) == 1


def test_one_block_is_all_that_a_host_has_to_offer(client, pages, bare_host):
    for name, address in pages.items():
        response = client.get(address)
        if response.status_code == 302 or name == "track_status":
            continue
        page = soup(response)
        assert page.select_one("main > .refund h1") is not None, name
        assert page.select_one("main > link[rel=stylesheet]")["href"].endswith("refund_plugin/web/refund.css"), name


def test_looking_never_writes(client, pages, django_assert_max_num_queries):
    for name, address in pages.items():
        with django_assert_max_num_queries(15) as captured:
            client.get(address)
        assert all(query["sql"].lstrip("(").startswith("SELECT") for query in captured.captured_queries), name


def test_no_page_runs_in_a_hosts_transaction():
    resolver = get_resolver()
    for pattern in urls.urlpatterns:
        address = re.sub(r"<(\w+):\w+>", "1", str(pattern.pattern))
        callback = resolver.resolve(f"/refunds/{address}").func
        assert "default" in callback._non_atomic_requests, pattern.name


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "expected"),
    [
        (0, "192.0.2.77", "203.0.113.9", "192.0.2.0/24"),
        (1, "10.0.0.1", "198.51.100.4, 203.0.113.9", "203.0.113.0/24"),
        (2, "10.0.0.1", "6.6.6.6, 198.51.100.4, 203.0.113.9", "198.51.100.0/24"),
        (1, "10.0.0.1", "", "10.0.0.0/24"),
        (1, "10.0.0.1", "nonsense", "unknown"),
        (0, "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        (0, "::ffff:192.0.2.77", "", "192.0.2.0/24"),
    ],
)
def test_tries_are_counted_by_the_network_our_own_proxy_saw(settings, proxies, peer, forwarded, expected):
    settings.REFUND_PLUGIN = {"TRUSTED_PROXIES": proxies}
    assert network_of({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) == expected
