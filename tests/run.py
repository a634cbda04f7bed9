"""Run every check and every test, with servers of our own: `make test`.

Order: formatting, types, import contracts, migrations, schema; then the suite on SQLite with the embedded broker and, at the
same time, what depends on the database on PostgreSQL with Redis; then what starts many processes itself, in two runs beside each
other. A failed step does not stop the ones after it. Whatever was started is ended, also on Ctrl-C and TERM.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.services import postgres_folder, private_services

ROOT = Path(__file__).resolve().parent.parent
BINARIES = Path(sys.executable).parent
MANAGE = [sys.executable, "demo/manage.py"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NO_TESTS_COLLECTED = 5  # pytest's exit status

# what the tests need -> Debian's package for it
PACKAGES = {"chromium": "chromium", "redis-server": "redis-server", "PostgreSQL": "postgresql"}


@dataclass
class Outcome:
    """What happened so far."""

    picked: bool = False
    failed_steps: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "skipped": 0})


class Stopped(BaseException):
    """Someone asked us to end."""


def missing_programs() -> list[str]:
    """Return the Debian packages whose programs are not on this machine."""
    found = {
        "chromium": shutil.which("chromium") or shutil.which("chromium-browser"),
        "redis-server": shutil.which("redis-server"),
        "PostgreSQL": postgres_folder(),
    }
    return [PACKAGES[name] for name, place in found.items() if not place]


def ensure_programs() -> bool:
    """Install what is missing where we may; say what is missing where we may not."""
    missing = missing_programs()
    if not missing:
        return True
    prefix = _root_prefix()
    if prefix is not None and shutil.which("apt-get"):
        print(f"Installing {', '.join(missing)}", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([*prefix, "apt-get", "update", "-qq"], env=environment, check=False)
        subprocess.run(
            [*prefix, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        missing = missing_programs()
    if missing:
        print(f"The tests need programs that are not installed. As root: apt-get install {' '.join(missing)}", file=sys.stderr)
    return not missing


def _root_prefix() -> list[str] | None:
    """Return what to put before a command to run it as root, or None when we may not."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo"]
    return None


def run_step(name: str, command: Sequence[str | Path], outcome: Outcome, environment: dict[str, str] | None = None) -> None:
    """Run one command, show what it says, and note whether it failed."""
    print(f"\n=== {name}", flush=True)
    # A group of its own, so that Ctrl-C reaches us alone and we end the step with all it started.
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environment or {})}, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        _end_group(process)
        raise
    if status:
        outcome.failed_steps.append(name)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_checks(outcome: Outcome, environment: dict[str, str]) -> None:
    """Run what needs no server; mypy beside the rest, because it takes as long as all of it."""
    with tempfile.TemporaryFile() as said:
        mypy = subprocess.Popen(
            [BINARIES / "mypy"], cwd=ROOT, env={**os.environ, **environment}, stdout=said, stderr=said, start_new_session=True
        )
        try:
            _run_short_checks(outcome, environment)
            status = mypy.wait()
        except BaseException:
            _end_group(mypy)
            raise
        _show("mypy", said)
    if status:
        outcome.failed_steps.append("mypy")


def _run_short_checks(outcome: Outcome, environment: dict[str, str]) -> None:
    run_step("ruff check", [BINARIES / "ruff", "check", "."], outcome)
    run_step("ruff format", [BINARIES / "ruff", "format", "--check", "."], outcome)
    run_step("import contracts", [BINARIES / "lint-imports", "--no-logo", "--config", "setup.cfg"], outcome)
    run_step("system checks", [*MANAGE, "check"], outcome, environment)
    run_step("migrations are complete", [*MANAGE, "makemigrations", "--check", "--dry-run"], outcome, environment)
    run_step("graphql/schema.graphql is fresh", [*MANAGE, "refunds_export_schema", "--check"], outcome, environment)


@dataclass(frozen=True)
class Run:
    """One run of pytest: what it is called, which tests it takes, the environment it needs, and how its tables are made."""

    name: str
    marks: str
    environment: dict[str, str]
    migrated: bool = True


def run_pytest(runs: Sequence[Run], arguments: Sequence[str], outcome: Outcome) -> None:
    """Run pytest, several times at once if told so, and add up the counts; what the first says is shown live."""
    # Words of the caller's may pick tests of one run only; that the other ones then have none is no failure.
    allowed = (0, NO_TESTS_COLLECTED) if outcome.picked else (0,)
    with ExitStack() as files:
        reports = [files.enter_context(tempfile.NamedTemporaryFile(suffix=".xml")) for _run in runs]
        beside = [files.enter_context(tempfile.TemporaryFile()) for _run in runs[1:]]
        print(f"\n=== {runs[0].name}", *(f"(beside it: {run.name})" for run in runs[1:]), flush=True)
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for run, report, said in zip(runs, reports, (None, *beside), strict=True):
                tables = [] if run.migrated else ["--no-migrations"]
                command = [sys.executable, "-m", "pytest", f"--junitxml={report.name}", "-m", run.marks, *tables, *arguments]
                environment = {**os.environ, **run.environment}
                processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said, start_new_session=True))
            for run, process in zip(runs, processes, strict=True):
                if process.wait() not in allowed:
                    outcome.failed_steps.append(run.name)
        except BaseException:
            for process in processes:
                _end_group(process)
            raise
        for run, said in zip(runs[1:], beside, strict=True):
            _show(run.name, said)
        for report in reports:
            _count(Path(report.name).read_bytes(), outcome)


def _show(name: str, said: IO[bytes]) -> None:
    """Show what something said that ran beside what was shown live."""
    said.seek(0)
    print(f"\n=== {name}", flush=True)
    sys.stdout.buffer.write(said.read())
    sys.stdout.flush()


def _count(content: bytes, outcome: Outcome) -> None:
    if not content:
        return
    for suite in ElementTree.fromstring(content).iter("testsuite"):
        total, failures, errors, skipped = (int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped"))
        outcome.counts["failed"] += failures + errors
        outcome.counts["skipped"] += skipped
        outcome.counts["passed"] += total - failures - errors - skipped


def main() -> int:
    """Return the exit status: 0 only when everything passed."""
    parser = argparse.ArgumentParser(
        description="Run every check and every test.", epilog='Other arguments go to pytest: make test ARGS="-k policy"'
    )
    parser.add_argument("--checks-only", action="store_true", help="no tests: formatting, types, contracts, migrations, schema")
    parser.add_argument("--tests-only", action="store_true", help="no checks")
    options, for_pytest = parser.parse_known_args()

    def stop(number: int, frame: object) -> None:
        for one in SIGNALS:  # a second Ctrl-C must not interrupt the cleaning up
            signal.signal(one, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    for number in SIGNALS:
        signal.signal(number, stop)

    started = time.monotonic()
    outcome = Outcome(picked=bool(for_pytest))
    try:
        with ExitStack() as cleaning:
            state = cleaning.enter_context(tempfile.TemporaryDirectory(prefix="refund-tests-"))
            plain = {"SHOP_STATE_DIR": state, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
            if not options.tests_only:
                run_checks(outcome, plain)
            if not options.checks_only:
                if not ensure_programs():
                    return 2
                servers = cleaning.enter_context(private_services())
                sqlite = Run("tests on SQLite with the embedded broker", "not alone and not packaging", plain)
                on_servers = {**plain, **servers}
                postgres = Run("tests on PostgreSQL with Redis, and of the package", "not database_independent or packaging", on_servers)
                run_pytest([sqlite, postgres], for_pytest, outcome)
                shop = Run("tests of the running shop, in a browser", "alone and not faults and not bench", plain, migrated=False)
                beside = {**plain, "SHOP_STATE_DIR": str(Path(state) / "beside")}  # a database of its own
                broken = Run("tests that break and measure", "alone and (faults or bench)", beside, migrated=False)
                run_pytest([shop, broken], for_pytest, outcome)
    except Stopped as stopped:
        print(f"\nStopped by {stopped}; everything that was started has been ended.", file=sys.stderr)
        return 130
    counts = ", ".join(f"{number} {word}" for word, number in outcome.counts.items())
    print(f"\n=== {counts} in {time.monotonic() - started:.0f} s", flush=True)
    if outcome.picked and not options.checks_only and not sum(outcome.counts.values()):
        outcome.failed_steps.append(f"no test matches {' '.join(for_pytest)}")
    if outcome.failed_steps:
        print(f"Failed: {'; '.join(outcome.failed_steps)}", flush=True)
    return 1 if outcome.failed_steps else 0


if __name__ == "__main__":
    sys.exit(main())
