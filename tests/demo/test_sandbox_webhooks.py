"""Webhooks that come several times, in another order, late, or never."""

from __future__ import annotations

import threading
import urllib.error
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of
from tests.demo.receiver import Receiver
from tests.demo.test_sandbox_events import verified
from tests.demo.test_sandbox_faults import wait_until

Start = Callable[..., SandboxServer]


@pytest.fixture
def server(start: Start, receiver: Receiver) -> SandboxServer:
    return start(webhook_url=receiver.url)


def refund_each(server: SandboxServer, count: int) -> list[str]:
    """Refund `count` payments whose own events nobody was told."""
    client = client_of(server)
    ids = server.post("payments/bulk", count=count, amount=2000, currency="eur")["ids"]
    return [client.v1.refunds.create({"payment_intent": intent_id, "amount": 500}).id for intent_id in ids]


def told(receiver: Receiver, event_type: str = "refund.created") -> list[str]:
    """Whom the deliveries of a type were about, in the order of their coming."""
    return [delivery.event["data"]["object"]["id"] for delivery in receiver.deliveries if delivery.event["type"] == event_type]


def all_delivered(server: SandboxServer) -> bool:
    return bool(server.get("state")["counts"]["webhooks_waiting"] == 0)


def test_every_event_can_come_several_times_with_the_same_id(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", copies=5)
    (refund,) = refund_each(server, 1)
    deliveries = receiver.wait_for_type("refund.created", count=5)
    wait_until(lambda: all_delivered(server))
    assert told(receiver) == [refund] * 5
    assert len({verified(delivery).id for delivery in deliveries}) == 1


def test_events_can_be_kept_back_and_sent_in_an_order_that_a_seed_decides(server: SandboxServer, receiver: Receiver) -> None:
    orders = []
    for seed in (1, 1, 2):
        server.post("reset")
        receiver.deliveries.clear()
        server.post("webhooks", hold=True)
        refunds = refund_each(server, 8)
        assert told(receiver) == []
        assert server.get("state")["webhooks"]["held"] == 16
        assert server.post("webhooks/release", seed=seed) == {"released": 16}
        wait_until(lambda: all_delivered(server))
        assert sorted(told(receiver)) == sorted(refunds)
        orders.append([refunds.index(refund) for refund in told(receiver)])
    assert orders[0] == orders[1]
    assert orders[0] not in (orders[2], sorted(orders[0]))


def test_released_without_a_seed_they_come_in_their_order(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", hold=True)
    refunds = refund_each(server, 6)
    server.post("webhooks/release")
    wait_until(lambda: all_delivered(server))
    assert told(receiver) == refunds


def test_events_can_be_shuffled_in_groups(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", shuffle=10, seed=3)
    refunds = refund_each(server, 11)  # 22 events: two groups are sent, and two events wait
    receiver.wait_for(lambda event: True, count=20)
    wait_until(lambda: server.get("state")["webhooks"] | {"waiting": 2, "held": 2} == server.get("state")["webhooks"])
    assert set(told(receiver)[:3]) <= set(refunds[:5])
    assert told(receiver) != refunds[: len(told(receiver))]


def test_late_events_come_when_their_time_has_come(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", delay_ms=100_000)
    (refund,) = refund_each(server, 1)
    assert server.get("state")["webhooks"]["waiting"] == 2
    assert receiver.deliveries == []
    server.post("clock", advance_seconds=101)
    receiver.wait_for_type("refund.created")
    assert told(receiver) == [refund]


def test_events_that_never_come_can_still_be_read_and_be_sent_again(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", never=True)
    refunds = refund_each(server, 3)
    assert all_delivered(server)
    assert len(client_of(server).v1.events.list({"type": "refund.created"}).data) == 3
    server.post("webhooks")
    (last,) = refund_each(server, 1)
    receiver.wait_for_type("refund.created")
    assert told(receiver) == [last]
    assert server.post("webhooks/replay", types=["refund.created"], copies=2, seed=5) == {"queued": 8}
    receiver.wait_for_type("refund.created", count=9)
    wait_until(lambda: all_delivered(server))
    assert sorted(told(receiver)) == sorted([*(refunds * 2), *[last] * 3])


def test_several_can_be_on_their_way_at_once(start: Start) -> None:
    meeting = threading.Barrier(4, timeout=20)
    with Receiver(before_answer=meeting.wait) as receiver:  # nobody is answered before four have come
        server = start(webhook_url=receiver.url)
        server.post("webhooks", parallel=4, hold=True)
        refund_each(server, 4)
        server.post("webhooks/release")
        wait_until(lambda: all_delivered(server))
        assert server.get("state")["webhooks"]["answers"] == {"accepted": 8}


def test_the_connection_to_the_shop_is_kept(server: SandboxServer, receiver: Receiver) -> None:
    refund_each(server, 5)
    wait_until(lambda: all_delivered(server))
    assert len(receiver.deliveries) == 10
    assert len({delivery.connection for delivery in receiver.deliveries}) == 1


def test_the_place_of_delivery_can_change_while_events_wait(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", hold=True)
    (refund,) = refund_each(server, 1)
    with Receiver() as other:
        server.post("webhooks/endpoint", url=other.url, secret="whsec_other")
        server.post("webhooks/release")
        (delivery,) = other.wait_for_type("refund.created")
        assert verified(delivery, "whsec_other").data.object["id"] == refund
        wait_until(lambda: all_delivered(server))
    assert receiver.deliveries == []


@pytest.mark.parametrize("wish", [{"copies": "two"}, {"weather": 1}, {"copies": 0}, {"parallel": 100}, {"delay_ms": -1}, {"hold": 1}])
def test_a_manner_that_makes_no_sense_is_refused(sandbox: SandboxServer, wish: dict[str, Any]) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.post("webhooks", **wish)
    with caught.value as refused:
        assert refused.code == 400


def test_a_reset_forgets_what_was_waiting_and_how_it_was_sent(server: SandboxServer, receiver: Receiver) -> None:
    server.post("webhooks", hold=True, copies=3)
    refund_each(server, 1)
    server.post("reset")
    assert all_delivered(server)
    (refund,) = refund_each(server, 1)
    receiver.wait_for_type("refund.created")
    wait_until(lambda: all_delivered(server))
    assert told(receiver) == [refund]
    assert client_of(server).v1.refunds.retrieve(refund).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError):
        client_of(server).v1.refunds.retrieve("re_gone")
