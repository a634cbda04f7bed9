"""A running demo for the whole run, a browser that complains aloud, pictures kept as artefacts, and axe.

A test here uses seeded orders that no other test uses, because all of them share one demo.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.demo_process import DemoProcess

# Playwright keeps an event loop in this thread until the run ends; Django would then refuse the database to every later test.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

ARTEFACTS = Path(__file__).resolve().parent.parent / "artefacts"
CUSTOMER = "robin@example.com"
WIDE, NARROW = {"width": 1000, "height": 900}, {"width": 360, "height": 780}
# What must hold for everybody (WCAG 2.2 AA), and what axe calls good practice.
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# a message that fades in has other colours until it is there; what turns for ever is not waited for
STILL = """() => Promise.allSettled(
    document.getAnimations()
        .filter((one) => one.playState === "running" && Number.isFinite(one.effect.getComputedTiming().endTime))
        .map((one) => one.finished)
).then(() => null)"""

Picture = Callable[..., None]


@pytest.fixture(scope="session")
def base_url(demo: DemoProcess) -> str:
    """Let tests open paths."""
    return demo.url


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any], base_url: str | None) -> dict[str, Any]:
    """Look from one place, without animations that a picture would catch half-way.

    The address is given again, because files have different ones and Playwright's plug-in keeps that of the first for the run.
    """
    return {
        **browser_context_args,
        "base_url": base_url,
        "viewport": WIDE,
        "locale": "en-US",
        "timezone_id": "Europe/Berlin",
        "color_scheme": "light",
        "reduced_motion": "reduce",
    }


# the status of a page that says what to put right, and what Wagtail's own checks of a previewed page found
NO_FAILURES = ("Failed to load resource: the server responded with a status of 4", "axe.run results")


@pytest.fixture(autouse=True)
def complaints(page: Page) -> Iterator[list[str]]:
    """Fail a test in whose pages a script failed or the content security policy stopped something."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    yield heard
    assert [text for text in heard if not text.startswith(NO_FAILURES)] == []


@pytest.fixture
def picture() -> Picture:
    """Return a function that keeps a picture of the whole page as an artefact."""

    def take(page: Page, name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        size = page.viewport_size
        assert size is not None
        # as high as the page, so that what sticks to the window's edge stands where it belongs
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(size["height"], height)})
        page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)
        page.set_viewport_size(size)

    return take


def check_accessible(page: Page) -> None:
    """Run axe on the page as it stands once it is there and nothing moves, and check that nothing sticks out sideways."""
    page.wait_for_load_state()  # a link's click returns when the next document has begun
    page.evaluate(STILL)
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": STANDARDS}})
    assert results.violations_count == 0, f"{page.url}\n{results.generate_report()}"
    too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert too_wide <= 0, f"{page.url} is {too_wide} px wider than the window"


def sandbox_state(demo: DemoProcess) -> dict[str, Any]:
    """Return every payment and refund that the sandbox knows."""
    addresses = json.loads((demo.folder / "addresses.json").read_text())
    with urllib.request.urlopen(f"{addresses['sandbox']}/_sandbox/state", timeout=10) as answer:
        state: dict[str, Any] = json.load(answer)
        return state


def log_in(page: Page, name: str, *, at: str = "/login/") -> None:
    """Log in as one of the demo's people, at the shop's door or at the admin's."""
    page.goto(at)
    page.fill("[name=username]", name)
    page.fill("[name=password]", f"demo-{name}")
    page.locator("form:has([name=password]) [type=submit], form:has([name=password]) button").first.click()
    expect(page.locator("[name=password]")).to_have_count(0)
