"""Payments that are authorised first, refunds that wait for somebody, and what all of it does to the merchant's balance."""

from __future__ import annotations

import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.test_sandbox_refunds import error_of, metadata_of, pay


def authorise(client: stripe.StripeClient, amount: int = 1820) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {
            "amount": amount,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://shop.example",
            "capture_method": "manual",
        }
    )


def test_an_authorised_payment_has_taken_nothing_and_cannot_be_refunded(client: stripe.StripeClient) -> None:
    intent = authorise(client)
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("requires_capture", 1820, 0)
    assert (charge.captured, charge.amount_captured, charge.balance_transaction) == (False, 0, None)
    for params in ({"payment_intent": intent.id}, {"charge": charge.id}):
        error = error_of(client.v1.refunds.create, params)
        assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")


def test_less_can_be_captured_and_only_that_can_go_back(client: stripe.StripeClient) -> None:
    intent = authorise(client)
    assert error_of(client.v1.payment_intents.capture, intent.id, {"amount_to_capture": 1821}).code == "amount_too_large"
    captured = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1000})
    assert (captured.status, captured.amount_received, captured.amount_capturable) == ("succeeded", 1000, 0)
    assert error_of(client.v1.payment_intents.capture, intent.id).code == "payment_intent_unexpected_state"
    assert error_of(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 1001}).http_status == 400
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 1000
    types = [event.type for event in client.v1.events.list({"limit": 100}).data]
    assert {"charge.captured", "payment_intent.succeeded", "payment_intent.amount_capturable_updated"} <= set(types)


def test_an_authorised_payment_can_be_canceled_once_and_then_is_over(client: stripe.StripeClient) -> None:
    intent = authorise(client)
    canceled = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "requested_by_customer"})
    assert (canceled.status, canceled.amount_capturable, canceled.cancellation_reason) == ("canceled", 0, "requested_by_customer")
    error = error_of(client.v1.payment_intents.cancel, intent.id)
    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error_of(client.v1.payment_intents.capture, intent.id).code == "payment_intent_unexpected_state"
    assert error_of(client.v1.payment_intents.cancel, pay(client).id).code == "payment_intent_unexpected_state"
    assert [event.data.object["id"] for event in client.v1.events.list({"type": "payment_intent.canceled"}).data] == [intent.id]


def test_a_refund_that_needs_the_customer_can_be_called_off_and_others_cannot(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    sandbox.post("faults", kind="outcome", outcome="requires_action")
    waiting = client.v1.refunds.create({"payment_intent": intent.id})
    assert (waiting.status, waiting.next_action and waiting.next_action.type) == ("requires_action", "display_details")
    canceled = client.v1.refunds.cancel(waiting.id)
    assert (canceled.status, canceled.failure_reason) == ("canceled", "merchant_request")
    assert error_of(client.v1.refunds.cancel, waiting.id).http_status == 400
    done = client.v1.refunds.create({"payment_intent": intent.id})  # the money is there again
    assert (done.status, done.amount) == ("succeeded", 1820)
    assert error_of(client.v1.refunds.cancel, done.id).http_status == 400


def test_a_refund_made_in_the_dashboard_has_nothing_of_ours(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    made = sandbox.post("refunds", payment_intent=intent.id, amount=700)
    refund = client.v1.refunds.retrieve(made["id"])
    assert (refund.amount, refund.status, metadata_of(refund)) == (700, "succeeded", {})
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == 700
    (event,) = client.v1.events.list({"type": "refund.created"}).data
    assert event.request is not None
    assert (event.request.id, event.request.idempotency_key) == (None, None)
    assert error_of(client.v1.refunds.create, {"payment_intent": intent.id, "amount": 1121}).http_status == 400


def test_a_refund_beyond_the_balance_waits_until_there_is_money(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent, other = pay(client), pay(client)
    sandbox.post("balance", currency="eur", available=1000)
    assert client.v1.refunds.create({"payment_intent": intent.id, "amount": 600}).status == "succeeded"
    first = client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    second = client.v1.refunds.create({"payment_intent": other.id, "amount": 800})
    assert [(item.status, item.pending_reason) for item in (first, second)] == [("pending", "insufficient_funds")] * 2
    sandbox.post("balance", currency="eur", available=700)
    assert [client.v1.refunds.retrieve(item.id).status for item in (first, second)] == ["succeeded", "pending"]
    sandbox.post("balance", currency="eur")
    assert client.v1.refunds.retrieve(second.id).status == "succeeded"


def test_the_fee_and_the_exchange_are_told_beside_the_charge(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    made = sandbox.post("payments", amount=2000, currency="usd", settlement_currency="eur", exchange_rate=0.9)
    intent = client.v1.payment_intents.retrieve(made["id"], {"expand": ["latest_charge.balance_transaction"]}).to_dict()
    booked = intent["latest_charge"]["balance_transaction"]
    assert (booked["amount"], booked["currency"], booked["exchange_rate"], booked["fee"], booked["net"]) == (1800, "eur", 0.9, 79, 1721)
    assert sum(detail["amount"] for detail in booked["fee_details"]) == booked["fee"]
    refund = client.v1.refunds.create({"payment_intent": made["id"], "amount": 1000, "expand": ["balance_transaction"]}).to_dict()
    back = refund["balance_transaction"]
    assert (back["amount"], back["currency"], back["exchange_rate"], back["fee"], back["type"]) == (-900, "eur", 0.9, 0, "refund")


def test_a_failed_refund_brings_its_money_back_to_the_balance(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    refund = client.v1.refunds.create({"payment_intent": pay(client).id, "amount": 500})
    sandbox.post(f"refunds/{refund.id}/fail")
    failed = client.v1.refunds.retrieve(refund.id, {"expand": ["balance_transaction", "failure_balance_transaction"]}).to_dict()
    assert (failed["balance_transaction"]["amount"], failed["failure_balance_transaction"]["amount"]) == (-500, 500)
    assert failed["failure_balance_transaction"]["type"] == "refund_failure"
    listed = client.v1.balance_transactions.list({"source": refund.id}).data
    assert {item.id for item in listed} == {failed["balance_transaction"]["id"], failed["failure_balance_transaction"]["id"]}
