"""The pages about money in a real browser: every one with real rows, wide and light, narrow and dark; and what moves on them."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, ViewportSize, expect
from pytest_django.plugin import DjangoDbBlocker

from tests.e2e.conftest import Picture, check_accessible
from tests.e2e.money_world import World, money_world

WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)


@pytest.fixture(scope="session")
def base_url() -> None:
    """These pages are served from this process, not by the demo."""


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """One seeded shop for all tests of this file."""
    with django_db_blocker.unblock(), money_world() as made:
        yield made


@pytest.fixture
def db(world: World) -> None:
    """The rows stay for the whole file; by this fixture's name pytest-django learns that there must be a database."""


@pytest.fixture
def staff(page: Page, db: None, world: World) -> Page:
    """A browser in which a person is signed in who may do everything."""
    page.context.add_cookies([{"name": "sessionid", "value": world.session, "url": world.url}])
    return page


# The thing to do on each page; "" where there is only something to read.
PAGES = {
    "automatic": "Save",
    "alerts": "",
    "alert": "I have looked",
    "worklist": "Claim and download",
    "disputes": "",
    "dispute": "Download the evidence",
    "elsewhere": "",
    "allocation": "Assign to these lines",
    "books": "Download the journal (CSV)",
    "credit-notes": "",
    "credit-note": "The request",
    "money": "Compare now",
    "case-refunded": "",
    "case-ending": "",
    "case-stopped": "I have looked",
    "correct-use": "It does not count",
    "pay-by-hand": "I pay it by hand",
    "track-refunded": "",
    "track-ending": "",
    "track-stopped": "",
}
STEPS = 60
FOLLOWED = 20_000  # milliseconds; the page asks every three seconds


@pytest.mark.parametrize("name", PAGES)
def test_every_page_about_money_suits_everybody(staff: Page, world: World, picture: Picture, name: str):
    answer = staff.goto(world.url + world.paths[name])
    assert answer is not None and answer.status == 200
    staff.set_viewport_size(WIDE)
    check_accessible(staff)
    picture(staff, f"page-money-{name}-light-{WIDE['width']}")
    staff.emulate_media(color_scheme="dark", reduced_motion="reduce")
    staff.set_viewport_size(NARROW)
    check_accessible(staff)
    picture(staff, f"page-money-{name}-dark-{NARROW['width']}")


@pytest.mark.parametrize("name", [name for name, action in PAGES.items() if action])
def test_the_thing_to_do_is_reached_by_keyboard_and_shows_the_focus(staff: Page, world: World, name: str):
    staff.goto(world.url + world.paths[name])
    action = staff.locator("main").locator("button, a").filter(has_text=PAGES[name]).first
    expect(action).to_be_visible()
    staff.keyboard.press("Tab")
    expect(staff.get_by_role("link", name="Skip to main content")).to_be_focused()
    staff.keyboard.press("Enter")
    for _step in range(STEPS):
        staff.keyboard.press("Tab")
        if action.evaluate("one => one === document.activeElement"):
            break
    expect(action).to_be_focused()
    assert action.evaluate("one => one.matches(':focus-visible') && getComputedStyle(one).outlineStyle !== 'none'")


def test_a_comparison_is_followed_until_it_is_done(staff: Page, world: World):
    staff.goto(world.url + world.paths["money"])
    staff.get_by_role("button", name="Compare now").press("Enter")
    expect(staff.get_by_role("progressbar", name="Comparing main with the payment provider: 0 refunds read.")).to_be_visible()
    download = staff.get_by_role("link", name="Download (CSV)")
    download.focus()
    world.compare(answers=False)
    expect(staff.get_by_text("The last page could not be read (no_answer); it is tried again.")).to_be_visible(timeout=FOLLOWED)
    expect(download).to_be_focused()
    check_accessible(staff)
    world.compare()
    expect(staff.get_by_role("progressbar")).to_have_count(0, timeout=FOLLOWED)
    expect(staff.get_by_text("Nothing differs.")).to_be_visible()


def test_claiming_a_work_list_shows_that_it_is_under_way_and_hands_the_file_over(staff: Page, world: World):
    staff.goto(world.url + world.paths["worklist"])
    staff.wait_for_load_state("load")
    held: list[Route] = []
    staff.route("**/by-hand/", lambda route: held.append(route) if route.request.method == "POST" else route.continue_())
    button = staff.get_by_role("button", name="Claim and download")
    button.press("Enter")
    expect(staff.get_by_role("progressbar", name="Claiming one after the other")).to_be_visible()
    expect(button).to_be_disabled()
    check_accessible(staff)
    with staff.expect_download() as download:
        held.pop().continue_()
    rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8-sig").splitlines()))
    expect(staff.get_by_role("status").filter(has_text="Your list is downloaded.")).to_be_visible()
    expect(staff.get_by_role("progressbar")).to_have_count(0)
    expect(button).to_be_focused()
    staff.get_by_role("link", name="Show what waits now").click()
    expect(staff.get_by_text(f"The {len(rows)} that you claimed before are in the file too.")).to_be_visible()
    assert len(rows) == world.release_all() >= len(world.waiting)
