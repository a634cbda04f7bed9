"""What staff do in the Wagtail admin, in a real browser, until the money has moved and the customer knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.demo_process import DemoProcess
from tests.e2e.conftest import NARROW, WIDE, Picture, check_accessible, log_in, sandbox_state

TRIES = 100


def open_case(page: Page, words: str) -> None:
    """Find a request in the queue by its order number or reference, and open it."""
    page.goto("/admin/refunds/cases/")
    page.locator("#id_q").fill(words)
    expect(page.locator("#listing-results tbody tr")).to_have_count(1)
    page.locator("#listing-results td.title a").click()
    expect(page.locator(".refund-case__title")).to_be_visible()


def press(page: Page, key: str, title: str) -> Locator:
    """Open a dialog by its shortcut."""
    page.wait_for_load_state("load")  # the shortcuts are the page's own script
    page.keyboard.press(key)
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog).to_be_visible()
    return dialog


def reload_until(page: Page, shown: Callable[[], bool]) -> None:
    """Load the page again until something is shown."""
    for _attempt in range(TRIES):
        if shown():
            return
        page.reload()
    raise AssertionError(f"{page.url} never showed it")


def test_a_lower_amount_is_approved_by_keyboard_and_the_money_moves(page: Page, demo: DemoProcess, picture: Picture):
    log_in(page, "staff", at="/admin/login/")
    expect(page.get_by_role("heading", name="Refunds that need a person")).to_be_visible()
    picture(page, "staff-home")
    page.goto("/admin/refunds/cases/")
    check_accessible(page)
    picture(page, "staff-queue")
    open_case(page, "1061")
    expect(page.locator(".refund-case__title")).to_have_text("The policy would give €130.00")
    check_accessible(page)
    picture(page, "staff-case")

    dialog = press(page, "a", "Approve")
    amount = dialog.get_by_label("Atlas of Quiet Places, in EUR")
    expect(amount).to_be_focused()
    expect(amount).to_have_value("130.00")
    picture(page, "staff-approve")
    amount.fill("100.00")
    dialog.get_by_label("Reason").click()
    page.keyboard.type("and now a deal: he keeps one, ends up happy")  # holds every shortcut's letter
    expect(dialog.get_by_label("Reason")).to_have_value("and now a deal: he keeps one, ends up happy")
    dialog.get_by_role("button", name="Approve and send the money").click()

    expect(page.get_by_text("is approved. The money is on its way")).to_be_visible()
    expect(page.locator(".refund-case__title")).to_have_text("€100.00 granted")
    reload_until(page, lambda: page.locator(".refund-step--done", has_text="Refunded to").count() > 0)
    expect(page.locator("#timeline-section")).to_contain_text("Sam Lindqvist: and now a deal")
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    paid = [refund["amount"] for refund in sandbox_state(demo)["refunds"] if refund["payment_intent"].startswith("pi_seed1061n")]
    assert paid == [10000]


def test_a_decline_reaches_the_customer_with_its_reason(page: Page):
    log_in(page, "staff", at="/admin/login/")
    open_case(page, "1062")
    expect(page.get_by_text("The customer asks that a person looks.")).to_be_visible()
    reference = page.locator("h1").first.inner_text().split()[-1]

    dialog = press(page, "d", "Decline")
    dialog.get_by_role("button", name="Decline and tell the customer").click()
    expect(page.get_by_text("This field is required.")).to_be_visible()
    check_accessible(page)
    page.get_by_label("Reason").fill("The editor you use is older than the one the plug-in needs.")
    page.get_by_role("button", name="Decline and tell the customer").click()

    expect(page.locator(".refund-case__title")).to_have_text("Nothing is refunded")
    page.goto("/demo/mail/")
    decided = page.locator("tr", has_text=reference)
    reload_until(page, lambda: decided.count() >= 2)
    decided.first.get_by_role("link").click()
    expect(page.locator("body")).to_contain_text("The editor you use is older than the one the plug-in needs.")


def test_a_customer_who_called_is_helped_and_asked_and_answers(
    page: Page, browser: Browser, browser_context_args: dict[str, Any], picture: Picture
):
    log_in(page, "staff", at="/admin/login/")
    page.goto("/admin/refunds/purchases/")
    page.locator("#id_q").fill("1051")
    expect(page.locator("#listing-results tbody tr")).to_have_count(1)
    page.locator("#listing-results td.title a").click()
    expect(page.locator(".refund-case__title")).to_have_text("€162.50 could come back now")
    check_accessible(page)
    picture(page, "staff-purchase")
    page.get_by_role("spinbutton", name="Atlas of Quiet Places").fill("5")
    page.get_by_label("What the customer said").fill("Called at noon: two files do not open.")
    page.get_by_role("button", name="Ask for the refund").click()
    expect(page.get_by_text("Called at noon: two files do not open.")).to_be_visible()
    case_path = page.url

    dialog = press(page, "e", "Ask the customer")
    dialog.get_by_label("Question").fill("Which two?")
    dialog.get_by_role("button", name="Send the question").click()
    expect(page.locator(".refund-case__why")).to_have_text("We wait for the customer's answer.")
    email = page.get_by_role("link", name="@").inner_text()

    customer = browser.new_context(**browser_context_args).new_page()
    customer.goto("/refunds/")
    customer.get_by_label("Order number").fill("1051")
    customer.get_by_label("E-mail address you bought with").fill(email)
    customer.get_by_role("button", name="See what I can get back").click()
    customer.locator(".refund-card a").click()
    expect(customer.locator("body")).to_contain_text("Which two?")
    customer.get_by_role("link", name="Answer").click()
    customer.get_by_label("Your answer").fill("The second and the fourth.")
    customer.get_by_role("button", name="Send my answer").click()
    expect(customer.locator("h1")).to_have_text("A person looks at your request")
    customer.context.close()

    page.goto(case_path)
    expect(page.locator(".refund-said")).to_contain_text("The second and the fourth.")
    expect(page.locator(".refund-case__why")).to_have_text("The policy leaves this to a person.")


def test_a_colleague_who_was_faster_is_noticed(page: Page, browser: Browser, browser_context_args: dict[str, Any]):
    log_in(page, "staff", at="/admin/login/")
    page.goto("/admin/refunds/purchases/")
    page.locator("#id_q").fill("1019")
    expect(page.locator("#listing-results tbody tr")).to_have_count(1)
    page.locator("#listing-results td.title a").click()
    page.get_by_role("spinbutton", name="Atlas of Quiet Places").fill("1")
    page.get_by_label("Have a person look, also where the policy declines").check()
    page.get_by_role("button", name="Ask for the refund").click()
    expect(page.locator(".refund-case__title")).to_have_text("The policy gives nothing by itself")
    dialog = press(page, "d", "Decline")
    dialog.get_by_label("Reason").fill("Bought too long ago.")

    colleague = browser.new_context(**browser_context_args).new_page()
    log_in(colleague, "merchant", at="/admin/login/")
    colleague.goto(page.url)
    theirs = press(colleague, "d", "Decline")
    theirs.get_by_label("Reason").fill("After 75 days we cannot.")
    theirs.get_by_role("button", name="Decline and tell the customer").click()
    expect(colleague.locator(".refund-case__title")).to_have_text("Nothing is refunded")
    colleague.context.close()

    dialog.get_by_role("button", name="Decline and tell the customer").click()
    expect(page.get_by_text("This request has changed in the meantime.")).to_be_visible()


def test_people_without_the_permission_do_not_see_refunds(page: Page):
    log_in(page, "editor", at="/admin/login/")
    expect(page.get_by_role("link", name=re.compile("Refunds"))).to_have_count(0)
    page.goto("/admin/refunds/cases/")
    expect(page.get_by_text("you do not have permission")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_staff_pages_suit_every_window_and_both_schemes(page: Page, picture: Picture, scheme: Any, size: Any):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(size)
    log_in(page, "staff", at="/admin/login/")
    kind = f"{scheme}-{size['width']}"
    page.goto("/admin/refunds/cases/?show=everything")
    check_accessible(page)
    picture(page, f"page-staff-queue-{kind}")
    page.locator("#listing-results tr", has_text="1060").locator("td.title a").click()
    expect(page.locator(".refund-case__title")).to_have_text("€18.20 granted")
    check_accessible(page)
    picture(page, f"page-staff-case-{kind}")
    page.goto("/admin/refunds/purchases/")
    check_accessible(page)
    page.locator("#listing-results").get_by_role("link", name="1044").click()
    expect(page.locator(".refund-case__title")).to_be_visible()
    check_accessible(page)
    picture(page, f"page-staff-purchase-{kind}")
