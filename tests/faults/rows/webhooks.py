"""Webhooks that never come."""

from __future__ import annotations

from collections import Counter

from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import RefundState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import World

POLLED_BY = 60  # seconds after which a refund that is with the bank has been asked about


def never_come(world: World, size: Size) -> Figure:
    """Let refunds pend and be settled by the bank, once told by webhooks and once not at all, and compare where they end."""
    count = size.of(short=12, full=300)
    told, untold = _ends(world, count, webhooks=True), _ends(world, count, webhooks=False)
    problems = [*told[1], *untold[1]]
    if told[0] != untold[0]:
        problems.append(f"told by webhooks: {dict(told[0])}; without any: {dict(untold[0])}")
    shown = ", ".join(f"{number} {state}" for state, number in sorted(untold[0].items()))
    return judged(f"{shown} of {count}, as with webhooks" if not problems else shown, *problems)


def _ends(world: World, count: int, *, webhooks: bool) -> tuple[Counter[str], list[str]]:
    """Return in which states refunds end of which the bank settles two thirds and refuses a third."""
    with world.row(webhooks=webhooks) as scene:
        ids = seeding.reserve(scene, count)
        scene.fault("outcome", outcome="pending")
        with scene.workers(1):
            scene.until(lambda: Refund.objects.filter(state=RefundState.PENDING).count() == count, seconds=60, what="all are pending")
        refused = set(ids[::3])
        for refund in truth.gateway_refunds(scene):
            ours = refund["metadata"]["refund_id"]
            scene.sandbox.post(f"refunds/{refund['id']}/{'fail' if ours in map(str, refused) else 'settle'}")
        with scene.workers(1, clock_seconds=0 if webhooks else POLLED_BY):
            scene.until_settled(seconds=60)
        found = truth.find(scene, all_paid=False)
        return Counter(Refund.objects.values_list("state", flat=True)), found.problems
