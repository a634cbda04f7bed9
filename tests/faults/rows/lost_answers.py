"""Answers that are lost after the gateway has paid: the fault at which the field's systems pay twice."""

from __future__ import annotations

from refund_plugin.refunds.models import Attempt
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import Scene, World

SHARE, SEED = 0.3, 7
DEFECT_SECONDS = 15.0  # an engine that is broken on purpose may never come to an end


def run(world: World, size: Size) -> Figure:
    """Send refunds through two workers while three of ten answers get lost on the way."""
    count = size.of(short=200, full=10_000)
    with world.row() as scene:
        seeding.reserve(scene, count)
        scene.fault("drop_after_commit", share=SHARE, seed=SEED)
        with scene.workers(2):
            unsettled = _wait(scene, DEFECT_SECONDS if world.defect else size.of(short=60, full=900))
        found = truth.find(scene)
        dropped = Attempt.objects.filter(code="no_answer").count()
    text = f"{found.paid_twice} paid twice, {found.lost} lost of {found.debts:,}; {dropped:,} answers dropped"
    return judged(text, unsettled, *found.problems, "" if dropped > count * SHARE / 2 else f"only {dropped} answers were dropped")


def _wait(scene: Scene, seconds: float) -> str:
    """Wait until every refund has come to an end; return what is wrong when they do not."""
    try:
        scene.until_settled(seconds=seconds)
    except TimeoutError as error:
        return str(error)
    return ""
