"""Workers whose clock is wrong, and workers that wake when others have done their work."""

from __future__ import annotations

import signal
from typing import Any

from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.ledger.models import LedgerEntry
from refund_plugin.refunds.models import Attempt, Refund
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import QUICK, Scene, World

HOUR = 3600
ASLEEP_AT = ("claimed", "attempted", "calling", "answered")


def run(world: World, size: Size) -> Figure:
    """Let workers an hour off work beside a slow one, then let lease holders sleep until their work is done by others."""
    rounds = size.of(short=1, full=10)
    problems: list[str] = []
    takeovers = writes = 0
    for seconds in (HOUR, -HOUR):
        stolen, found = _with_a_wrong_clock(world, size, seconds)
        takeovers += stolen
        problems += found
    for boundary in ASLEEP_AT:
        for _round in range(rounds):
            changed, found = _wakes_late(world, boundary)
            writes += changed
            problems += [f"asleep when {boundary}: {problem}" for problem in found]
    if takeovers:
        problems.append(f"a worker with a wrong clock took over {takeovers} leases that had not ended")
    return judged(f"{takeovers} leases stolen by wrong clocks, {writes} writes by {rounds * len(ASLEEP_AT)} late sleepers", *problems)


def _with_a_wrong_clock(world: World, size: Size, seconds: int) -> tuple[int, list[str]]:
    """Return how many running calls were taken over by a worker whose clock is wrong, and what else was wrong."""
    with world.row(plugin={**QUICK, "LEASE_SECONDS": 5}) as scene:
        count = size.of(short=6, full=100)
        seeding.reserve(scene, count)
        scene.sandbox.post("faults", kind="slow_after", milliseconds=400, times=count, path="/v1/refunds")
        right, wrong = scene.start_worker(), scene.start_worker(wrong_clock_seconds=seconds)
        scene.until_settled(seconds=60)
        right.end(), wrong.end()
        stolen = Attempt.objects.filter(code="lease_expired").count() + Attempt.objects.filter(number__gt=1).count()
        return stolen, truth.find(scene).problems


def _wakes_late(world: World, boundary: str) -> tuple[int, list[str]]:
    """Put a lease holder to sleep, let another do the work, wake it; return how many rows it changed and what was wrong."""
    with world.row(plugin={**QUICK, "LEASE_SECONDS": 1, "CLAIM_BATCH": 3}) as scene:
        seeding.reserve(scene, 6)
        sleeper = scene.start_worker(strike={"at": boundary, "nth": 1, "signal": "STOP"})
        scene.until(sleeper.is_stopped, seconds=30, what=f"the worker sleeps when {boundary}")
        with scene.workers(1):
            scene.until_settled(seconds=30)
        before = _money(scene)
        sleeper.send(signal.SIGTERM)  # it ends when the sweep it sleeps in is done
        sleeper.send(signal.SIGCONT)
        if not sleeper.ended.wait(30):
            return 0, ["the sleeper did not end"]
        after = _money(scene)
        changed = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
        found = truth.find(scene)
        return len(changed), [*found.problems, *(f"{key} was {before.get(key)} and is {after.get(key)}" for key in changed)]


def _money(scene: Scene) -> dict[tuple[str, object], Any]:
    """Return every row that says something about money, by table and id."""
    rows: dict[tuple[str, object], Any] = {}
    for model in (Refund, Payment, PurchaseLine, LedgerEntry):
        rows |= {(model.__name__, row["id"]): row for row in model._default_manager.values()}
    return rows
