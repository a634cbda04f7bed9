"""The staff's page "Saleor" in a real browser: installations in every state, wide and light, narrow and dark."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from playwright.sync_api import Page, ViewportSize, expect

from refund_plugin import clock
from refund_plugin.events.heartbeats import beat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import SalesBackfill
from refund_plugin.saleor.models import SaleorInstallation
from tests.e2e.conftest import Picture, check_accessible
from tests.saleor.dashboard.conftest import gateway, install, installation, policy_pages  # noqa: F401  # fixtures

WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
LONG = "https://a-merchant-with-a-rather-long-name.eu-central.saleor.cloud/graphql/"


@pytest.fixture(scope="session")
def base_url() -> str | None:
    """No demo runs here: pages are opened by their whole address."""
    return None


@pytest.fixture
def staff(page: Page, live_server: Any, db: None) -> Page:
    """A browser in which a person is signed in who may do everything."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("mira", "mira@example.com", "secret"))
    page.context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    return page


@pytest.fixture
def saleors(installation: SaleorInstallation, settings: Any) -> None:  # noqa: F811
    """One that is well, and one for everything that can be the matter; two may install the App and have not."""
    now = clock.now()
    named = {f"https://{name}.example/graphql/": {} for name in ("lacking", "gone", "reading", "waiting")}
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {**settings.REFUND_PLUGIN["SALEOR"], **named, LONG: {}}}
    SaleorInstallation.objects.update(permissions=["HANDLE_PAYMENTS", "MANAGE_ORDERS", "MANAGE_GIFT_CARD"], webhook_secret_set_at=now)
    beat(f"saleor:{installation.slug}", now=now)
    for name in ("lacking", "gone", "reading", "forgotten"):
        install(f"https://{name}.example/graphql/", slug=name)
    GatewayAccount.objects.filter(slug="lacking").update(on_hold=True, hold_reason="the App lacks HANDLE_PAYMENTS in Saleor")
    SaleorInstallation.objects.filter(slug="gone").update(is_active=False, removed_at=now - timedelta(days=2))
    done, reading = (GatewayAccount.objects.get(slug=slug) for slug in (installation.slug, "reading"))
    SalesBackfill.objects.create(account=done, kind="order", changed_at=now, finished_at=now, counts={"recorded": 1204})
    SalesBackfill.objects.create(
        account=reading, kind="order", changed_at=now, counts={"recorded": 350}, expected=2000, last_error="saleor_unreachable"
    )


def test_the_page_suits_everybody_in_every_state(staff: Page, live_server: Any, saleors: None, picture: Picture) -> None:
    answer = staff.goto(f"{live_server.url}/admin/refunds/saleor/")
    assert answer is not None and answer.status == 200
    for state in ("in use", "on hold", "the App was removed", "not in the settings any more"):
        expect(staff.get_by_text(state, exact=True).first).to_be_visible()
    staff.set_viewport_size(WIDE)
    check_accessible(staff)
    picture(staff, f"page-saleor-light-{WIDE['width']}")
    staff.emulate_media(color_scheme="dark", reduced_motion="reduce")
    staff.set_viewport_size(NARROW)
    check_accessible(staff)
    picture(staff, f"page-saleor-dark-{NARROW['width']}")


def test_before_anything_is_installed_the_page_says_what_to_do(
    staff: Page,
    live_server: Any,
    gateway: Any,  # noqa: F811
    picture: Picture,
) -> None:
    staff.goto(f"{live_server.url}/admin/refunds/saleor/")
    expect(staff.get_by_text("/refunds/saleor/manifest.json")).to_be_visible()
    check_accessible(staff)
    staff.emulate_media(color_scheme="dark", reduced_motion="reduce")
    staff.set_viewport_size(NARROW)
    check_accessible(staff)
    picture(staff, f"page-saleor-first-dark-{NARROW['width']}")
