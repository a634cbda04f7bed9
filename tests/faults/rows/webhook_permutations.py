"""Webhooks five times each, shuffled, beside a worker's own answer."""

from __future__ import annotations

from tests.faults import seeding
from tests.faults.figures import Figure, Size, judged
from tests.faults.model_webhooks import TIMES, tell_in_orders
from tests.faults.world import World


def run(world: World, size: Size) -> Figure:
    """Tell one story in many orders on PostgreSQL; every order starts from the same rows and is rolled back."""
    count = size.of(short=6, full=1000)  # thirty run in the tests of webhooks
    with world.row() as scene:
        seeding.publish(scene)
        wrong = tell_in_orders(count)
    return judged(f"{len(wrong)} of {count:,} orders ended otherwise, each event told {TIMES} times", *wrong)
