"""/v1/balance_transactions: what fees were taken, and what a payment was worth in the merchant's currency."""

from __future__ import annotations

from demo.sandbox.api.call import Call
from demo.sandbox.objects import Object


def retrieve(call: Call, transaction_id: str) -> Object:
    """GET /v1/balance_transactions/:id."""
    return call.one("balance_transaction", transaction_id)


def list_all(call: Call) -> Object:
    """GET /v1/balance_transactions."""
    return call.many("balance_transaction", filters=("source", "type"))
