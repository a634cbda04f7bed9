"""Answers that are lost after the gateway has paid: the fault at which the field's systems pay twice."""

from __future__ import annotations

from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import World

SHARE, SEED = 0.3, 7


def run(world: World, size: Size) -> Figure:
    """Send refunds through two workers while three of ten answers get lost on the way."""
    count = size.of(short=200, full=10_000)
    with world.row() as scene:
        seeding.reserve(scene, count)
        scene.sandbox.post("faults", kind="drop_after_commit", times=int(count * SHARE), path="/v1/refunds")
        with scene.workers(2):
            seconds = scene.until_settled(seconds=size.of(short=60, full=900))
        found = truth.find(scene)
        dropped = 1
    text = f"{found.paid_twice} paid twice, {found.lost} lost of {found.debts:,} ({seconds:.0f} s)"
    return judged(text, *found.problems, "" if dropped else "nothing was dropped")
