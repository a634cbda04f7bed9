"""Outcomes nobody knows: when the gateway is back, and when it has long forgotten the key."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.models import Attempt, AttemptPurpose, Refund
from refund_plugin.refunds.states import RefundState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import QUICK, World

RATE_PER_SECOND = 25
OUTAGE_ERRORS = 10_000_000
DAY_AND_AN_HOUR, ELEVEN_MINUTES = 25 * 3600, 11 * 60
SENDS = (AttemptPurpose.SEND, AttemptPurpose.REPLAY)


def recovered(world: World, size: Size) -> Figure:
    """Make outcomes unknown, let the gateway be silent for a while, and bring it back at the worst moment."""
    count = size.of(short=40, full=1000)
    outage_seconds = size.of(short=0, full=75)
    with world.row(plugin={**QUICK, "BREAKER_FAILURES": OUTAGE_ERRORS, "RETRY_BASE_SECONDS": 3, "RETRY_MAX_SECONDS": 3}) as scene:
        seeding.reserve(scene, count)
        scene.fault("drop_after_commit", share=0.5, seed=1)
        scene.fault("drop_before_send")
        scene.fault("drop_before_send", method="GET", path="/v1/")  # nor can anybody look
        with scene.workers(2):
            scene.until(lambda: _in(RefundState.UNKNOWN) == count, seconds=size.of(short=120, full=400), what="every outcome is unknown")
        scene.settings()  # the product's own times, because they are what is measured
        worker = scene.start_worker(interval=1.0)
        scene.until(lambda: _open_until() is not None, seconds=120, what="the breaker opens")
        began = clock.database_now()
        while (clock.database_now() - began).total_seconds() < outage_seconds:
            before = _open_until()
            scene.until(lambda before=before: _open_until() != before, seconds=300, what="the breaker tries again")
        scene.behave()  # just now a call has failed, and the next one is a whole pause away
        healthy_at = clock.database_now()
        scene.until_settled(seconds=count / RATE_PER_SECOND + 330)
        worker.end()
        found = truth.find(scene)
        late = sorted(_lateness(healthy_at))
    p99, last = late[-(-len(late) * 99 // 100) - 1], late[-1]
    return judged(
        f"99 % after {p99:.0f} s, all after {last:.0f} s, of {count:,}",
        *found.problems,
        f"99 % took {p99:.0f} s" if p99 > 60 else "",
        f"the last took {last:.0f} s" if last > 300 else "",
    )


def _in(state: str) -> int:
    return Refund.objects.filter(state=state).count()


def _open_until() -> datetime | None:
    return GatewayAccount.objects.values_list("breaker_open_until", flat=True).get()


def _lateness(healthy_at: datetime) -> list[float]:
    """Return how long each refund took, less the time that the limiter makes the n-th one wait."""
    settled = Refund.objects.filter(settled_at__gte=healthy_at).order_by("settled_at").values_list("settled_at", flat=True)
    return [max(0.0, (at - healthy_at).total_seconds() - place / RATE_PER_SECOND) for place, at in enumerate(settled) if at]


def older_than_the_key(world: World, size: Size) -> Figure:
    """Let outcomes stay unknown for more than a day, in which the gateway forgets its keys; half of them were executed."""
    count = size.of(short=16, full=400)
    with world.row(plugin={**QUICK, "BREAKER_FAILURES": OUTAGE_ERRORS, "RETRY_BASE_SECONDS": 600, "RETRY_MAX_SECONDS": 600}) as scene:
        originals = seeding.reserve(scene, count)
        scene.fault("drop_after_commit", share=0.5, seed=2)
        scene.fault("drop_before_send")
        scene.fault("drop_before_send", method="GET", path="/v1/")  # nor can anybody look
        with scene.workers(1):
            scene.until(lambda: _in(RefundState.UNKNOWN) == count, seconds=size.of(short=120, full=400), what="every outcome is unknown")
        executed = len(truth.gateway_refunds(scene))
        scene.behave()
        scene.forget_keys()
        forgotten_at = clock.database_now()
        scene.sweep(clock_seconds=DAY_AND_AN_HOUR)
        with scene.workers(1, clock_seconds=DAY_AND_AN_HOUR + ELEVEN_MINUTES):
            scene.until_settled(seconds=120)
        later = Attempt.objects.filter(refund__in=originals, started_at__gt=forgotten_at)
        blind = later.filter(purpose__in=SENDS).count()
        listings = later.filter(purpose=AttemptPurpose.LIST, answer="absent").values("refund").annotate(times=Count("pk"))
        absent = listings.filter(times__gte=2).count()
        found = truth.find(scene)
    return judged(
        f"{blind} blind resends; of {count} {executed} were found listed, {absent} twice not listed and paid anew",
        *found.problems,
        f"{blind} were sent again with a key that the gateway has forgotten" if blind else "",
        "" if absent == count - executed else f"{count - executed} were never executed, and {absent} were looked for twice",
        "" if 0 < executed < count else f"the gateway had executed {executed}, which shows one side only",
    )
