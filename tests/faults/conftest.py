"""A real Celery worker process on the test's own database, with a broker that can be taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.db import connection

from refund_plugin.events import doorbell
from refund_plugin.events.heartbeats import last_beat
from tests.services import PrivateRedis, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def redis(monkeypatch) -> Iterator[PrivateRedis]:
    """A Redis of the test's own; this process rings through it."""
    with PrivateRedis() as server:
        monkeypatch.setattr(doorbell, "current_app", Celery("asking", broker=server.url, set_as_current=False))
        monkeypatch.setattr(doorbell, "_quiet_until", 0.0)
        yield server


@pytest.fixture
def start_worker(transactional_db, sandbox, redis, tmp_path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts worker processes with beat, on the test's database; they end with the test."""
    processes: list[subprocess.Popen[bytes]] = []
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "REFUND_TEST_BROKER": redis.url,
        "REFUND_TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "REFUND_TEST_GATEWAY": sandbox.url,
        "SHOP_STATE_DIR": str(django_settings.STATE),
    }

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "--app", "demo.shop.celery", "worker", "--beat", "--concurrency", "1"]
        schedule = tmp_path / f"schedule-{len(processes)}"
        with (tmp_path / f"worker-{len(processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--schedule", str(schedule)], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def worker(start_worker) -> subprocess.Popen[bytes]:
    """A worker that has told that it is alive."""
    process: subprocess.Popen[bytes] = start_worker()
    wait_until(lambda: process.poll() is not None or last_beat("worker") is not None, timeout_seconds=90, what="the worker's first beat")
    assert process.poll() is None
    return process
