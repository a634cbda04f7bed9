"""A consumer in the EU uses the electronic withdrawal function, in a real browser, and the money really moves in the sandbox."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.demo_process import DemoProcess
from tests.e2e.conftest import CUSTOMER, NARROW, WIDE, Picture, check_accessible, sandbox_state

HEADING = "h1"


def identify(page: Page, number: str, email: str = CUSTOMER) -> None:
    """Give order number and e-mail on the first page of the function."""
    page.goto(f"/refunds/withdraw/?order={number}")
    page.get_by_label("E-mail address you bought with").fill(email)
    page.get_by_role("button", name="Withdraw from contract here").click()


def test_a_customer_in_the_eu_withdraws_as_a_guest_in_two_steps(page: Page, demo: DemoProcess, picture: Picture):
    # downloaded, but nobody has proof that the customer agreed to lose the right by that
    page.goto("/")
    page.locator("footer").get_by_role("link", name="Withdraw from contract here").click()
    expect(page.locator(HEADING)).to_have_text("Withdraw from contract")
    check_accessible(page)
    picture(page, "withdraw-start")
    page.get_by_label("Order number").fill("1046")
    page.get_by_label("E-mail address you bought with").fill(CUSTOMER)
    page.get_by_role("button", name="Withdraw from contract here").click()

    expect(page.get_by_role("checkbox", name="The Slow Web")).to_be_checked()
    expect(page.locator("main select, main textarea")).to_have_count(0)
    check_accessible(page)
    picture(page, "withdraw-choose")
    page.get_by_role("button", name="Withdraw from contract here").click()

    expect(page.locator(HEADING)).to_have_text("Confirm withdrawal")
    check_accessible(page)
    picture(page, "withdraw-confirm")
    page.get_by_role("button", name="Confirm withdrawal").dblclick()

    page.wait_for_url("**/withdraw/receipt/**")
    expect(page.locator(HEADING)).to_have_text("We have received your withdrawal")
    expect(page.locator("time")).to_have_text(re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"))
    check_accessible(page)
    picture(page, "withdraw-receipt")
    page.get_by_role("link", name="Follow the refund").click()
    expect(page.locator("#refund-status[data-final=yes]")).to_be_attached(timeout=30_000)
    expect(page.locator(".refund-line")).to_contain_text("The law gives you more than this policy")
    picture(page, "withdraw-track")
    paid = [each["amount"] for each in sandbox_state(demo)["refunds"] if each["payment_intent"].startswith("pi_seed1046n")]
    assert paid == [1820]

    page.goto("/demo/mail/")
    page.get_by_role("link", name=re.compile("Receipt of your withdrawal")).first.click()
    expect(page.locator("body")).to_contain_text("Receipt of your withdrawal")
    picture(page, "withdraw-mail")

    identify(page, "1046")
    expect(page.get_by_role("link", name="See the receipt")).to_be_visible()
    expect(page.locator("main input[type=checkbox]")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW, {"width": 320, "height": 640}], ids=["wide", "narrow", "320"])
def test_the_function_suits_every_window_and_both_schemes(page: Page, picture: Picture, scheme: Any, size: Any):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(size)
    kind = f"{scheme}-{size['width']}"
    page.goto("/checkout/EB-MARGIN/")
    check_accessible(page)
    picture(page, f"consent-{kind}")
    identify(page, "1044")
    check_accessible(page)
    picture(page, f"withdraw-choose-{kind}")
    page.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Withdraw from contract here").click()
    expect(page.get_by_role("alert")).to_contain_text("Tick at least one thing")
    check_accessible(page)
    page.get_by_role("checkbox").check()
    page.get_by_role("button", name="Withdraw from contract here").click()
    check_accessible(page)
    picture(page, f"withdraw-confirm-{kind}")


def test_a_wrong_address_is_told_and_opens_nothing(page: Page):
    identify(page, "1044", "wrong@example.com")
    expect(page.get_by_role("alert")).to_contain_text("We could not find this order with this e-mail address.")
    check_accessible(page)
