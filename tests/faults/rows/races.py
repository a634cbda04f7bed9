"""Clients who ask for the same money at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from django.db import connections
from django.db.models import F

from refund_plugin import clock
from refund_plugin.errors import RefundPluginError
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.states import RequestState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.racing import race
from tests.faults.world import World
from tests.refunds.helpers import ask

CLIENTS = 64
CAPTURED, LINE = 1000, 30  # 33 of the 64 can be paid


def _asking(purchase: Purchase, line: PurchaseLine) -> Callable[[], RefundRequest]:
    return partial(ask, purchase, {line: 1}, now=clock.now())


def one_line_of_two_payments(world: World, size: Size) -> Figure:
    """Two clients ask for the one line of a purchase that was paid by two payments, either of which could carry half of it."""
    count = size.of(short=8, full=200)
    with world.row() as scene:
        seeding.publish(scene)
        purchases = [seeding.buy(scene, lines=[1820], payments=[1000, 820]) for _number in range(count)]
        won = []
        for purchase in purchases:
            line = purchase.lines.get()
            results = race([_asking(purchase, line), _asking(purchase, line)])
            won.append(sum(not isinstance(result, RefundPluginError) and result.state == RequestState.APPROVED for result in results))
        with scene.workers(2):
            scene.until_settled(seconds=size.of(short=30, full=120))
        found = truth.find(scene)
        paid: dict[str, int] = {}
        numbers = dict(Payment.objects.values_list("gateway_payment_id", "purchase__number"))
        for refund in truth.gateway_refunds(scene):
            number = numbers[refund["payment_intent"]]
            paid[number] = paid.get(number, 0) + refund["amount"]
    wrong = [
        f"purchase {purchase.number} was paid {paid.get(purchase.number, 0)} of 1820"
        for purchase in purchases
        if paid.get(purchase.number) != 1820
    ]
    wrong += [f"purchase {purchase.number}: {wins} of two requests won" for purchase, wins in zip(purchases, won, strict=True) if wins != 1]
    return judged(f"{count - len(wrong)} of {count} lines paid exactly once", *wrong, *found.problems)


def many_clients_of_one_payment(world: World, size: Size) -> Figure:
    """64 clients ask for lines that together cost more than the payment holds, while somebody adds up all the time."""
    rounds = size.of(short=1, full=8)
    looks = above = 0
    approved = []
    with world.row() as scene:
        seeding.publish(scene)
        for _round in range(rounds):
            purchase = seeding.buy(scene, lines=[LINE] * CLIENTS, payments=[CAPTURED])
            watcher = _Watcher()
            try:
                with scene.workers(1, interval=0.02):
                    results = race([_asking(purchase, line) for line in purchase.lines.all()])
            finally:
                seen, exceeded = watcher.stop()
            looks, above = looks + seen, above + exceeded
            approved.append(sum(not isinstance(result, RefundPluginError) and result.state == RequestState.APPROVED for result in results))
        with scene.workers(2):
            scene.until_settled(seconds=size.of(short=30, full=120))
        found = truth.find(scene)
    most = CAPTURED // LINE
    text = f"{above} of {looks:,} looks saw more than was captured; {max(approved)} of {CLIENTS} approved, {most} could be"
    wrong = [f"{number} were approved where {most} fit" for number in approved if number != most]
    return judged(text, *found.problems, *wrong, "" if not above else f"{above} looks saw more than was captured")


class _Watcher:
    """Adds up, again and again, what is held and gone of every payment."""

    def __init__(self) -> None:
        self._looks = self._above = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.is_set():
            self._looks += 1
            self._above += Payment.objects.filter(captured_minor__lt=F("held_minor") + F("gone_minor")).count()
        connections.close_all()

    def stop(self) -> tuple[int, int]:
        """Return how many looks there were, and how many saw too much."""
        self._ended.set()
        self._thread.join()
        return self._looks, self._above
