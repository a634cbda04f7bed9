"""An editor asks what a stricter draft would have done before publishing it, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import NARROW, Picture, check_accessible, log_in

WIDE_ADMIN = {"width": 1280, "height": 900}


def open_policy(page: Page) -> None:
    """Open the refund policy in the editor."""
    log_in(page, "editor", at="/admin/login/")
    page.goto("/admin/pages/search/?q=Refund+policy")
    page.locator("td.title a", has_text="Refund policy").first.click()


def test_a_stricter_draft_is_replayed_and_shows_who_would_be_denied(page: Page, picture: Picture):
    page.set_viewport_size(WIDE_ADMIN)
    open_policy(page)
    page.locator("[name=clauses-4-value-window_days]").fill("1")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_text(re.compile("has been (saved|updated)")).first).to_be_visible()

    page.get_by_role("link", name="What would this have done?").click()
    page.get_by_label("365 days").check()
    page.get_by_role("button", name="Start the replay").click()

    # the page follows the workers by itself
    expect(page.get_by_role("link", name="See every changed answer")).to_be_visible(timeout=60_000)
    asked_now = page.locator("#purchases-section, #purchases-content").first
    expect(asked_now.get_by_text(re.compile(r"customers? would newly get a no"))).to_be_visible()
    expect(asked_now.locator(".replay-chart")).to_be_visible()
    check_accessible(page)
    picture(page, "editor-replay")

    asked_now.get_by_role("link", name="from approved to declined").click()
    page.locator(".listing a").first.click()
    expect(page.get_by_role("heading", name=re.compile("So far: approved"))).to_be_visible()
    expect(page.get_by_role("heading", name="This draft: declined")).to_be_visible()
    check_accessible(page)
    page.set_viewport_size(NARROW)
    check_accessible(page)

    page.goto("/")
    expect(page.locator("footer")).to_contain_text(re.compile("(30|45) days to change your mind"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_silent_draft_is_started_and_stopped(page: Page, picture: Picture, scheme: str):
    page.set_viewport_size(WIDE_ADMIN)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    open_policy(page)
    page.get_by_role("link", name="What would this have done?").click()
    check_accessible(page)
    page.get_by_role("button", name="Start the replay").click()
    page.get_by_role("button", name="Start the silent draft").click(timeout=60_000)
    expect(page.get_by_text("Customers notice nothing of it.").first).to_be_visible()
    page.reload()  # without the message, which is Wagtail's own
    check_accessible(page)
    picture(page, f"editor-silent-{scheme}")
    page.get_by_role("button", name="Stop the silent draft").click()
    expect(page.get_by_text("It decided silently from")).to_be_visible()
