"""Refunds that settle later, webhooks, and what survives a restart."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of
from tests.demo.receiver import Delivery, Receiver
from tests.demo.test_sandbox_refunds import pay

Start = Callable[..., SandboxServer]


def verified(delivery: Delivery, secret: str = "whsec_sandbox") -> stripe.Event:
    event: stripe.Event = stripe.Webhook.construct_event(delivery.body, delivery.signature, secret)
    return event


def test_a_pending_refund_settles_by_hand(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client, payment_method="pm_usBankAccount")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    sandbox.post(f"refunds/{refund.id}/settle")
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"


def test_a_pending_refund_settles_by_itself_and_says_so(start: Start, receiver: Receiver) -> None:
    server = start(webhook_url=receiver.url, settle_after_ms=100)
    client = client_of(server)
    refund = client.v1.refunds.create({"payment_intent": pay(client, payment_method="pm_card_pendingRefund").id})
    assert refund.status == "pending"
    (update,) = receiver.wait_for_type("refund.updated")
    event = verified(update).to_dict()
    assert (event["data"]["object"]["id"], event["data"]["object"]["status"]) == (refund.id, "succeeded")
    assert event["data"]["previous_attributes"]["status"] == "pending"
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"


def test_a_refund_can_fail_long_after_it_succeeded(start: Start, receiver: Receiver) -> None:
    server = start(webhook_url=receiver.url, settle_after_ms=100)
    client = client_of(server)
    intent = pay(client, payment_method="pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    (failure,) = receiver.wait_for_type("refund.failed")
    told = verified(failure).to_dict()["data"]["object"]
    assert (told["status"], told["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert told["failure_balance_transaction"].startswith("txn_")
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == 0


def test_a_refund_is_told_with_the_request_that_made_it(start: Start, receiver: Receiver) -> None:
    client = client_of(start(webhook_url=receiver.url))
    refund = client.v1.refunds.create({"payment_intent": pay(client).id, "amount": 500}, {"idempotency_key": "k"})
    (created,) = receiver.wait_for_type("refund.created")
    event = verified(created)
    assert (event.livemode, event.data.object["id"]) == (False, refund.id)
    assert event.request is not None
    assert event.request.idempotency_key == "k"
    (charged,) = receiver.wait_for_type("charge.refunded")
    charge = verified(charged).data.object
    assert charge["amount_refunded"] == 500
    assert "refunds" not in charge
    assert client.v1.events.retrieve(event.id).type == "refund.created"
    assert [item.id for item in client.v1.events.list({"type": "refund.created"}).data] == [event.id]


def test_a_replayed_key_tells_nothing_twice(start: Start, receiver: Receiver) -> None:
    client = client_of(start(webhook_url=receiver.url))
    intent = pay(client)
    for _ in range(3):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 500}, {"idempotency_key": "k"})
    last = client.v1.refunds.create({"payment_intent": intent.id, "amount": 1}).id
    receiver.wait_for(lambda event: event["type"] == "refund.created" and event["data"]["object"]["id"] == last)
    assert len(receiver.wait_for_type("refund.created")) == 2


def test_signatures_made_with_another_secret_do_not_verify(start: Start, receiver: Receiver) -> None:
    client = client_of(start(webhook_url=receiver.url, webhook_secret="whsec_right"))
    pay(client)
    (delivery,) = receiver.wait_for_type("payment_intent.succeeded")
    assert verified(delivery, "whsec_right").type == "payment_intent.succeeded"
    with pytest.raises(stripe.SignatureVerificationError):
        verified(delivery, "whsec_wrong")


def test_a_delivery_is_repeated_with_the_same_id_until_the_shop_takes_it(start: Start, receiver: Receiver) -> None:
    receiver.answers = [500, 503]
    client = client_of(start(webhook_url=receiver.url))
    pay(client)
    deliveries = receiver.wait_for(lambda event: event["type"] == "charge.succeeded", count=2)
    assert deliveries[0].body == deliveries[1].body
    assert {verified(delivery).id for delivery in deliveries} == {deliveries[0].event["id"]}


def test_payments_refunds_keys_and_undelivered_events_survive_a_crash(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    receiver.answers = [500] * 2  # charge.succeeded and payment_intent.succeeded are not taken at first
    server = start(state=tmp_path / "sandbox", webhook_url=receiver.url)
    client = client_of(server)
    intent = pay(client)
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 500}, {"idempotency_key": "k"})
    server.kill()
    server.start()
    client = client_of(server)
    assert client.v1.refunds.create({"payment_intent": intent.id, "amount": 500}, {"idempotency_key": "k"}).id == refund.id
    assert [item.id for item in client.v1.refunds.list({"payment_intent": intent.id}).data] == [refund.id]
    for event_type in ("charge.succeeded", "payment_intent.succeeded", "refund.created", "charge.refunded"):
        assert receiver.wait_for_type(event_type)


def test_a_payment_can_be_laid_down_for_a_demo_once(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    wish = {"id": "pi_demo1042", "amount": 1820, "currency": "eur", "brand": "mastercard", "last4": "1881", "created": 1767225600}
    for _ in range(2):
        assert sandbox.post("payments", **wish)["status"] == "succeeded"
    (intent,) = client.v1.payment_intents.list().data
    charge = client.v1.charges.retrieve(str(intent.latest_charge)).to_dict()
    card = charge["payment_method_details"]["card"]
    assert (intent.id, charge["created"], card["brand"], card["last4"]) == ("pi_demo1042", 1767225600, "mastercard", "1881")
    with pytest.raises(urllib.error.HTTPError) as caught:
        sandbox.post("payments", **{**wish, "amount": 1})
    caught.value.close()


def test_the_page_shows_that_money_moved_and_trusts_no_text(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = sandbox.post("payments", amount=1820, currency="eur", description="<script>alert(1)</script>")
    client.v1.refunds.create({"payment_intent": intent["id"], "amount": 500})
    with urllib.request.urlopen(sandbox.url + "/", timeout=10) as answer:
        page = answer.read().decode()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "€5.00" in page
    assert intent["id"] in page
    assert "<script>" not in page


def press(sandbox: SandboxServer, form: dict[str, str]) -> int:
    """Send a form of the page as a browser would; return the status after redirects."""
    request = urllib.request.Request(f"{sandbox.url}/_sandbox/form", urllib.parse.urlencode(form).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_the_buttons_of_the_page_do_what_they_say_and_work_only_from_the_page(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    intent = pay(client)
    with urllib.request.urlopen(sandbox.url + "/", timeout=10) as answer:
        page = answer.read().decode()
    (token,) = set(re.findall(r'name="token" value="([^"]+)"', page))
    assert press(sandbox, {"token": token, "path": "disputes", "payment_intent": intent.id}) == 200
    assert [dispute.payment_intent for dispute in client.v1.disputes.list().data] == [intent.id]
    assert press(sandbox, {"token": token, "path": "faults", "kind": "status", "status": "429"}) == 200
    assert sandbox.get("state")["faults"][0]["status"] == 429
    assert press(sandbox, {"token": "guessed", "path": "reset"}) == 403
    assert press(sandbox, {"path": "reset"}) == 403
    assert client.v1.disputes.list().data != []


def test_the_steering_endpoints_refuse_what_a_foreign_web_page_could_send(sandbox: SandboxServer) -> None:
    request = urllib.request.Request(f"{sandbox.url}/_sandbox/reset", b"{}", {"Content-Type": "text/plain"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as refused:
        assert refused.code == 415
