"""/v1/refunds."""

from __future__ import annotations

from demo.sandbox.api.call import Call
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import Object
from demo.sandbox.params import merge_metadata

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(call: Call) -> Object:
    """POST /v1/refunds."""
    params = call.params
    amount = params.integer("amount", minimum=1)
    intent_id, charge_id = params.string("payment_intent"), params.string("charge")
    reason = params.string("reason", choices=REASONS)
    metadata = merge_metadata({}, params.metadata())
    expand = params.strings("expand")
    params.finish()
    if (intent_id is None) == (charge_id is None):
        raise ApiError(
            400, "One of the following params should be provided for this request: payment_intent or charge.", code="parameter_missing"
        )
    if intent_id is not None:
        charge_id = call.find("payment_intent", intent_id, param="payment_intent")["latest_charge"]
    charge = call.find("charge", charge_id, param="charge") if charge_id is not None else None
    if charge is None or not charge["captured"]:
        message = "This PaymentIntent does not have a successful charge to refund."
        raise ApiError(400, message, code="payment_intent_unexpected_state", param="payment_intent", stored=True)
    refund = call.bank.refund(charge, amount=amount, reason=reason, metadata=metadata, cause=call.cause)
    return call.expand(refund, expand)


def retrieve(call: Call, refund_id: str) -> Object:
    """GET /v1/refunds/:id."""
    return call.one("refund", refund_id)


def update(call: Call, refund_id: str) -> Object:
    """POST /v1/refunds/:id: only metadata can be changed."""
    change = call.params.metadata()
    expand = call.params.strings("expand")
    call.params.finish()
    refund = call.find("refund", refund_id)
    previous = {"metadata": refund["metadata"]}
    refund["metadata"] = merge_metadata(refund["metadata"], change)
    call.store.update(call.account, refund)
    call.bank.tell("refund.updated", refund, call.cause, previous=previous)
    return call.expand(refund, expand)


def cancel(call: Call, refund_id: str) -> Object:
    """POST /v1/refunds/:id/cancel: only while the customer has to say where the money shall go."""
    expand = call.params.strings("expand")
    call.params.finish()
    refund = call.find("refund", refund_id)
    if refund["status"] != "requires_action":
        message = f"Refunds can only be canceled while they require action; this one is {refund['status']}."
        raise ApiError(400, message, stored=True)
    return call.expand(call.bank.cancel(refund, call.cause), expand)


def list_all(call: Call) -> Object:
    """GET /v1/refunds."""
    return call.many("refund", filters=("payment_intent", "charge"))
