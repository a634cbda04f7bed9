"""What an editor does with the refund policy, in a real browser: change a value, see its words, publish."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import CUSTOMER, Picture, log_in


def test_a_changed_window_is_previewed_published_and_read_everywhere_at_once(page: Page, picture: Picture):
    footer = page.locator("footer")
    page.goto("/")
    expect(footer).to_contain_text("30 days to change your mind about what you have not opened.")

    log_in(page, "editor", at="/admin/login/")
    page.goto("/admin/pages/search/?q=Refund+policy")
    page.locator("td.title a", has_text="Refund policy").first.click()
    expect(page.locator(".refund-status")).to_contain_text("Version 1 is in force")
    page.locator("[name=clauses-4-value-window_days]").fill("45")

    page.get_by_role("button", name="Toggle preview").click()
    preview = page.frame_locator("#w-preview-iframe, iframe[data-w-preview-target=iframe]").first
    expect(preview.locator("#guarantee")).to_contain_text("Ask within 45 days", timeout=20_000)
    picture(page, "editor-preview")

    page.get_by_role("button", name="More actions").click()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Version 2")).not_to_have_count(0)

    page.goto("/")
    expect(footer).to_contain_text("45 days to change your mind about what you have not opened.")
    page.goto("/checkout/EB-MARGIN/")
    expect(page.locator("main")).to_contain_text("45 days")
    picture(page, "editor-checkout")
    page.goto("/refund-policy/")
    expect(page.locator("#guarantee")).to_contain_text("Ask within 45 days")
    page.get_by_role("link", name="All versions").click()
    expect(page.locator("main")).to_contain_text("2")


def test_a_purchase_made_before_keeps_the_version_of_its_day(page: Page):
    page.goto("/refunds/")
    page.get_by_label("Order number").fill("1044")
    page.get_by_label("E-mail address you bought with").fill(CUSTOMER)
    page.get_by_role("button", name="See what I can get back").click()

    expect(page.locator(".refund-line")).to_contain_text("(30 allowed)")


def test_a_window_that_cannot_be_is_explained_at_the_page(page: Page):
    log_in(page, "editor", at="/admin/login/")
    page.goto("/admin/pages/search/?q=Refund+policy")
    page.locator("td.title a", has_text="Refund policy").first.click()
    page.locator("[name=clauses-4-value-window_days]").fill("0")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("button", name="Publish").click()

    expect(page.get_by_text(re.compile("could not be (saved|published|created)"))).to_be_visible()
    page.goto("/")
    expect(page.locator("footer")).to_contain_text(re.compile("(30|45) days to change your mind"))
