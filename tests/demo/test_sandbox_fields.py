"""The sandbox's objects have the names and types of Stripe's published sample objects.

`stripe_fields.json` holds those names and types. Where the samples themselves are at hand (a path in STRIPE_SAMPLES, or beside
the repository), the table is compared with them, so that it cannot drift.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
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
        case str():
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


@pytest.fixture
def answers(sandbox: SandboxServer, client: stripe.StripeClient) -> dict[str, list[stripe.StripeObject]]:
    """Objects of every kind, in the states they can have."""
    intents = [pay(client, payment_method=method) for method in ("pm_card_visa", "pm_card_pendingRefund")]
    intents.append(client.v1.payment_intents.create({"amount": 1820, "currency": "usd"}))
    refunds = [client.v1.refunds.create({"payment_intent": intent.id, "amount": 500}) for intent in intents[:2]]
    failed = client.v1.refunds.create({"payment_intent": intents[0].id, "amount": 700})
    sandbox.post(f"refunds/{failed.id}/fail")
    return {
        "payment_intent": [client.v1.payment_intents.retrieve(intent.id) for intent in intents],
        "charge": [client.v1.charges.retrieve(str(intent.latest_charge), {"expand": ["refunds"]}) for intent in intents[:2]],
        "refund": [*refunds, client.v1.refunds.retrieve(failed.id)],
        "event": list(client.v1.events.list().data),
    }


@pytest.mark.parametrize("kind", sorted(FIELDS))
def test_every_field_of_the_samples_is_there_with_its_type(answers: dict[str, list[stripe.StripeObject]], kind: str) -> None:
    assert answers[kind]
    for answer in answers[kind]:
        fields = {name: expected for name, expected in FIELDS[kind].items() if (kind, name) not in OPEN}
        assert differences(answer.to_dict(), fields, kind) == []


@pytest.mark.parametrize(
    ("kind", "resource"),
    [("payment_intent", stripe.PaymentIntent), ("charge", stripe.Charge), ("refund", stripe.Refund), ("event", stripe.Event)],
)
def test_nothing_is_invented(answers: dict[str, list[stripe.StripeObject]], kind: str, resource: type[stripe.StripeObject]) -> None:
    for answer in answers[kind]:
        assert set(answer.to_dict()) <= set(resource.__annotations__) | set(FIELDS[kind])


@pytest.mark.parametrize("kind", sorted(FIELDS) if SAMPLES.exists() else [])
def test_the_table_agrees_with_the_samples(kind: str) -> None:
    sample = shape(json.loads(SAMPLES.read_text())["resources"][kind])
    table = FIELDS[kind]
    assert {name: item for name, item in sample.items() if (kind, name) not in OPEN} == {
        name: item for name, item in table.items() if (kind, name) not in OPEN
    }
