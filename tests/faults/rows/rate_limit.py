"""A gateway that says "too many requests" to half of the calls."""

from __future__ import annotations

from refund_plugin.refunds.models import Attempt, Refund
from refund_plugin.refunds.states import RefundState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import World


def run(world: World, size: Size) -> Figure:
    """Answer half of all calls with 429, at random."""
    count = size.of(short=60, full=1000)
    with world.row() as scene:
        seeding.reserve(scene, count)
        scene.fault("status", status=429, share=0.5, seed=11)
        with scene.workers(2):
            scene.until_settled(seconds=size.of(short=60, full=300))
        failed = Refund.objects.filter(state=RefundState.FAILED).count()
        refused = Attempt.objects.filter(answer="not_executed").count()
        found = truth.find(scene)
    share = refused / (refused + count)
    return judged(
        f"{failed} of {count:,} failed; {share:.0%} of {refused + count:,} calls answered 429",
        *found.problems,
        f"{failed} ended as failed" if failed else "",
        "" if share > 0.3 else f"only {share:.0%} of the calls were answered 429",
    )
