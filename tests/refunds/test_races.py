"""Several at the same time, each with a connection of its own: one wins, and nothing is paid twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction

from refund_plugin import clock
from refund_plugin.errors import RefundPluginError
from refund_plugin.events import services as event_services
from refund_plugin.events.models import Event
from refund_plugin.events.services import deliver_due, subscribe
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.execute import claim_due, wake_account
from refund_plugin.refunds.locks import lock_refund
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.states import RefundState
from tests.factories import EBOOK, LICENCE, make_purchase
from tests.refunds.helpers import ask, balances, only_refund

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 8


def at_once(work: Callable[[int], Any], clients: int = CLIENTS) -> list[Any]:
    """Run `work` in several threads that start together; return what each returned or raised."""
    start = threading.Barrier(clients)

    def run(number: int) -> Any:
        try:
            start.wait(timeout=30)
            return work(number)
        except RefundPluginError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(run, range(clients)))


def test_two_customers_racing_for_one_line_with_two_payments_cannot_both_be_paid(policy):
    purchase = make_purchase(lines=[EBOOK, LICENCE], payments=[1820, 2400])
    line = purchase.lines.first()
    results = at_once(lambda number: ask(purchase, {line: 1}, submission_key=f"client-{number}"))
    won = [result for result in results if isinstance(result, RefundRequest)]
    assert len(won) == 1
    assert Refund.objects.count() == 1
    assert balances(purchase)[1] == [(1820, 0), (0, 0)]


def test_a_double_click_is_one_request_and_both_clicks_get_it(policy):
    purchase = make_purchase()
    line = purchase.lines.get()
    results = at_once(lambda number: ask(purchase, {line: 1}, submission_key="one-form"))
    assert {result.pk for result in results} == {RefundRequest.objects.get().pk}
    assert balances(purchase) == ([(1820, 0)], [(1820, 0)])


def test_units_asked_for_at_the_same_time_are_never_more_than_were_bought(policy):
    purchase = make_purchase(lines=[LICENCE])
    line = purchase.lines.get()
    results = at_once(lambda number: ask(purchase, {line: 1}, submission_key=f"client-{number}"))
    assert sum(isinstance(result, RefundRequest) for result in results) == 3
    assert balances(purchase) == ([(2400, 0)], [(2400, 0)])


def test_workers_driving_at_the_same_time_send_each_refund_once(policy, gateway):
    purchases = [make_purchase() for _number in range(12)]
    for purchase in purchases:
        ask(purchase)
    at_once(lambda number: drive_refunds(), clients=4)
    sent = Counter(command.refund_id for command in gateway.sent)
    assert len(sent) == 12
    assert set(sent.values()) == {1}
    assert set(Refund.objects.values_list("state", flat=True)) == {RefundState.SUCCEEDED}
    assert all(refund.attempts.count() == 1 for refund in Refund.objects.all())


def test_workers_delivering_at_the_same_time_deliver_each_event_once(policy, monkeypatch):
    monkeypatch.setattr(event_services, "_subscribers", {})
    heard: list[int] = []
    subscribe("listener", ["request_submitted", "request_approved"], lambda event: heard.append(event.pk))
    for _number in range(6):
        ask(make_purchase())
    at_once(lambda number: deliver_due(), clients=4)
    assert sorted(heard) == sorted(Event.objects.values_list("pk", flat=True))


def test_waking_an_account_does_not_wait_for_a_refund_that_somebody_holds(policy):
    """Whoever holds it may want one that was woken: both would wait for ever, until the database ends one of them."""
    held, free = sorted((only_refund(ask(make_purchase())) for _number in range(2)), key=lambda refund: refund.pk)
    Refund.objects.update(due_at=clock.database_now() + timedelta(hours=1))
    holds, is_woken = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            rows_are_held = connection.features.has_select_for_update_skip_locked  # elsewhere only the whole database can be
            with transaction.atomic() if rows_are_held else nullcontext():
                lock_refund(held.pk)
                holds.set()
                assert is_woken.wait(timeout=30)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert holds.wait(timeout=30)
        wake_account(free.account_id)
        is_woken.set()
        holding.result()

    assert free.pk in {claim.refund_id for claim in claim_due(batch=5)}
