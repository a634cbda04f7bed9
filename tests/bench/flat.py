"""Whether a refund costs more when a million others lie in the tables."""

from __future__ import annotations

import statistics
import time

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import RefundState
from tests.bench import gateway
from tests.bench.figures import Row, at_most
from tests.bench.filling import Filler
from tests.bench.money import ONE_MILLISECOND, UNLIMITED
from tests.faults import seeding
from tests.faults.world import Scene, World

BATCH, BATCHES = 200, 15


def cost(world: World, few: int, many: int, *, batch: int = BATCH, batches: int = BATCHES) -> list[Row]:
    """Drive refunds with `few` and with `many` settled ones in the tables, and compare what one costs."""
    with world.row(plugin=UNLIMITED, account=ONE_MILLISECOND) as scene:
        GatewayAccount.objects.update(kind=gateway.KIND)
        _milliseconds(scene, batch)  # warms up, and leaves something to copy
        filler = Filler(Refund.objects.filter(state=RefundState.SUCCEEDED).order_by("pk").first() or _nothing())
        filler.copy(1, few)
        cheap = statistics.median(_milliseconds(scene, batch) for _n in range(batches))
        filler.copy(few + 1, many)
        dear = statistics.median(_milliseconds(scene, batch) for _n in range(batches))
        found = Refund.objects.count()
    if found < many:
        raise RuntimeError(f"Only {found} refunds are in the table.")
    return [
        at_most(f"Cost of a refund with {many:,} in the table, against {few:,}", dear / cheap, 1.2, "x"),
        Row(f"  with {few:,}, median of {batches} times {batch}", f"{cheap:.2f} ms"),
        Row(f"  with {many:,}", f"{dear:.2f} ms"),
    ]


def _milliseconds(scene: Scene, count: int) -> float:
    """Drive `count` new refunds in this process and return what one took."""
    seeding.reserve(scene, count)
    started = time.perf_counter_ns()
    calls = drive_refunds(limit=count)
    taken = time.perf_counter_ns() - started
    if calls != count:
        raise RuntimeError(f"{calls} calls were made for {count} refunds.")
    return taken / 1e6 / count


def _nothing() -> Refund:
    raise RuntimeError("No refund succeeded.")
