"""A broker that forgets, and a worker that dies with everything it had."""

from __future__ import annotations

import os
import signal
import subprocess

from django.db.models import Q

from refund_plugin import clock
from refund_plugin.conf import Settings
from refund_plugin.events import doorbell
from refund_plugin.events.heartbeats import last_beat
from refund_plugin.refunds.events import DRIVE
from refund_plugin.refunds.models import Attempt, Refund
from refund_plugin.refunds.states import RefundState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import Scene, World

START_SECONDS = 60.0
# the product's own times, which are what is measured here; only the gateway's limit is lifted, so that it is not
OWN_TIMES = {"RATE_PER_SECOND": 500}


def flushed(world: World, size: Size) -> Figure:
    """Wipe the broker while refunds wait, each with a message that asks for a worker."""
    count = size.of(short=100, full=1000)
    with world.row(plugin=OWN_TIMES) as scene:
        worker = _celery(scene)
        os.killpg(worker.pid, signal.SIGSTOP)
        seeding.reserve(scene, count)
        rung = sum(doorbell.send(DRIVE) for _number in range(count))
        _redis(scene, "FLUSHALL")
        os.killpg(worker.pid, signal.SIGCONT)
        # driven again: each has been sent, whatever came of it
        seconds = scene.until(
            lambda: not Refund.objects.filter(attempt_count=0).exists(), seconds=120, what="every refund was driven again"
        )
        scene.until_settled(seconds=120)
        found = truth.find(scene)
    return judged(
        f"all {count:,} driven {seconds:.0f} s after the flush of {rung:,} messages",
        *found.problems,
        f"it took {seconds:.0f} s" if seconds > 60 else "",
        "" if rung == count else f"only {rung} messages were taken by the broker",
    )


def worker_killed(world: World, size: Size) -> Figure:
    """Kill a Celery worker with its children in the middle of its calls; a second one has been there all the time."""
    count = size.of(short=40, full=400)
    with world.row(plugin=OWN_TIMES) as scene:
        victim = _celery(scene)
        seeding.reserve(scene, count)
        scene.sandbox.post("faults", kind="slow_after", milliseconds=3000, times=20, path="/v1/refunds")
        doorbell.send(DRIVE)
        scene.until(lambda: Attempt.objects.filter(ended_at__isnull=True).exists(), seconds=START_SECONDS, what="the worker is in a call")
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait()
        killed_at = clock.database_now()
        left = set(Refund.objects.filter(state=RefundState.PROCESSING).values_list("pk", flat=True))
        scene.sandbox.post("faults/clear")
        with scene.workers(1, interval=float(Settings().sweep_seconds)):
            resumed = scene.until(lambda: not _untouched(left, killed_at), seconds=120, what="the dead worker's work is resumed")
            scene.until_settled(seconds=120)
        found = truth.find(scene)
    return judged(
        f"{len(left)} refunds in its hands resumed within {resumed:.0f} s",
        *found.problems,
        f"it took {resumed:.0f} s" if resumed > 30 else "",
        "" if left else "the worker had nothing in its hands",
    )


def _untouched(refunds: set[object], since: object) -> bool:
    """Tell whether one of the refunds was neither tried again nor has come to an end since the worker died."""
    again = Attempt.objects.filter(refund__in=refunds, started_at__gt=since).values("refund")
    return Refund.objects.filter(pk__in=refunds).filter(~Q(pk__in=again), settled_at__isnull=True).exists()


def _celery(scene: Scene) -> subprocess.Popen[bytes]:
    """Start a Celery worker and wait until it has told that it is alive."""
    worker = scene.start_celery()
    scene.until(lambda: worker.poll() is not None or last_beat("worker") is not None, seconds=START_SECONDS, what="the worker's first beat")
    if worker.poll() is not None:
        raise RuntimeError("the Celery worker ended")
    return worker


def _redis(scene: Scene, command: str) -> None:
    import redis

    client = redis.Redis.from_url(scene.world.redis.url)
    client.execute_command(command)
    client.close()
