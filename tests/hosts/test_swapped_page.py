"""A site whose `Page` is swapped has no ready page type of ours; the one it derives from the mixin makes versions all the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.documented import ROOT, block
from tests.hosts.site import HostSite

pytestmark = pytest.mark.database_independent  # the generated site has a database of its own

# Wagtail's own example of a page model of a site's own.
BASE_PAGE = "wagtail.test.basepage"
MODELS = f"from {BASE_PAGE}.models import BasePage\n"
SETTINGS = f'''
INSTALLED_APPS = ["{BASE_PAGE}", *INSTALLED_APPS]
WAGTAIL_PAGE_MODEL = "basepage.BasePage"
'''


@pytest.fixture(scope="module")
def swapped_site(tmp_path_factory: pytest.TempPathFactory) -> HostSite:
    """A site with `WAGTAIL_PAGE_MODEL` and the page that `docs/install.md` derives, migrated."""
    site = HostSite(
        tmp_path_factory.mktemp("swapped"),
        path=(ROOT,),
        more_settings=SETTINGS,
        files={"mysite/models.py": MODELS + block("models.py"), "mysite/migrations/__init__.py": ""},
    )
    site.write()
    site.manage("makemigrations", "mysite")
    site.manage("migrate", "--verbosity", "0")
    return site


def test_the_system_checks_are_clean(swapped_site: HostSite) -> None:
    assert "no issues (0 silenced)" in swapped_site.manage("check", "--fail-level", "WARNING", "--database", "default")


def test_no_app_has_migrations_left_to_make(swapped_site: HostSite) -> None:
    assert "No changes detected" in swapped_site.manage("makemigrations", "--check", "--dry-run")


def test_publishing_the_page_freezes_what_it_says(swapped_site: HostSite) -> None:
    shutil.copy(Path(__file__).with_name("publish.py"), swapped_site.folder)
    done = swapped_site.run("publish.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"versions": 2, "days": [30], "status": 200, "shown": True}
