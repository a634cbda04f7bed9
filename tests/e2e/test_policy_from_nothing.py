"""An editor writes a shop's first policy in the admin: is stopped, mends it, publishes, replays a draft, and announces the next one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect
from pytest_django.plugin import DjangoDbBlocker

from refund_plugin import clock
from refund_plugin.refunds.replay.services import replay_due
from tests.e2e.conftest import NARROW, STANDARDS, Picture, check_accessible
from tests.e2e.editor_world import ORDER, World, editor_world

WIDE_ADMIN = ViewportSize(width=1280, height=900)
OURS = [[".refund-status"], [".refund-checks"], [".refund-prose"]]


@pytest.fixture(scope="session")
def base_url() -> None:
    """These pages are served from this process, not by the demo."""


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """One shop without a policy."""
    with django_db_blocker.unblock(), editor_world() as made:
        yield made


@pytest.fixture
def db(world: World) -> None:
    """The rows stay for the whole file; by this fixture's name pytest-django learns that there must be a database."""


@pytest.fixture
def admin(page: Page, db: None, world: World) -> Page:
    """A browser in which the editor is signed in."""
    page.context.add_cookies([{"name": "sessionid", "value": world.session, "url": world.url}])
    page.set_viewport_size(WIDE_ADMIN)
    return page


def publish(page: Page) -> None:
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("button", name="Publish", exact=True).click()


def wait_for_autosave(page: Page) -> None:
    """Wait until Wagtail has kept the new page as a draft: who publishes in that very moment makes a second one."""
    page.wait_for_url("**/edit/")


def check_ours(page: Page) -> None:
    """Run axe on what this package adds to Wagtail's form."""
    present = [selector for selector in OURS if page.locator(selector[0]).count()]
    found = Axe().run(page, context={"include": present}, options={"runOnly": {"type": "tag", "values": STANDARDS}})
    assert found.violations_count == 0, found.generate_report()


def check_in_every_window(page: Page) -> None:
    """Run axe on a page for customers, wide, narrow, and dark."""
    for scheme, size in (("light", WIDE_ADMIN), ("light", NARROW), ("dark", NARROW)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size(size)
        check_accessible(page)


def test_an_editor_writes_a_policy_from_nothing_and_announces_the_next_version(admin: Page, world: World, picture: Picture):
    page = admin
    page.goto(f"{world.url}/admin/pages/add/cms_pages/refundpolicypage/{world.home}/")
    page.locator("[name=title]").fill("Refund policy")
    clauses = page.locator("#panel-child-content-clauses-content")
    clauses.get_by_role("button", name="Insert a block").first.click()
    page.get_by_role("option", name="Money-back guarantee").click()
    window = page.locator("[name=clauses-0-value-window_days]")
    window.fill("0")

    # stopped: the remark stands at the clause
    publish(page)
    expect(page.get_by_text(re.compile("could not be (saved|published|created)")).first).to_be_visible()
    expect(clauses.get_by_text("The window must be between 1 and")).to_be_visible()
    picture(page, "editor-stopped")

    # mended, with words that say something else: told, and published anyway
    window.fill("7")
    wait_for_autosave(page)
    publish(page)
    expect(page.get_by_text("Version 1 is in force for purchases from now on.")).to_be_visible()
    expect(page.get_by_text(re.compile("consumers may withdraw within 14 days")).first).to_be_visible()
    page.goto(f"{world.url}/admin/pages/{world.home}/")
    page.get_by_role("link", name="Refund policy", exact=True).first.click()
    expect(page.locator(".refund-status")).to_contain_text("Version 1 is in force")
    edit = page.url
    expect(page.locator(".refund-checks")).to_contain_text("Clause 1 gives them less")
    check_ours(page)
    picture(page, "editor-checks-wide")
    page.set_viewport_size(NARROW)
    check_ours(page)
    picture(page, "editor-checks-narrow")
    page.set_viewport_size(WIDE_ADMIN)
    page.emulate_media(color_scheme="dark")
    check_ours(page)
    picture(page, "editor-checks-dark")
    page.emulate_media(color_scheme="light")

    # Wagtail's own checks find the remark in the preview, and nothing else to complain about
    page.get_by_role("button", name="Toggle checks").click()
    expect(page.get_by_text("The policy deserves a second look")).to_be_visible(timeout=20_000)
    expect(page.locator("[data-content-checker-count]").last).to_have_text("1")
    picture(page, "editor-wagtail-checks")

    # what would it say about a purchase that was made?
    page.get_by_role("button", name="Toggle preview").click()
    page.get_by_label("Preview mode").select_option(label="For a past purchase")
    preview = page.frame_locator("#w-preview-iframe, iframe[data-w-preview-target=iframe]").first
    preview.get_by_label("Order number").fill(ORDER)
    preview.get_by_role("button", name="Judge this purchase").click()
    expect(preview.get_by_role("heading", name="The Slow Web")).to_be_visible(timeout=20_000)
    picture(page, "editor-past-purchase")
    page.get_by_role("button", name="Toggle preview").click()

    # what would a stricter draft have done? The workers' part is done here, so that it has an end
    page.locator("[name=clauses-0-value-window_days]").fill("1")
    page.get_by_role("button", name="Save draft").click()
    expect(page.get_by_text(re.compile("has been (saved|updated)")).first).to_be_visible()
    page.get_by_role("link", name="What would this have done?").click()
    page.get_by_label("365 days").check()
    page.get_by_role("button", name="Start the replay").click()
    page.wait_for_url("**/replay/*/**")
    while replay_due(clock.now()):
        pass
    report = page.locator("#purchases-section, #purchases-content").first
    expect(report.get_by_text(re.compile("1 customer would newly get a no"))).to_be_visible(timeout=30_000)
    expect(report.locator(".replay-chart")).to_be_visible()
    check_accessible(page)
    picture(page, "editor-nothing-replay")

    # the next version is announced, kinder instead
    page.goto(edit)
    page.locator("[name=clauses-0-value-window_days]").fill("30")
    page.locator("[name=effective_from]").fill((clock.now() + timedelta(days=40)).strftime("%Y-%m-%d %H:%M"))
    page.keyboard.press("Escape")
    publish(page)
    expect(page.get_by_text(re.compile("Version 2 will be in force for purchases from"))).to_be_visible()
    page.goto(f"{world.url}/refund-policy/")
    main = page.locator("main")
    expect(main).to_contain_text("Ask within 7 days of buying")
    expect(main).to_contain_text("New terms apply to purchases from")
    check_in_every_window(page)
    picture(page, "policy-announced")
    page.get_by_role("link", name="All versions").click()
    expect(main).to_contain_text("The window went from 7 to 30 days.")
    check_in_every_window(page)
    picture(page, "policy-history")


def test_an_editor_writes_the_words_of_the_checkout_and_sees_the_block_before_customers_do(admin: Page, world: World, picture: Picture):
    page = admin
    listing, listed = f"{world.url}/admin/snippets/cms_pages/consentwording/", "Checkout, digital content"
    page.goto(f"{listing}add/")
    page.locator("[name=introduction]").fill("You may withdraw within 14 days. If you want to begin now, tell us so.")
    page.locator("[name=agreement]").fill("I ask that my book is here at once.")
    page.locator("[name=acknowledgement]").fill("I know that I lose my right to withdraw when I begin to read.")
    page.get_by_role("button", name="Save draft").click()
    page.wait_for_url("**/edit/**")
    edit = page.url

    page.get_by_role("button", name="Toggle preview").click()
    preview = page.frame_locator("#w-preview-iframe, iframe[data-w-preview-target=iframe]").first
    expect(preview.get_by_label("I ask that my book is here at once.")).not_to_be_checked(timeout=20_000)
    for size in (WIDE_ADMIN, NARROW):
        page.set_viewport_size(size)
        picture(page, f"wording-editor-{size['width']}")
    page.set_viewport_size(WIDE_ADMIN)

    publish(page)
    page.wait_for_url(re.compile(r"/consentwording/$"))
    expect(page.get_by_role("link", name=listed, exact=True)).to_be_visible()
    check_accessible(page)
    picture(page, "wording-list")

    # the preview on a page of its own, as a checkout has it
    page.goto(edit)
    expect(page.locator("[name=agreement]")).to_have_value("I ask that my book is here at once.")
    page.goto(edit.replace("/edit/", "/preview/"))
    expect(page.get_by_label("I know that I lose my right to withdraw when I begin to read.")).to_be_visible()
    check_in_every_window(page)
    picture(page, "wording-preview")
