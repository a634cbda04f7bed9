"""How many refunds a second go out: at a gateway's limit, and without one; and what a claim costs beside a task."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

from django.db import connection

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.execute import claim_due
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import RefundState
from tests.bench import gateway
from tests.bench.figures import Row, at_least, below
from tests.bench.processes import celery_worker, engine_workers
from tests.faults import seeding
from tests.faults.world import Scene, World

WORKERS = 2
GATEWAY_RATE = 25  # what Stripe allows for each endpoint
# without a limit of the gateway, a worker may hold as many calls as it claims
UNLIMITED = {"RATE_PER_SECOND": 0, "CONCURRENT_CALLS": 50}
ONE_MILLISECOND = {"kind": gateway.KIND}
CLAIM = 50
LOOK_AGAIN_SECONDS = 0.01
AT_LEAST_PER_SECOND = 5  # slower than this, and we stop waiting


def at_the_limit(world: World, count: int) -> list[Row]:
    """Send `count` refunds to a sandbox that answers 429 to what is faster than 25 a second, with the product's own settings."""
    with world.row(plugin={}, account={}) as scene:
        _reserve(scene, count)
        scene.sandbox.post("limits", rate=GATEWAY_RATE)
        scene.sandbox.post("counters/reset")
        rate = _rate_of_workers(scene, scene.workers(WORKERS))
        answers = scene.sandbox.get("counters")["requests"]["POST /v1/refunds"]
    refused = answers.get("429", 0) / max(1, sum(answers.values()))
    name = f"{count:,} refunds, sandbox limited to {GATEWAY_RATE}/s, {WORKERS} workers"
    return [
        at_least(f"{name}", rate, 24, "/s", digits=1),
        below("  answered 429", 100 * refused, 1, "%"),
    ]


def without_limit(world: World, count: int) -> list[Row]:
    """Send `count` refunds as fast as it goes: by the engine, and by a task for each."""
    with world.row(plugin=UNLIMITED, account=ONE_MILLISECOND) as scene:
        _use_fast_gateway()
        _reserve(scene, count)
        ours = _rate_of_workers(scene, engine_workers(scene, WORKERS))
        _reserve(scene, count)
        naive = _rate_of_tasks(scene)
    with world.row(plugin=UNLIMITED, account={}) as scene:
        _reserve(scene, count)
        stripe = _rate_of_workers(scene, engine_workers(scene, WORKERS))
        _reserve(scene, count)
        mailing = _rate_of_workers(scene, scene.workers(WORKERS))
    return [
        at_least(f"{count:,} refunds, gateway of 1 ms, {WORKERS} workers, PostgreSQL", ours, 200, "/s"),
        Row("  the same, one Celery task each, row by row", f"{naive:,.0f} /s"),
        Row("  by Stripe's SDK to the sandbox, over HTTP, same machine", f"{stripe:,.0f} /s"),
        Row("  the same by `refunds_worker`, which mails customers too", f"{mailing:,.0f} /s"),
    ]


def claims(world: World, count: int) -> list[Row]:
    """Claim `count` refunds, 50 at a time, and let Celery run as many tasks that do nothing; one process each."""
    with world.row(plugin=UNLIMITED, account=ONE_MILLISECOND) as scene:
        _use_fast_gateway()
        _reserve(scene, count)
        account = GatewayAccount.objects.get()
        claimed = 0
        started = time.monotonic()
        while found := claim_due(account=account, batch=CLAIM):
            claimed += len(found)
        ours = claimed / (time.monotonic() - started)
        tasks = _rate_of_nothing(scene, count)
    return [
        at_least(f"Refunds claimed {CLAIM} at a time, beside Celery's no-op tasks", ours / tasks, 10, "x", digits=1),
        Row("  claimed", f"{ours:,.0f} /s"),
        Row("  tasks that do nothing, Redis", f"{tasks:,.0f} /s"),
    ]


def _use_fast_gateway() -> None:
    GatewayAccount.objects.update(kind=gateway.KIND)


def _reserve(scene: Scene, count: int) -> None:
    seeding.reserve(scene, count)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as a database does by itself within a minute


def _rate_of_workers(scene: Scene, workers: AbstractContextManager[object]) -> float:
    """Let go of the refunds when the workers are there, and return how many came to their end in a second."""
    waiting = Refund.objects.filter(state=RefundState.RESERVED)
    count = waiting.update(due_at=clock.database_now() + timedelta(days=1))
    before = Refund.objects.filter(state=RefundState.SUCCEEDED).count()
    with workers:
        started = time.monotonic()
        waiting.update(due_at=clock.database_now())
        scene.until_settled(seconds=60 + count / AT_LEAST_PER_SECOND)
        taken = time.monotonic() - started
    succeeded = Refund.objects.filter(state=RefundState.SUCCEEDED).count() - before
    if succeeded != count:
        raise RuntimeError(f"{succeeded} of {count} refunds succeeded.")
    return count / taken


def _rate_of_tasks(scene: Scene) -> float:
    """Make a task for each refund that waits, and return how many were done in a second."""
    waiting = Refund.objects.filter(state=RefundState.RESERVED)
    _send("bench.refund", [(str(pk),) for pk in waiting.values_list("pk", flat=True)])
    with celery_worker(scene, WORKERS):
        return _rate_of(scene.open_refunds)


def _rate_of_nothing(scene: Scene, count: int) -> float:
    import redis

    from tests.bench.celery_app import QUEUE

    _send("bench.nothing", [()] * count)
    with redis.Redis.from_url(scene.world.redis.url) as broker, celery_worker(scene, 1):
        return _rate_of(lambda: int(broker.llen(QUEUE)))


def _send(task: str, arguments: list[tuple[str, ...]]) -> None:
    from celery import current_app

    from tests.bench.celery_app import QUEUE

    with current_app.producer_pool.acquire(block=True) as producer:
        for of_one in arguments:
            current_app.send_task(task, of_one, queue=QUEUE, producer=producer, ignore_result=True)


def _rate_of(left: Callable[[], int]) -> float:
    """Return how many pieces of work were done in a second, from the first one that was."""
    at_first = left()
    deadline = time.monotonic() + 60 + at_first / AT_LEAST_PER_SECOND
    started: tuple[float, int] | None = None
    while (now_left := left()) > 0:
        if started is None and now_left < at_first:
            started = time.monotonic(), now_left
        if time.monotonic() > deadline:
            raise TimeoutError(f"{now_left} of {at_first} pieces of work were not done.")
        time.sleep(LOOK_AGAIN_SECONDS)
    if started is None:
        raise RuntimeError(f"{at_first} pieces of work are too few to measure.")
    return started[1] / (time.monotonic() - started[0])
