"""`make demo`: one supervisor owns every process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.demo_process import DemoProcess, is_alive
from tests.services import wait_until

PARTS = {"demo.sandbox", "gunicorn", "celery"}


@pytest.fixture(scope="module")
def folder(demo: DemoProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled state folder that the tests of this module share: a copy of the running demo's, because filling one takes a while."""
    copy = tmp_path_factory.mktemp("demo") / "state"
    (copy / "sandbox").mkdir(parents=True)
    shutil.copy(demo.folder / "secrets.json", copy)
    for name in ("shop.sqlite3", "sandbox/sandbox.sqlite3"):
        with closing(sqlite3.connect(demo.folder / name)) as source, closing(sqlite3.connect(copy / name)) as target:
            source.backup(target)
    return copy


@pytest.fixture
def running(folder: Path) -> Iterator[DemoProcess]:
    with DemoProcess(folder) as demo:
        yield demo


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def test_ready_is_said_when_shop_sandbox_and_worker_answer(demo: DemoProcess) -> None:
    assert set(demo.processes()) == PARTS
    assert b"The Slow Web" in _read(f"{demo.url}/")
    health = json.loads(_read(f"{demo.url}/refunds/health/"))
    assert health["status"] == "ok"
    for name in ("merchant", "editor", "staff", "customer"):
        assert f"demo-{name}" in demo.said


def test_no_secret_stands_in_a_command_line(demo: DemoProcess) -> None:
    secrets = json.loads((demo.folder / "secrets.json").read_text()).values()
    told = [Path(f"/proc/{pid}/cmdline").read_text() for pid in demo.everything()]
    assert [secret for secret in secrets if any(secret in words for words in told)] == []


def test_a_second_demo_on_the_same_state_is_refused(demo: DemoProcess, tmp_path: Path) -> None:
    second = DemoProcess(demo.folder, said=tmp_path / "said.txt").launch()
    try:
        assert second.wait() == 1
    finally:
        second.stop()
    assert "running already" in second.said


def test_told_to_end_it_ends_every_process_it_started(running: DemoProcess) -> None:
    everything = running.everything()
    assert len(everything) > len(PARTS)
    assert running.stop() == 0
    assert [pid for pid in everything if is_alive(pid)] == []


def test_ctrl_c_while_it_starts_ends_every_process_too(tmp_path: Path) -> None:
    demo = DemoProcess(tmp_path / "state").launch()
    wait_until(lambda: len(demo.everything()) > 1, timeout_seconds=40, what="the first part")
    everything = demo.everything()
    assert demo.stop(signal.SIGINT) == 0
    assert [pid for pid in everything if is_alive(pid)] == []


def test_when_the_worker_dies_the_others_end_and_it_is_named(running: DemoProcess) -> None:
    everything = running.everything()
    os.kill(running.processes()["celery"], signal.SIGKILL)
    assert running.wait() == 1
    assert "The worker process ended by SIGKILL" in running.said
    wait_until(lambda: not any(is_alive(pid) for pid in everything), timeout_seconds=20, what="the end of every process")


def test_a_killed_supervisor_takes_its_parts_with_it(running: DemoProcess) -> None:
    parts = running.processes().values()
    assert running.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_until(lambda: not any(is_alive(pid) for pid in parts), timeout_seconds=20, what="the end of every part")


def test_a_busy_port_is_named_with_the_way_out(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        demo = DemoProcess(tmp_path / "state", port=other.getsockname()[1])
        assert demo.launch().wait() == 1
    assert f"Port {demo.port}" in demo.said
    assert "make demo PORT=" in demo.said
