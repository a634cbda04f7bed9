"""What Stripe's events tell, and what of them is kept. The objects have the fields of API 2026-10-28 that matter here."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.gateways.base import AnswerKind, WebhookFact
from refund_plugin.gateways.facts import (
    WebhookDispute,
    WebhookPayment,
    WebhookRefund,
    WebhookSale,
    WebhookSubscription,
    WebhookWarning,
)
from refund_plugin.gateways.stripe_events import kept_of, read_event
from refund_plugin.money import Money

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
REFUND_ID = uuid4()

# Nothing of this may be kept.
PERSONAL = {
    "billing_details": {"email": "ada@example.com", "name": "Ada Lovelace", "phone": "+44 20 7946 0000"},
    "customer": "cus_ada",
    "customer_details": {"email": "ada@example.com", "name": "Ada Lovelace"},
    "customer_email": "ada@example.com",
    "description": "Book for ada@example.com",
    "evidence": {"customer_email_address": "ada@example.com", "customer_purchase_ip": "192.0.2.7"},
    "instructions_email": "ada@example.com",
    "receipt_email": "ada@example.com",
}
METADATA = {"note": "call Ada Lovelace"}

OBJECTS: dict[str, dict[str, Any]] = {
    "refund": {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "currency": "eur",
        "status": "succeeded",
        "payment_intent": "pi_1",
        "charge": "ch_1",
        "created": SECONDS - 60,
        "metadata": {**METADATA, "refund_id": str(REFUND_ID), "installation": "shop-1"},
    },
    "dispute": {
        "id": "dp_1",
        "object": "dispute",
        "amount": 1820,
        "currency": "eur",
        "status": "needs_response",
        "reason": "product_not_received",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "created": SECONDS,
        "evidence_details": {"due_by": SECONDS + 86400, "has_evidence": False, "past_due": False, "submission_count": 0},
        "metadata": METADATA,
    },
    "radar.early_fraud_warning": {
        "id": "issfr_1",
        "object": "radar.early_fraud_warning",
        "actionable": True,
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "created": SECONDS,
        "fraud_type": "unauthorized_use_of_card",
    },
    "payment_intent": {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2000,
        "amount_capturable": 0,
        "amount_received": 1820,
        "currency": "eur",
        "latest_charge": "ch_1",
        "status": "succeeded",
        "created": SECONDS,
        "metadata": METADATA,
    },
    "charge": {
        "id": "ch_1",
        "object": "charge",
        "amount": 2000,
        "amount_captured": 1500,
        "captured": True,
        "refunded": False,
        "currency": "eur",
        "payment_intent": "pi_1",
        "created": SECONDS,
        "metadata": METADATA,
    },
    "checkout.session": {
        "id": "cs_1",
        "object": "checkout.session",
        "mode": "payment",
        "payment_status": "paid",
        "payment_intent": "pi_1",
        "invoice": None,
        "subscription": None,
        "created": SECONDS,
        "metadata": METADATA,
    },
    "invoice": {
        "id": "in_1",
        "object": "invoice",
        "status": "paid",
        "amount_paid": 2380,
        "billing_reason": "subscription_cycle",
        "currency": "eur",
        "number": "A-1",
        "created": SECONDS,
        "metadata": METADATA,
    },
    "subscription": {
        "id": "sub_1",
        "object": "subscription",
        "status": "active",
        "cancel_at_period_end": True,
        "canceled_at": SECONDS - 5,
        "created": SECONDS - 500,
        "items": {"object": "list", "data": [{"id": "si_1", "current_period_end": SECONDS + 100}, {"current_period_end": SECONDS + 200}]},
        "metadata": METADATA,
    },
}
EVENTS = {
    "refund.created": "refund",
    "refund.updated": "refund",
    "refund.failed": "refund",
    "charge.dispute.created": "dispute",
    "charge.dispute.updated": "dispute",
    "charge.dispute.closed": "dispute",
    "charge.dispute.funds_withdrawn": "dispute",
    "charge.dispute.funds_reinstated": "dispute",
    "radar.early_fraud_warning.created": "radar.early_fraud_warning",
    "radar.early_fraud_warning.updated": "radar.early_fraud_warning",
    "payment_intent.succeeded": "payment_intent",
    "payment_intent.canceled": "payment_intent",
    "charge.captured": "charge",
    "checkout.session.completed": "checkout.session",
    "checkout.session.async_payment_succeeded": "checkout.session",
    "invoice.paid": "invoice",
    "customer.subscription.updated": "subscription",
    "customer.subscription.deleted": "subscription",
}


def event(event_type: str, **changes: Any) -> dict[str, Any]:
    about = {**PERSONAL, **OBJECTS[EVENTS[event_type]], **changes}
    return {
        "id": "evt_1",
        "object": "event",
        "type": event_type,
        "livemode": True,
        "created": SECONDS,
        "api_version": "2026-10-28.endive",
        "data": {"object": about, "previous_attributes": {"receipt_email": "ada@example.com"}},
        "request": {"id": "req_1", "idempotency_key": "key"},
    }


def read(event_type: str, **changes: Any) -> WebhookFact | None:
    return read_event(event(event_type, **changes))


@pytest.mark.parametrize("event_type", EVENTS)
def test_what_is_kept_tells_the_same_as_the_event_and_names_nobody(event_type: str) -> None:
    kept = kept_of(event(event_type))
    told = read_event(kept)
    assert told is not None
    assert told == read(event_type)
    assert (told.event_id, told.event_type, told.livemode, told.created) == ("evt_1", event_type, True, NOW)
    text = json.dumps(kept)
    assert not [word for word in ("ada@", "Ada", "cus_ada", "192.0.2.7", "7946") if word in text]


def test_of_an_event_that_is_not_used_only_its_head_is_kept() -> None:
    kept = kept_of({"id": "evt_2", "object": "event", "type": "customer.created", "data": {"object": {"object": "customer", **PERSONAL}}})
    assert kept == {"id": "evt_2", "object": "event", "type": "customer.created", "data": {"object": {"object": "customer"}}}
    assert read_event(kept) is None


def test_a_refund_tells_whose_it_is_and_when_it_was_made() -> None:
    told = read("refund.updated")
    assert isinstance(told, WebhookRefund)
    assert (told.gateway_payment_id, told.refund_id, told.installation) == ("pi_1", REFUND_ID, "shop-1")
    assert told.refunded_at == datetime.fromtimestamp(SECONDS - 60, UTC)
    assert (told.answer.kind, told.answer.gateway_refund_id, told.answer.amount) == (AnswerKind.SUCCEEDED, "re_1", Money(500, "EUR"))


def test_a_dispute_tells_how_much_and_until_when_to_answer() -> None:
    told = read("charge.dispute.created")
    assert isinstance(told, WebhookDispute)
    assert (told.dispute_id, told.gateway_payment_id, told.status, told.reason) == (
        "dp_1",
        "pi_1",
        "needs_response",
        "product_not_received",
    )
    assert told.amount == Money(1820, "EUR")
    assert told.evidence_due == datetime.fromtimestamp(SECONDS + 86400, UTC)


@pytest.mark.parametrize(
    ("status", "is_inquiry", "is_open", "is_won", "is_lost"),
    [
        ("warning_needs_response", True, True, False, False),
        ("warning_under_review", True, True, False, False),
        ("warning_closed", True, False, False, False),
        ("needs_response", False, True, False, False),
        ("under_review", False, True, False, False),
        ("won", False, False, True, False),
        ("lost", False, False, False, True),
    ],
)
def test_a_disputes_status_says_whether_money_was_taken_and_who_won(
    status: str, is_inquiry: bool, is_open: bool, is_won: bool, is_lost: bool
) -> None:
    told = read("charge.dispute.updated", status=status)
    assert isinstance(told, WebhookDispute)
    assert (told.is_inquiry, told.is_open, told.is_won, told.is_lost) == (is_inquiry, is_open, is_won, is_lost)


@pytest.mark.parametrize(("amounts", "moved", "came_back"), [((), None, False), ((-2000,), -2000, False), ((-2000, 1960), -40, True)])
def test_a_disputes_movements_say_whether_the_money_is_back(amounts: tuple[int, ...], moved: int | None, came_back: bool) -> None:
    movements = [{"id": "txn_1", "object": "balance_transaction", "amount": amount, "currency": "usd", "fee": 0} for amount in amounts]
    told = read("charge.dispute.closed", status="won", balance_transactions=movements)
    assert isinstance(told, WebhookDispute)
    assert (told.moved, told.came_back) == (None if moved is None else Money(moved, "USD"), came_back)


def test_a_dispute_of_an_old_integration_names_its_charge_and_perhaps_no_deadline() -> None:
    told = read("charge.dispute.created", payment_intent=None, evidence_details={"due_by": None})
    assert isinstance(told, WebhookDispute)
    assert (told.gateway_payment_id, told.evidence_due) == ("ch_1", None)


def test_a_dispute_in_a_currency_nobody_can_have_paid_in_tells_nothing() -> None:
    assert read("charge.dispute.created", currency="xxx") is None


def test_a_fraud_warning_says_whether_a_refund_still_helps() -> None:
    told = read("radar.early_fraud_warning.created")
    assert isinstance(told, WebhookWarning)
    assert (told.warning_id, told.gateway_payment_id, told.fraud_type, told.actionable) == (
        "issfr_1",
        "pi_1",
        "unauthorized_use_of_card",
        True,
    )


def test_a_payment_tells_what_was_captured_or_that_it_was_canceled() -> None:
    told = read("payment_intent.succeeded")
    assert isinstance(told, WebhookPayment)
    assert (told.gateway_payment_id, told.captured, told.is_captured, told.is_canceled) == ("pi_1", Money(1820, "EUR"), True, False)
    told = read("payment_intent.canceled", status="canceled", amount_received=0)
    assert isinstance(told, WebhookPayment)
    assert (told.captured, told.is_captured, told.is_canceled) == (Money(0, "EUR"), False, True)
    told = read("charge.captured")
    assert isinstance(told, WebhookPayment)
    assert (told.gateway_payment_id, told.captured, told.is_captured) == ("pi_1", Money(1500, "EUR"), True)


@pytest.mark.parametrize(
    ("event_type", "source_id", "kind"),
    [
        ("checkout.session.completed", "cs_1", "checkout_session"),
        ("checkout.session.async_payment_succeeded", "cs_1", "checkout_session"),
        ("invoice.paid", "in_1", "invoice"),
    ],
)
def test_a_sale_is_told_by_its_id(event_type: str, source_id: str, kind: str) -> None:
    told = read(event_type)
    assert isinstance(told, WebhookSale)
    assert (told.source_id, told.kind) == (source_id, kind)


@pytest.mark.parametrize(
    ("event_type", "changes"),
    [
        ("checkout.session.completed", {"mode": "subscription", "payment_intent": None}),
        ("checkout.session.completed", {"mode": "setup", "payment_intent": None}),
        ("checkout.session.completed", {"payment_intent": None, "payment_status": "no_payment_required"}),
        ("invoice.paid", {"amount_paid": 0}),
    ],
)
def test_what_another_event_tells_or_nobody_paid_for_is_no_sale(event_type: str, changes: dict[str, Any]) -> None:
    assert read(event_type, **changes) is None


def test_a_subscription_tells_until_when_it_is_paid_and_whether_it_ended() -> None:
    told = read("customer.subscription.updated")
    assert isinstance(told, WebhookSubscription)
    state = told.subscription
    assert (state.subscription_id, state.status, state.is_ended, state.cancel_at_period_end) == ("sub_1", "active", False, True)
    assert state.canceled_at == datetime.fromtimestamp(SECONDS - 5, UTC)
    assert state.current_period_end == datetime.fromtimestamp(SECONDS + 200, UTC)
    told = read("customer.subscription.deleted", status="canceled")
    assert isinstance(told, WebhookSubscription)
    assert told.subscription.is_ended


@pytest.mark.parametrize("event_type", EVENTS)
def test_an_event_without_its_object_is_logged_and_tells_nothing(event_type: str, caplog: pytest.LogCaptureFixture) -> None:
    assert read_event({**event(event_type), "data": {}}) is None
    assert "could not be read" in caplog.text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["data", "id", "object"]), inner, max_size=2),
    max_leaves=4,
)


@given(event_type=st.sampled_from(sorted(EVENTS)), damage=st.data())
def test_no_field_can_break_the_reading_of_an_event(event_type: str, damage: st.DataObject) -> None:
    about = OBJECTS[EVENTS[event_type]]
    name = damage.draw(st.sampled_from(sorted(set(about) - {"object"})))
    damaged = event(event_type, **{name: damage.draw(ANYTHING)})
    kept = kept_of(damaged)
    if (told := read_event(damaged)) is not None:
        assert read_event(kept) == told
