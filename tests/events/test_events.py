"""Recording and delivering: one row per subscriber, in order per case, a failing subscriber delays only itself."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import transaction

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.events import services
from refund_plugin.events.models import Delivery, DeliveryState, Event
from refund_plugin.events.services import MAX_FAILURES, DomainEvent, deliver_due, record, subscribe
from refund_plugin.signals import event_recorded
from refund_plugin.stores.services import ensure_default_store
from tests.factories import NOW

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_subscribers(monkeypatch):
    """Start without the package's own subscribers."""
    monkeypatch.setattr(services, "_subscribers", {})


@pytest.fixture
def happen():
    store = ensure_default_store()

    def happen(kind: str = "something", case: uuid.UUID | None = None) -> Event:
        return record(DomainEvent(kind=kind, store_id=store.pk, case=case, actor=SYSTEM, payload={"n": 1}), now=NOW)[0]

    return happen


def test_each_subscriber_hears_only_its_kinds_and_each_event_once(happen):
    heard = []
    subscribe("a", ["one"], lambda event: heard.append(("a", event.kind)))
    subscribe("b", ["one", "two"], lambda event: heard.append(("b", event.kind)))
    happen("one"), happen("two"), happen("three")
    assert deliver_due() == 3
    assert deliver_due() == 0
    assert sorted(heard) == [("a", "one"), ("b", "one"), ("b", "two")]


def test_a_failing_subscriber_is_retried_and_delays_only_itself(happen):
    heard, broken = [], [True]

    def fragile(event):
        if broken[0]:
            raise RuntimeError("down")
        heard.append("fragile")

    subscribe("fragile", ["one"], fragile)
    subscribe("sturdy", ["one"], lambda event: heard.append("sturdy"))
    happen("one")
    deliver_due()
    assert heard == ["sturdy"]
    assert Delivery.objects.get(subscriber="fragile").last_error == "RuntimeError: down"
    broken[0] = False
    with clock.travel(timedelta(minutes=1)):
        deliver_due()
    assert heard == ["sturdy", "fragile"]


def test_events_of_one_case_keep_their_order_for_a_subscriber(happen):
    case, other, heard, broken = uuid.uuid4(), uuid.uuid4(), [], [True]

    def follower(event):
        if broken[0] and event.kind == "first":
            raise RuntimeError("down")
        heard.append((event.kind, event.case))

    subscribe("follower", ["first", "second"], follower)
    happen("first", case), happen("second", case), happen("second", other)
    deliver_due()
    assert heard == [("second", other)]
    broken[0] = False
    with clock.travel(timedelta(minutes=1)):
        deliver_due()
    assert heard[1:] == [("first", case), ("second", case)]


def test_a_delivery_that_keeps_failing_is_parked_and_the_case_goes_on(happen):
    case, heard = uuid.uuid4(), []

    def follower(event):
        if event.kind == "bad":
            raise ValueError("never")
        heard.append(event.kind)

    subscribe("follower", ["bad", "good"], follower)
    happen("bad", case), happen("good", case)
    for hour in range(1, MAX_FAILURES + 2):
        with clock.travel(timedelta(hours=hour)):
            deliver_due()
    assert Delivery.objects.get(event__kind="bad").state == DeliveryState.PARKED
    assert heard == ["good"]


def test_a_worker_that_died_while_delivering_is_taken_over_after_its_lease(happen):
    heard = []
    subscribe("a", ["one"], lambda event: heard.append(event.pk))
    event = happen("one")
    assert len(services._claim(batch=10)) == 1
    assert deliver_due() == 0
    with clock.travel(timedelta(minutes=2)):
        deliver_due()
    assert heard == [event.pk]


def test_what_was_claimed_and_not_begun_in_time_is_left_to_others(happen, monkeypatch):
    heard, time = [], iter(range(100))
    subscribe("a", ["one"], lambda event: heard.append(event.pk))
    events = [happen("one", uuid.uuid4()) for _number in range(5)]
    monkeypatch.setattr(services, "monotonic", lambda: float(next(time)))
    handled = deliver_due(seconds=4)
    assert 0 < handled < 5
    monkeypatch.setattr(services, "monotonic", lambda: 0.0)
    deliver_due()
    assert heard == [event.pk for event in events]


@pytest.mark.django_db(transaction=True)
def test_hosts_hear_of_an_event_only_after_it_is_committed(happen):
    heard = []

    def listen(sender, event, **kwargs):
        heard.append(event.kind)

    event_recorded.connect(listen)
    try:
        with transaction.atomic():
            happen("one")
            assert heard == []
        assert heard == ["one"]
        with pytest.raises(RuntimeError), transaction.atomic():
            happen("two")
            raise RuntimeError
        assert heard == ["one"]
    finally:
        event_recorded.disconnect(listen)


def test_slow_subscribers_keep_other_work_waiting_for_a_while_only(happen, monkeypatch):
    passed = [0.0]
    monkeypatch.setattr(services, "monotonic", lambda: passed[0])
    subscribe("slow", ["one"], lambda event: passed.__setitem__(0, passed[0] + 1))
    for _number in range(5):
        happen("one")
    assert deliver_due(seconds=2) == 2
    assert deliver_due() == 3
