"""Every row of the table of faults in its short form: the same servers, processes and code, with small numbers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.table import NAMES

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.database_independent  # it has a PostgreSQL and a Redis of its own
# what stands for this run's own servers must not reach the ones that are started here
FOREIGN = ("REFUND_TEST_", "REFUND_FAULTS_", "SHOP_STATE_DIR", "DJANGO_SETTINGS_MODULE")
SECONDS = 700


def run_table(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Run the table in its short form; return the exit status, the rows by name, and what was printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults", "--short", "--no-migrations", "--json", str(folder / "rows.json"), *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    written = folder / "rows.json"
    rows = json.loads(written.read_text()) if written.exists() else []
    return ended.returncode, {row["name"]: row for row in rows}, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], str]:
    """The rows that the tests of this run ask for, run in one world."""
    asked = [item.callspec.params["name"] for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    wanted = [argument for name in NAMES if name in asked for argument in ("--only", name)]
    _status, rows, said = run_table(tmp_path_factory.mktemp("faults"), *wanted)
    return rows, said


@pytest.mark.parametrize("name", NAMES)
def test_the_row_shows_what_it_must(shown: tuple[dict[str, dict[str, Any]], str], name: str) -> None:
    rows, said = shown
    assert name in rows, said
    assert rows[name]["met"], f"{rows[name]['text']}: {rows[name]['problems']}\n{said}"


def test_an_engine_that_sends_a_new_key_each_time_is_found_to_pay_twice(tmp_path: Path) -> None:
    status, rows, said = run_table(tmp_path, "--only", "lost-answers", "--defect", "new-key-each-time")
    assert status == 1, said
    assert any("was paid 2 times" in problem for problem in rows["lost-answers"]["problems"]), said


def test_an_engine_that_takes_silence_for_failure_is_found_to_lose_refunds(tmp_path: Path) -> None:
    status, rows, said = run_table(tmp_path, "--only", "lost-answers", "--defect", "silence-is-failure")
    assert status == 1, said
    assert any("is failed with us and was paid 1 times" in problem for problem in rows["lost-answers"]["problems"]), said


def test_the_document_tells_what_each_row_does() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "faults.md").read_text(), re.MULTILINE)
    assert told == list(NAMES)
