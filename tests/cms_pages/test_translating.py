"""A site with wagtail-localize translates the words of a policy and none of its values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_site_with_wagtail_localize_translates_words_and_no_values(tmp_path):
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.cms_pages.localize_host.settings",
        "PYTHONPATH": str(ROOT),
        "SHOP_STATE_DIR": str(tmp_path),
        "REFUND_TEST_DATABASE": "",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.cms_pages.localize_host.journey"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert "the translated host works" in done.stdout, done.stderr
