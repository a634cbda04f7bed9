"""The sandbox's objects have the names and types of Stripe's published sample objects.

`stripe_fields.json` holds those names and types. Where the samples themselves are at hand (a path in STRIPE_SAMPLES, or beside
the repository), the table is compared with them, so that it cannot drift.
"""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from tests.demo.conftest import client_of
from tests.demo.test_sandbox_refunds import pay

ROOT = Path(__file__).resolve().parents[2]
FIELDS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "stripe_fields.json").read_text())
SAMPLES = Path(os.environ.get("STRIPE_SAMPLES", ROOT.parent / "shared" / "stripe" / "fixtures3.json"))

# Left out of the table: an event can be about anything, and `source` is only filled for the old Sources API.
OPEN = {("event", "data"), ("charge", "source")}


def shape(value: Any) -> Any:
    """Return names and types of a JSON value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str() | Decimal():  # the SDK reads "…_decimal" for us
            return "string"
        case list():
            return "array"
        case dict():
            return {name: shape(item) for name, item in value.items()}
    raise AssertionError(f"unexpected {value!r}")


def differences(answer: dict[str, Any], fields: dict[str, Any], path: str) -> list[str]:
    """Return what is missing or of another type; null is every type's absence."""
    found = []
    for name, expected in fields.items():
        place = f"{path}.{name}"
        if name not in answer:
            found.append(f"{place} is missing")
        elif isinstance(expected, dict) and isinstance(answer[name], dict):
            found += differences(answer[name], expected, place)
        elif expected != "null" and answer[name] is not None and shape(answer[name]) != expected:
            found.append(f"{place} is {shape(answer[name])}, not {expected}")
    return found


@pytest.fixture(scope="module")
def answers(sandbox_process: SandboxServer) -> dict[str, list[stripe.StripeObject]]:
    """Objects of every kind, in the states they can have."""
    sandbox = sandbox_process
    sandbox.post("reset")
    client = client_of(sandbox)
    intents = [pay(client, payment_method=method) for method in ("pm_card_visa", "pm_card_pendingRefund")]
    intents.append(client.v1.payment_intents.create({"amount": 1820, "currency": "usd"}))
    refunds = [client.v1.refunds.create({"payment_intent": intent.id, "amount": 500}) for intent in intents[:2]]
    failed = client.v1.refunds.create({"payment_intent": intents[0].id, "amount": 700})
    sandbox.post(f"refunds/{failed.id}/fail")
    authorised = client.v1.payment_intents.create(
        {"amount": 500, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    )
    sandbox.post("faults", kind="outcome", outcome="requires_action")
    waiting = client.v1.refunds.create({"payment_intent": intents[0].id, "amount": 100})
    return {
        "payment_intent": [client.v1.payment_intents.retrieve(intent.id) for intent in [*intents, authorised]],
        "charge": [client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]}) for intent in [*intents[:2], authorised]],
        "refund": [*refunds, waiting, client.v1.refunds.retrieve(failed.id)],
        "balance_transaction": list(client.v1.balance_transactions.list().data),
        **complaints(sandbox, client),
        **sales(sandbox, client),
        "event": list(client.v1.events.list({"limit": 100}).data),
    }


def complaints(sandbox: SandboxServer, client: stripe.StripeClient) -> dict[str, list[stripe.StripeObject]]:
    disputed, asked = pay(client), pay(client)
    sandbox.post("disputes", payment_intent=disputed.id)
    sandbox.post("disputes", payment_intent=asked.id, status="warning_needs_response")
    sandbox.post("early_fraud_warnings", payment_intent=asked.id)
    return {
        "dispute": list(client.v1.disputes.list().data),
        "radar.early_fraud_warning": list(client.v1.radar.early_fraud_warnings.list().data),
    }


def sales(sandbox: SandboxServer, client: stripe.StripeClient) -> dict[str, list[stripe.StripeObject]]:
    lines = [{"amount": 1190, "tax_percent": 19, "discount": 90}, {"amount": 200, "quantity": 2}]
    for mode in ("payment", "subscription", "invoice"):
        sandbox.post("sales", mode=mode, lines=lines)
    client.v1.checkout.sessions.create({"mode": "payment", "line_items": [{"price": client.v1.prices.list().data[0].id}]})
    sessions = client.v1.checkout.sessions.list().data
    invoices = client.v1.invoices.list({"expand": ["data.payments"]}).data
    (running,) = client.v1.subscriptions.list().data
    for invoice in invoices:
        note: Any = {"invoice": invoice.id, "amount": 100, "refund_amount": 100}
        client.v1.credit_notes.create(note)
    notes = client.v1.credit_notes.list().data
    taxed = [tax for line in invoices[0].lines.data for tax in line.taxes or []]
    return {
        "checkout.session": list(sessions),
        "item": [item for session in sessions for item in client.v1.checkout.sessions.line_items.list(session.id).data],
        "product": list(client.v1.products.list().data),
        "price": list(client.v1.prices.list().data),
        "tax_rate": [client.v1.tax_rates.retrieve(tax.tax_rate_details.tax_rate) for tax in taxed if tax.tax_rate_details],
        "customer": list(client.v1.customers.list().data),
        "subscription": [running],
        "subscription_item": list(running["items"].data),
        "invoice": list(client.v1.invoices.list().data),
        "line_item": [line for invoice in invoices for line in invoice.lines.data],
        "invoice_payment": [payment for invoice in invoices if invoice.payments for payment in invoice.payments.data],
        "credit_note": list(notes),
        "credit_note_line_item": [line for note in notes for line in note.lines.data],
    }


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_every_field_of_the_samples_is_there_with_its_type(answers: dict[str, list[stripe.StripeObject]], kind: str) -> None:
    assert answers[kind]
    for answer in answers[kind]:
        fields = {name: expected for name, expected in FIELDS[kind].items() if (kind, name) not in OPEN}
        assert differences(answer.to_dict(), fields, kind) == []


RESOURCES: dict[str, type[stripe.StripeObject]] = {
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "credit_note": stripe.CreditNote,
    "credit_note_line_item": stripe.CreditNoteLineItem,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "item": stripe.LineItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "price": stripe.Price,
    "product": stripe.Product,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
    "refund": stripe.Refund,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "tax_rate": stripe.TaxRate,
}


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_nothing_is_invented(answers: dict[str, list[stripe.StripeObject]], kind: str) -> None:
    for answer in answers[kind]:
        assert set(answer.to_dict()) <= set(RESOURCES[kind].__annotations__) | set(FIELDS[kind])


@pytest.mark.parametrize("kind", sorted(FIELDS) if SAMPLES.exists() else [])
def test_the_table_agrees_with_the_samples(kind: str) -> None:
    sample = shape(json.loads(SAMPLES.read_text())["resources"][kind])
    table = FIELDS[kind]
    assert {name: item for name, item in sample.items() if (kind, name) not in OPEN} == {
        name: item for name, item in table.items() if (kind, name) not in OPEN
    }
