"""What every test may use."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from demo.sandbox.process import SandboxServer
from tests.demo_process import DemoProcess

# How long an example takes depends on the machine, so nothing is judged by it. In CI the same examples run every time.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow], derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("untimed")

HERE = Path(__file__).parent
DATABASE_INDEPENDENT_FOLDERS = ("rules", "gateways", "demo", "e2e", "packaging", "bench")
ALONE = ("bench/", "demo/test_supervisor.py", "e2e/", "faults/")
MARKED_FOLDERS = ("bench", "e2e", "faults", "packaging")
# pytest-django lets no test near the database that asks for none of these
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "live_server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what gives the same result on every database, and what wants the machine for itself; put browser tests last."""
    for item in items:
        place = item.path.relative_to(HERE).parts
        if place[0] in DATABASE_INDEPENDENT_FOLDERS or not _reaches_database(item):
            item.add_marker(pytest.mark.database_independent)
        if "/".join(place).startswith(ALONE):
            item.add_marker(pytest.mark.alone)
        if place[0] in MARKED_FOLDERS:
            item.add_marker(getattr(pytest.mark, place[0]))
    # Playwright keeps an event loop in this thread until the run ends, and GraphQL resolvers would take it for their own.
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


def _reaches_database(item: pytest.Item) -> bool:
    asked_for = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or not asked_for.isdisjoint(DATABASE_FIXTURES)


@pytest.fixture(scope="session", autouse=True)
def quick_emptying() -> Iterator[None]:
    """After a test that committed, empty what it filled."""
    from django.test import TransactionTestCase

    from tests.emptying import empty_database

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TransactionTestCase, "_fixture_teardown", lambda _case: empty_database())
        yield


@pytest.fixture(autouse=True)
def fresh_versions() -> None:
    """Forget policy versions and addresses of the test before, whose rows are gone while their ids are used again."""
    from cms_pages.policy_pages import forget_addresses  # Django is not ready when this file is read
    from refund_plugin.policies.queries import version_named

    version_named.cache_clear()
    forget_addresses()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Drive Debian's Chromium instead of one that Playwright would download."""
    program = os.environ.get("REFUND_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        raise RuntimeError("Chromium was not found. On Debian: apt-get install chromium")
    # Chromium's own sandbox does not start for root, as which containers run tests.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {**browser_type_launch_args, "executable_path": program, "args": arguments}


@pytest.fixture(scope="session")
def sandbox_process() -> Iterator[SandboxServer]:
    """A sandbox payment server for the whole run; use `sandbox`, which empties it for each test."""
    with SandboxServer(api_key="sk_test_tests", webhook_secret="whsec_tests") as server:
        yield server


@pytest.fixture
def sandbox(sandbox_process: SandboxServer, settings: Any) -> SandboxServer:
    """An empty sandbox payment server that the plugin's only gateway account talks to."""
    sandbox_process.post("reset")
    account = {**settings.REFUND_PLUGIN["GATEWAYS"]["default"], "api_base": sandbox_process.url}
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GATEWAYS": {"default": account}}
    return sandbox_process


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """The whole demo, as `make demo` runs it, for the whole run: real servers, a real worker, a seeded shop."""
    with DemoProcess(tmp_path_factory.mktemp("demo") / "state") as running:
        yield running
