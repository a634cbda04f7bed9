"""Somebody refunds in the gateway's own dashboard what we are refunding too."""

from __future__ import annotations

from uuid import UUID

from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Alert, Refund, RefundOrigin
from refund_plugin.refunds.states import GONE, HELD, RefundState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import QUICK, Scene, World

ELEVEN_MINUTES = 660
AT_ONCE = 12  # as many as one worker has in its calls at the same time, and some to spare
CALL_MILLISECONDS = 8000  # within which all of them are refunded in the dashboard
PATIENT = {**QUICK, "BREAKER_FAILURES": 10_000_000, "LEASE_SECONDS": 30}
MOMENTS = ("reserved", "processing", "unknown")


def run(world: World, size: Size) -> Figure:
    """Refund each payment in the dashboard, whole or half of it, while ours takes the whole: reserved, in a call, or unknown."""
    count, rounds = size.of(short=4, full=AT_ONCE), size.of(short=1, full=4)
    problems: list[str] = []
    sent = alerts = 0
    for moment in MOMENTS * rounds:
        with world.row(plugin=PATIENT, account={"read_timeout_seconds": 30}, webhooks=True) as scene:
            wrong, slipped, told = _both(scene, moment, count)
        problems += [f"ours {moment}: {problem}" for problem in wrong]
        sent, alerts = sent + slipped, alerts + told
    text = f"over true on {count * len(MOMENTS) * rounds} payments, {sent} unsent went out, {alerts} alerts"
    return judged(text, *problems, f"{sent} refunds went out that had not been sent" if sent else "")


def _both(scene: Scene, moment: str, count: int) -> tuple[list[str], int, int]:
    """Return what was wrong, how many refunds went out after the dashboard's, and how many payments have an alert."""
    ids = seeding.reserve(scene, count, whole=True)
    worker = None
    if moment == "processing":
        scene.fault("slow_before", milliseconds=CALL_MILLISECONDS, times=count)
        worker = scene.start_worker()
        scene.until(lambda: Refund.objects.filter(state=RefundState.PROCESSING).count() == count, seconds=30, what="all are in a call")
    if moment == "unknown":
        scene.fault("drop_before_send", times=count)
        with scene.workers(1):
            scene.until(lambda: Refund.objects.filter(state=RefundState.UNKNOWN).count() == count, seconds=30, what="all are unknown")
    payments = list(Payment.objects.filter(refunds__in=ids))
    posts = scene.posts()
    for number, payment in enumerate(payments):
        part = 1 if number % 2 else 2  # whole, or so much that ours no longer fits
        scene.refund_in_dashboard(payment.gateway_payment_id, payment.captured_minor // part)
    scene.until(lambda: scene.webhooks_waiting() == 0, seconds=60, what="the webhooks were taken")
    second = scene.start_worker()  # the first may be in its calls for a while
    scene.until(lambda: _external() == count, seconds=60, what="the dashboard's refunds are known")
    wrong = _untrue_over()
    scene.until(lambda: _looked_at(ids), seconds=60, what="a worker has looked at ours")
    for each in (worker, second):
        if each is not None:
            each.end()
    # two listings, ten minutes apart, before anybody may say that ours was never executed
    for later in (0, ELEVEN_MINUTES, ELEVEN_MINUTES):
        scene.sweep(clock_seconds=later)
    wrong += _untrue_over()
    gateway = truth.gateway_refunds(scene)
    ours = {UUID(refund["metadata"]["refund_id"]) for refund in gateway if (refund.get("metadata") or {}).get("refund_id")}
    slipped = len(ours & set(ids)) + (scene.posts() - posts if moment == "reserved" else 0)
    told = Alert.objects.filter(payment__in=payments).values("payment").distinct().count()
    if told < count:
        wrong.append(f"staff were alerted about {told} of {count} payments")
    return [*wrong, *truth.find(scene, all_paid=False).problems], slipped, told


def _external() -> int:
    return Refund.objects.filter(origin=RefundOrigin.EXTERNAL, state=RefundState.SUCCEEDED).count()


def _looked_at(ids: list[UUID]) -> bool:
    """Tell whether each of ours is stopped, or has been tried and is not in a call."""
    ours = Refund.objects.filter(pk__in=ids)
    return not ours.filter(lease_until__isnull=False).exists() and not ours.filter(waits_for="", attempt_count=0).exists()


def _untrue_over() -> list[str]:
    """Return the payments whose `over` is not what their refunds add up to."""
    wrong = []
    for payment in Payment.objects.prefetch_related("refunds"):
        moved = sum(refund.amount_minor for refund in payment.refunds.all() if refund.state in HELD | GONE)
        over = max(0, moved + payment.disputed_minor - payment.captured_minor)
        if payment.over_minor != over:
            wrong.append(f"payment {payment.pk} says over {payment.over_minor} where {over} is")
    return wrong
