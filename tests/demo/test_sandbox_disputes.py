"""Disputes, inquiries and early fraud warnings in the sandbox."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of
from tests.demo.receiver import Receiver
from tests.demo.test_sandbox_events import verified
from tests.demo.test_sandbox_refunds import error_of, pay


def event_types(client: stripe.StripeClient) -> list[str]:
    """What was told about disputes and warnings, oldest first."""
    types = [event.type for event in client.v1.events.list({"limit": 100}).data]
    return [name for name in reversed(types) if "dispute" in name or "warning" in name]


def test_a_formal_dispute_takes_the_money_and_stops_refunds(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    opened = sandbox.post("disputes", payment_intent=intent.id, reason="fraudulent")
    dispute = client.v1.disputes.retrieve(opened["id"])
    assert (dispute.status, dispute.amount, dispute.is_charge_refundable) == ("needs_response", 1320, False)
    assert client.v1.charges.retrieve(str(intent.latest_charge)).disputed is True
    (movement,) = dispute.balance_transactions
    assert (movement.amount, movement.fee, movement.net, movement.type) == (-1320, 1500, -2820, "adjustment")
    error = error_of(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 1})
    assert (error.http_status, error.code) == (400, "charge_disputed")
    assert event_types(client) == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert [item.id for item in client.v1.disputes.list({"payment_intent": intent.id}).data] == [dispute.id]


@pytest.mark.parametrize(
    ("steps", "status", "told"),
    [
        (["review", "win"], "won", ["updated", "closed", "funds_reinstated"]),
        (["lose"], "lost", ["closed"]),
        (["withdraw"], "won", ["closed", "funds_reinstated"]),
    ],
)
def test_a_formal_dispute_ends_in_one_of_three_ways(
    sandbox: SandboxServer, client: stripe.StripeClient, steps: list[str], status: str, told: list[str]
) -> None:
    intent = pay(client)
    opened = sandbox.post("disputes", payment_intent=intent.id)
    for step in steps:
        sandbox.post(f"disputes/{opened['id']}/{step}")
    dispute = client.v1.disputes.retrieve(opened["id"])
    assert dispute.status == status
    assert sum(movement.amount for movement in dispute.balance_transactions) == (0 if status == "won" else -1820)
    assert event_types(client)[2:] == [f"charge.dispute.{name}" for name in told]
    if status == "won":
        assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 1820
    else:
        assert error_of(client.v1.refunds.create, {"payment_intent": intent.id}).code == "charge_disputed"


def test_an_inquiry_takes_nothing_and_can_be_answered_by_a_refund(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    opened = sandbox.post("disputes", payment_intent=intent.id, status="warning_needs_response")
    dispute = client.v1.disputes.retrieve(opened["id"])
    assert (dispute.is_charge_refundable, dispute.balance_transactions) == (True, [])
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 1820
    assert sandbox.post(f"disputes/{dispute.id}/withdraw")["status"] == "warning_closed"
    assert event_types(client) == ["charge.dispute.created", "charge.dispute.closed"]


def test_an_inquiry_can_become_formal(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    opened = sandbox.post("disputes", payment_intent=intent.id, status="warning_needs_response", amount=1000)
    assert sandbox.post(f"disputes/{opened['id']}/escalate")["status"] == "needs_response"
    assert error_of(client.v1.refunds.create, {"payment_intent": intent.id}).code == "charge_disputed"
    assert event_types(client)[1:] == ["charge.dispute.updated", "charge.dispute.funds_withdrawn"]


def test_a_dispute_takes_no_step_that_its_status_does_not_have(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    opened = sandbox.post("disputes", payment_intent=pay(client).id)
    sandbox.post(f"disputes/{opened['id']}/lose")
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.post(f"disputes/{opened['id']}/win")
    with caught.value as refused:
        assert refused.code == 400
    assert client.v1.disputes.retrieve(opened["id"]).status == "lost"


def test_an_early_fraud_warning_is_told_and_can_be_looked_up(start: Callable[..., SandboxServer], receiver: Receiver) -> None:
    server = start(webhook_url=receiver.url)
    client = client_of(server)
    intent = pay(client)
    made = server.post("early_fraud_warnings", payment_intent=intent.id, fraud_type="made_with_stolen_card")
    (delivery,) = receiver.wait_for_type("radar.early_fraud_warning.created")
    told = verified(delivery).data.object
    assert (told["charge"], told["actionable"], told["fraud_type"]) == (intent.latest_charge, True, "made_with_stolen_card")
    server.post(f"early_fraud_warnings/{made['id']}", actionable=False)
    receiver.wait_for_type("radar.early_fraud_warning.updated")
    assert client.v1.radar.early_fraud_warnings.retrieve(made["id"]).actionable is False
    assert [item.id for item in client.v1.radar.early_fraud_warnings.list({"charge": str(intent.latest_charge)}).data] == [made["id"]]
