"""Worker processes of a measurement, ready before the clock starts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.world import ROOT, Scene
from tests.services import wait_until

START_SECONDS, STOP_SECONDS = 60.0, 20.0


def environment(scene: Scene) -> dict[str, str]:
    """Return what a process needs to work in the scene's database, with its settings and its broker."""
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "REFUND_TEST_DATABASE_NAME": scene.name,
        "REFUND_FAULTS_PLUGIN": json.dumps({key: value for key, value in scene.plugin.items() if key != "GATEWAYS"}),
        "REFUND_FAULTS_ACCOUNT": json.dumps(scene.plugin["GATEWAYS"]["default"]),
    }


@contextlib.contextmanager
def engine_workers(scene: Scene, count: int) -> Iterator[None]:
    """Run workers that send refunds; they are connected when the block begins."""
    from tests.bench.worker import READY

    with contextlib.ExitStack() as stack:
        logs = [stack.enter_context(_process(scene, f"engine-{number}", ["-m", "tests.bench.worker"])) for number in range(count)]
        wait_until(lambda: all(READY in log.read_text() for log in logs), timeout_seconds=START_SECONDS, what="the start of the workers")
        yield


@contextlib.contextmanager
def celery_worker(scene: Scene, concurrency: int) -> Iterator[None]:
    """Run a Celery worker on the queue of the measurements; it starts with the block and takes what waits there."""
    from tests.bench.celery_app import QUEUE

    arguments = ["-m", "celery", "--app", "tests.bench.celery_app", "worker", "--concurrency", str(concurrency), "--queues", QUEUE]
    with _process(scene, "celery", arguments):
        yield


@contextlib.contextmanager
def _process(scene: Scene, name: str, arguments: list[str]) -> Iterator[Path]:
    said = scene.world.folder / f"{scene.name}-{name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment(scene), stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield said
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
