"""A policy that is wrong: it gives everybody everything back, and everybody asks."""

from __future__ import annotations

from functools import partial

from django.db.models import Sum

from refund_plugin import clock
from refund_plugin.messaging.models import Message
from refund_plugin.refunds.brake.defaults import default_ceiling
from refund_plugin.refunds.brake.windows import Per
from refund_plugin.refunds.models import Alert, Decision
from refund_plugin.refunds.queries import needs_person, staff_queue
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.racing import race
from tests.faults.world import QUICK, World
from tests.refunds.helpers import ask

CURRENCY = "EUR"
AT_ONCE = 4  # customers who ask at the same moment
STATUTORY_EVERY = 50


def run(world: World, size: Size) -> Figure:
    """Let everybody ask for everything back within minutes; every fiftieth declares a statutory withdrawal."""
    count = size.of(short=80, full=5000)
    with world.row(plugin={**QUICK, "BRAKE": {} if size is Size.FULL else {"hour": {CURRENCY: 20 * seeding.AMOUNT}}}) as scene:
        purchases = seeding.sell(scene, count)
        asks = [
            partial(ask, purchase, now=clock.now(), withdrawal=place % STATUTORY_EVERY == STATUTORY_EVERY - 1)
            for place, purchase in enumerate(purchases)
        ]
        with scene.workers(1):
            results = [result for start in range(0, count, AT_ONCE) for result in race(asks[start : start + AT_ONCE])]
            scene.until(lambda: _acknowledged() == count, seconds=size.of(short=60, full=600), what="everybody got an answer by mail")
            scene.until_settled(seconds=120)
        ceiling = default_ceiling(CURRENCY, Per.HOUR) or 0
        paid = sum(refund["amount"] for refund in truth.gateway_refunds(scene))
        automatic = Decision.objects.filter(outcome="approved").aggregate(total=Sum("amount_minor"))["total"]
        waiting = list(staff_queue(filters=needs_person()).values_list("is_withdrawal", flat=True))
        alerts = Alert.objects.filter(kind__contains="brake").count()
        found = truth.find(scene)
    statutory = sum(waiting)
    return judged(
        f"{paid / 100:,.2f} of {ceiling / 100:,.2f} {CURRENCY} paid; {len(results):,} acknowledged; "
        f"{len(waiting):,} wait for a person, {statutory} statutory first",
        *found.problems,
        f"{paid} minor units were paid, above the brake of {ceiling}" if paid > ceiling else "",
        f"{automatic} were approved and {paid} paid" if automatic != paid else "",
        "" if paid > ceiling - seeding.AMOUNT else f"only {paid} were paid where {ceiling} may be",
        "" if all(waiting[:statutory]) and statutory else "the statutory ones do not stand first in the staff's list",
        "" if alerts else "nobody was alerted",
    )


def _acknowledged() -> int:
    return Message.objects.filter(sent_at__isnull=False).values("request").distinct().count()
