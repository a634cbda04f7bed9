"""Answers that are lost after the gateway has paid: the fault at which the field's systems pay twice."""

from __future__ import annotations

from refund_plugin.refunds.models import Attempt
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import World

SHARE, SEED = 0.3, 7


def run(world: World, size: Size) -> Figure:
    """Send refunds through two workers while three of ten answers get lost on the way."""
    count = size.of(short=200, full=10_000)
    with world.row() as scene:
        seeding.reserve(scene, count)
        scene.fault("drop_after_commit", share=SHARE, seed=SEED)
        with scene.workers(2):
            seconds = scene.until_settled(seconds=size.of(short=60, full=900))
        found = truth.find(scene)
        dropped = Attempt.objects.filter(code="no_answer").count()
    text = f"{found.paid_twice} paid twice, {found.lost} lost of {found.debts:,}; {dropped:,} answers dropped ({seconds:.0f} s)"
    return judged(text, *found.problems, "" if dropped > count * SHARE / 2 else f"only {dropped} answers were dropped")
