"""What a customer lives through, in a real browser, with a real worker and money that really moves in the sandbox."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.demo_process import DemoProcess
from tests.e2e.conftest import CUSTOMER, NARROW, WIDE, Picture, check_accessible, log_in, sandbox_state

HEADING = "h1"
FINAL = "#refund-status[data-final=yes]"


def find(page: Page, number: str, email: str = CUSTOMER) -> None:
    """Give order number and e-mail on the first page."""
    page.goto("/refunds/")
    page.get_by_label("Order number").fill(number)
    page.get_by_label("E-mail address you bought with").fill(email)
    page.get_by_role("button", name="See what I can get back").click()


def ask(page: Page, reason: str = "I changed my mind") -> None:
    """Give a reason and send the form of the purchase."""
    page.get_by_label("Why do you want your money back?").select_option(label=reason)
    page.locator("#submit").click()
    page.wait_for_url("**/refunds/track/**")


def refunds_of(demo: DemoProcess, number: str) -> list[int]:
    """Return the amounts that the sandbox paid back for a seeded order, in minor units."""
    state = sandbox_state(demo)
    return [refund["amount"] for refund in state["refunds"] if re.fullmatch(rf"pi_seed{number}n\d+", refund["payment_intent"])]


def test_a_customer_sees_the_answer_asks_once_and_follows_the_money(page: Page, demo: DemoProcess, picture: Picture):
    page.goto("/refunds/")
    expect(page.locator(".refund-short li").first).to_be_visible()
    check_accessible(page)
    picture(page, "customer-ask")
    find(page, "1042")

    expect(page.locator(HEADING)).to_have_text("You can get €40.60 back")
    ebook, course, licence = page.locator(".refund-line").all()
    expect(ebook).to_contain_text("You have not opened it")
    expect(ebook.get_by_role("link", name="30-day guarantee")).to_have_attribute("href", re.compile(r"/refund-policy/.*#guarantee$"))
    expect(course).to_contain_text("€22.40")
    expect(licence).to_contain_text("Not refundable")
    check_accessible(page)
    picture(page, "customer-purchase")

    course.get_by_role("checkbox").uncheck()
    expect(page.locator("#submit")).to_have_text("Ask for €18.20 back")
    course.get_by_role("checkbox").check()
    expect(page.locator("#submit")).to_have_text("Ask for €40.60 back")
    page.evaluate("window.sameDocument = false")
    ask(page)

    page.evaluate("window.sameDocument = true")
    expect(page.locator("#received")).to_contain_text("We have your request R-")
    expect(page.locator(FINAL)).to_be_attached(timeout=15_000)
    expect(page.locator(HEADING)).to_have_text("€40.60 went back to Visa •••• 4242")
    expect(page.locator("#refund-news")).to_have_text(re.compile("went back|^$"))
    assert page.evaluate("window.sameDocument"), "the page was loaded again instead of updating itself"
    expect(page.locator(".refund-steps .is-done")).to_have_count(4)
    assert sum(refunds_of(demo, "1042")) == 4060
    check_accessible(page)
    picture(page, "customer-track")

    reference = page.locator(".refund-fine").first.inner_text().split()[1]
    tracking_path = page.url.removeprefix(demo.url).partition("?")[0]
    mails = page.context.new_page()
    mails.goto("/demo/mail/")
    expect(mails.get_by_role("link", name=re.compile(reference))).not_to_have_count(0)
    mails.get_by_role("link", name=re.compile(reference)).last.click()
    expect(mails.locator(".plain")).to_contain_text(tracking_path)


def test_pressing_twice_asks_once(page: Page, demo: DemoProcess):
    find(page, "1043")
    page.get_by_label("Why do you want your money back?").select_option(label="Something else")
    # two clicks in the same instant, as of an impatient finger
    page.locator("#submit").evaluate("button => { button.click(); button.click(); }")
    page.wait_for_url("**/refunds/track/**")
    expect(page.locator(FINAL)).to_be_attached(timeout=15_000)
    assert len(refunds_of(demo, "1043")) == 1
    find(page, "1043")
    expect(page.locator(".refund-card")).to_have_count(1)


def test_everything_works_without_script(browser: Browser, base_url: str, browser_context_args: dict[str, Any], demo: DemoProcess):
    context = browser.new_context(**{**browser_context_args, "java_script_enabled": False})
    page = context.new_page()
    find(page, "1047")
    book = page.locator(".refund-line", has_text="The Slow Web")
    book.get_by_label("How many?").select_option("1")
    page.get_by_role("button", name="Update amounts").click()
    expect(book.locator(".refund-amount")).to_have_text("€18.20")
    expect(book.get_by_label("How many?")).to_have_value("1")
    page.locator(".refund-line", has_text="Atlas").get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Update amounts").click()
    expect(page.locator("#submit")).to_have_text("Ask for €18.20 back")
    ask(page)
    for _attempt in range(60):
        if page.locator(FINAL).count():
            break
        page.get_by_role("link", name="Refresh").click()
    expect(page.locator(FINAL)).to_be_attached()
    assert sum(refunds_of(demo, "1047")) == 1820
    context.close()


def test_a_pending_refund_updates_itself_and_leaves_the_focus_alone(page: Page):
    find(page, "1049")
    ask(page)
    link = page.get_by_role("navigation", name="Help with refunds").get_by_role("link").first
    link.focus()
    expect(page.locator("#refund-status")).to_contain_text("Your bank books it", timeout=15_000)
    expect(page.locator(FINAL)).to_be_attached(timeout=30_000)
    expect(link).to_be_focused()
    expect(page.locator("#refund-news[role=status]")).to_have_text(re.compile("went back"))


def test_a_refused_line_leads_to_a_person_and_can_be_taken_back(page: Page, picture: Picture):
    find(page, "1045")
    expect(page.locator(HEADING)).to_have_text("Our policy does not refund this purchase")
    page.get_by_label("Does it not work, or are these facts wrong?").check()
    expect(page.locator("#submit")).to_have_text("Ask a person to look")
    ask(page, reason="It does not work")
    expect(page.locator(HEADING)).to_have_text("A person looks at your request")
    check_accessible(page)
    picture(page, "customer-review")
    page.get_by_role("link", name="Take this request back").click()
    check_accessible(page)
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator(HEADING)).to_have_text("You took this request back")


def test_a_wrong_address_is_explained_and_leads_to_the_field(page: Page, picture: Picture):
    find(page, "1042", "wrong@example.com")
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    check_accessible(page)
    picture(page, "customer-error")
    summary.get_by_role("link").click()
    expect(page.get_by_label("Order number")).to_be_focused()


def test_purchases_come_by_mail_to_who_has_no_order_number(page: Page):
    page.goto("/refunds/")
    page.get_by_role("link", name="I don’t have my order number").first.click()
    check_accessible(page)
    page.get_by_label("E-mail address you bought with").fill("mira@example.org")
    page.get_by_role("button", name="Mail me my purchases").click()
    expect(page.locator(HEADING)).to_have_text("Look in your mail")
    check_accessible(page)

    def mailed() -> str | None:
        page.goto("/demo/mail/")
        rows = page.locator("tr", has_text="mira@example.org")
        return rows.first.get_by_role("link").get_attribute("href") if rows.count() else None

    letter = next((path for path in (mailed() for _attempt in range(100)) if path), None)
    assert letter, "no mail came"
    page.goto(letter)
    address = re.search(r"https?://\S+/refunds/purchases/[^\s\"<]+", page.locator(".plain").inner_text())
    assert address is not None
    page.goto(address[0])
    check_accessible(page)
    page.get_by_role("link", name=re.compile("Order 1052")).click()
    expect(page.locator(HEADING)).to_have_text("You can get €24.00 back")


def test_the_keyboard_alone_is_enough(page: Page):
    page.goto("/refunds/")
    page.get_by_label("Order number").focus()
    page.keyboard.type("1054")
    page.keyboard.press("Tab")
    page.keyboard.type(CUSTOMER)
    page.keyboard.press("Enter")
    page.wait_for_url("**/refunds/order/**")
    person = page.get_by_label("Does it not work, or are these facts wrong?")
    for _press in range(40):
        if person.evaluate("field => field === document.activeElement"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(person).to_be_checked()
    expect(page.locator("#submit")).to_have_text("Ask a person to look")
    page.keyboard.press("Tab")
    page.keyboard.type("It does")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#submit")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/refunds/track/**")
    expect(page.locator(HEADING)).to_have_text("A person looks at your request")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW, {"width": 320, "height": 640}], ids=["wide", "narrow", "320"])
def test_pages_suit_every_window_and_both_schemes(page: Page, picture: Picture, scheme: Any, size: Any):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size(size)
    log_in(page, "customer")
    kind = f"{scheme}-{size['width']}"
    for name, path in (
        ("ask", "/refunds/"),
        ("mine", "/refunds/mine/"),
        ("mail", "/refunds/purchases/"),
        ("lost", "/refunds/track/nobody/"),
    ):
        page.goto(path)
        check_accessible(page)
        picture(page, f"page-{name}-{kind}")
    page.goto("/refunds/mine/")
    page.get_by_role("link", name=re.compile("Order 1044")).click()
    check_accessible(page)
    picture(page, f"page-purchase-{kind}")


def test_amounts_and_dates_are_written_in_the_customers_language(browser: Browser, base_url: str, browser_context_args: dict[str, Any]):
    context = browser.new_context(**{**browser_context_args, "locale": "de-DE"})
    page = context.new_page()
    find_in(page, "1048")
    expect(page.locator(".refund-amount").first).to_have_text(re.compile(r"^[\d.]+\s¥$"))
    context.close()


def find_in(page: Page, number: str) -> None:
    """Find a purchase whatever the page's language."""
    page.goto(f"/refunds/?order={number}")
    page.locator("#id_email").fill(CUSTOMER)
    page.locator("#id_email").press("Enter")
    page.wait_for_url("**/refunds/order/**")
