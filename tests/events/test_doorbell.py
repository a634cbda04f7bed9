"""The doorbell: one ring per task and transaction, on commit, and a dead broker neither delays nor fails anything."""

from __future__ import annotations

import socket

import pytest
from celery import Celery
from django.db import transaction

from refund_plugin.events import doorbell
from refund_plugin.stores.services import ensure_default_store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def not_quiet(monkeypatch):
    monkeypatch.setattr(doorbell, "_quiet_until", 0.0)


@pytest.fixture
def rung(monkeypatch):
    rings: list[str] = []
    monkeypatch.setattr(doorbell, "send", lambda *tasks: rings.extend(tasks))
    return rings


def test_it_rings_once_per_task_when_the_transaction_commits(rung):
    with transaction.atomic():
        doorbell.ring("a"), doorbell.ring("a"), doorbell.ring("b")
        assert rung == []
    assert rung == ["a", "b"]


def test_a_ring_is_not_lost_with_a_savepoint_that_rolls_back_beside_it(rung):
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            doorbell.ring("a")
            raise RuntimeError
        doorbell.ring("b")
        with transaction.atomic():
            doorbell.ring("c")
    assert rung == ["b", "c"]


def test_it_stays_silent_when_the_transaction_rolls_back(rung):
    with pytest.raises(RuntimeError), transaction.atomic():
        doorbell.ring("a")
        raise RuntimeError
    assert rung == []


@pytest.fixture
def dead_broker(monkeypatch):
    """An app whose broker is a port behind which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(doorbell, "current_app", Celery("dead", broker=f"redis://127.0.0.1:{port}/0", set_as_current=False))


def test_a_dead_broker_is_reported_and_not_raised_and_then_left_alone_for_a_while(dead_broker, caplog):
    assert doorbell.send("refund_plugin.drive_refunds") is False
    assert doorbell.send("refund_plugin.drive_refunds") is False
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "the broker did not take the doorbell for refund_plugin.drive_refunds"
    ]


def test_a_request_commits_although_the_broker_is_dead(dead_broker, caplog):
    store = ensure_default_store()
    with transaction.atomic():
        store.name = "Renamed"
        store.save()
        doorbell.ring("refund_plugin.drive_refunds")
    store.refresh_from_db()
    assert store.name == "Renamed"
    assert "the sweep will find the work" in caplog.text


def test_a_dead_broker_is_asked_once_and_not_again_and_again(dead_broker, monkeypatch):
    """Connecting has retries of its own beside those of publishing; each would hold up a customer."""
    asked = []
    monkeypatch.setattr(
        "socket.socket.connect", lambda self, address: asked.append(address) or (_ for _ in ()).throw(ConnectionRefusedError)
    )
    doorbell.send("refund_plugin.drive_refunds")
    assert len(asked) == 1


@pytest.fixture
def living_broker(monkeypatch):
    app = Celery("living", broker="memory://", set_as_current=False)
    monkeypatch.setattr(doorbell, "current_app", app)
    return app


def test_a_thread_keeps_its_connection_from_ring_to_ring(living_broker, monkeypatch):
    made = []
    connect = living_broker.connection_for_write
    monkeypatch.setattr(living_broker, "connection_for_write", lambda **options: made.append(options) or connect(**options))
    assert [doorbell.send("a"), doorbell.send("b", "c")] == [True, True]
    assert len([options for options in made if options]) == 1  # Celery's own pool asks without options


def test_a_connection_that_broke_since_the_last_ring_is_made_anew_and_the_ring_is_not_lost(living_broker, monkeypatch):
    assert doorbell.send("a")
    publish, failures = living_broker.send_task, [ConnectionResetError()]

    def send_task(*arguments, **options):
        if failures:
            raise failures.pop()
        return publish(*arguments, **options)

    monkeypatch.setattr(living_broker, "send_task", send_task)
    assert doorbell.send("b")
    assert failures == []
