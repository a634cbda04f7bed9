"""Workers that die, all at once and at the worst moments."""

from __future__ import annotations

import random
import signal
from functools import partial

from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.hooks import BOUNDARIES
from tests.faults.nursery import Child
from tests.faults.world import QUICK, Scene, World

REFUNDS_A_ROUND = 8
BATCH = 4  # so that a round has several batches, and the second of them can be hit too


def run(world: World, size: Size) -> Figure:
    """Kill workers at every boundary: after the claim, after the attempt, in the call, after the answer, after recording."""
    rounds = size.of(short=1, full=100)
    kills, debts, twice, lost, problems = 0, 0, 0, 0, []
    for boundary in BOUNDARIES:
        with world.row(plugin={**QUICK, "LEASE_SECONDS": 1, "CLAIM_BATCH": BATCH}) as scene:
            killed = _kill(scene, boundary, rounds)
            with scene.workers(2):
                scene.until_settled(seconds=size.of(short=30, full=120))
            found = truth.find(scene)
        kills, debts = kills + killed, debts + found.debts
        twice, lost = twice + found.paid_twice, lost + found.lost
        problems += [f"{boundary}: {problem}" for problem in found.problems]
        if killed < rounds:
            problems.append(f"{boundary}: only {killed} of {rounds} workers died there")
    return judged(f"{kills} kills at {len(BOUNDARIES)} boundaries; {debts:,} refunds, {twice} paid twice, {lost} lost", *problems)


def _kill(scene: Scene, boundary: str, rounds: int) -> int:
    """Start workers that die at a boundary, one after the other, each with work of its own and what the dead ones left."""
    chance = random.Random(boundary)
    killed = 0
    for attempt in range(2 * rounds):
        seeding.reserve(scene, REFUNDS_A_ROUND)
        worker = scene.start_worker(
            interval=0.02, strike={"at": boundary, "nth": chance.randint(1, 3) if attempt < rounds else 1, "signal": "KILL"}
        )
        # a worker that has nothing left to do will not come to the boundary again
        scene.until(partial(_is_over, scene, worker), seconds=30, what=f"a worker dies when {boundary}")
        if worker.end() == -signal.SIGKILL:
            killed += 1
        if killed == rounds:
            break
    return killed


def _is_over(scene: Scene, worker: Child) -> bool:
    return worker.ended.is_set() or scene.open_refunds() == 0
