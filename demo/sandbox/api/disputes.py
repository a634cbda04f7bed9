"""/v1/disputes and /v1/radar/early_fraud_warnings."""

from __future__ import annotations

from demo.sandbox.api.call import Call
from demo.sandbox.objects import Object


def retrieve(call: Call, dispute_id: str) -> Object:
    """GET /v1/disputes/:id."""
    return call.one("dispute", dispute_id)


def list_all(call: Call) -> Object:
    """GET /v1/disputes."""
    return call.many("dispute", filters=("charge", "payment_intent"))


def retrieve_warning(call: Call, warning_id: str) -> Object:
    """GET /v1/radar/early_fraud_warnings/:id."""
    return call.one("radar.early_fraud_warning", warning_id)


def list_warnings(call: Call) -> Object:
    """GET /v1/radar/early_fraud_warnings."""
    return call.many("radar.early_fraud_warning", filters=("charge", "payment_intent"))
