"""The host's own pages with what this package adds to them, and a purchase with everything opened: for everybody, in every window."""

from __future__ import annotations

import re
from urllib.parse import urlparse

from playwright.sync_api import Page, expect

from tests.e2e.conftest import NARROW, WIDE, Picture, check_accessible, log_in


def check_in_every_window(page: Page, picture: Picture, name: str) -> None:
    """Run axe wide, narrow and dark, and keep a picture of each."""
    for scheme, size in (("light", WIDE), ("light", NARROW), ("dark", NARROW)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size(size)  # type: ignore[arg-type]
        check_accessible(page)
        picture(page, f"{name}-{scheme}-{size['width']}")


def first_product(page: Page) -> str:
    """Go to the page of a product that the shelf shows."""
    page.goto("/")
    page.locator("main a:has(img)").first.click()
    expect(page.get_by_role("link", name="Buy for")).to_be_visible()
    return urlparse(page.url).path


def test_a_shelf_with_a_footer_and_badges_is_for_everybody(page: Page, picture: Picture):
    page.goto("/")
    expect(page.locator(".refund-badge").first).to_be_visible()
    check_in_every_window(page, picture, "shop-shelf")


def test_a_product_with_its_badge_and_terms_is_for_everybody(page: Page, picture: Picture):
    first_product(page)
    expect(page.locator(".refund-badge").first).to_be_visible()
    check_in_every_window(page, picture, "shop-product")


def test_a_checkout_that_asks_for_consent_is_for_everybody(page: Page, picture: Picture):
    first_product(page)
    page.get_by_role("link", name="Buy for").click()
    expect(page.locator(".refund-consent")).to_be_visible()
    check_in_every_window(page, picture, "shop-checkout")


def test_a_purchase_with_every_rule_laid_open_is_for_everybody(page: Page, picture: Picture):
    log_in(page, "customer")  # not by number and address, whose tries from one network are limited
    page.goto("/refunds/mine/")
    page.get_by_role("link", name=re.compile("Order 1053")).click()
    expect(page.locator(".refund-line").first).to_be_visible()
    closed = page.locator("details:not([open]) > summary")
    while closed.count():
        closed.first.click()
    expect(page.locator("details[open]").first).to_be_visible()
    check_in_every_window(page, picture, "purchase-opened")
