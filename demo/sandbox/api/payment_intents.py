"""/v1/payment_intents and /v1/charges."""

from __future__ import annotations

from typing import Any

from demo.sandbox import objects
from demo.sandbox.api.call import Call
from demo.sandbox.currencies import check_charge, check_currency
from demo.sandbox.errors import ApiError, missing_object
from demo.sandbox.objects import PAYMENT_METHODS, Object
from demo.sandbox.params import Form, Params, merge_metadata

CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
CANCELLATION_REASONS = ("abandoned", "duplicate", "fraudulent", "requested_by_customer")


def create(call: Call) -> Object:
    """POST /v1/payment_intents."""
    params = call.params
    amount = params.integer("amount", required=True, minimum=1)
    currency = params.string("currency", required=True)
    assert amount is not None and currency is not None
    check_currency(currency)
    confirm = params.boolean("confirm")
    payment_method = params.string("payment_method")
    given: dict[str, Any] = {
        name: value
        for name in ("description", "receipt_email", "statement_descriptor_suffix")
        if (value := params.string(name)) is not None
    }
    given["metadata"] = merge_metadata({}, params.metadata())
    params.string("return_url")
    params.string("confirmation_method", choices=("automatic", "manual"))
    if capture_method := params.string("capture_method", choices=("automatic", "automatic_async", "manual")):
        given["capture_method"] = capture_method
    if types := params.strings("payment_method_types"):
        given |= {"payment_method_types": types, "automatic_payment_methods": None}
    elif (automatic := params.raw("automatic_payment_methods")) is not None:
        given["automatic_payment_methods"] = _automatic(automatic)
    expand = params.strings("expand")
    params.finish()
    check_charge(amount, currency)
    if confirm and payment_method is None:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise ApiError(400, message, code="payment_intent_unexpected_state", stored=True)
    if payment_method is not None and payment_method not in PAYMENT_METHODS:
        raise missing_object("PaymentMethod", payment_method, param="payment_method", status=400)
    intent = objects.payment_intent(
        id=objects.new_id("pi"), amount=amount, currency=currency, created=int(call.clock.now()), payment_method=payment_method, **given
    )
    if payment_method is not None:
        intent["status"] = "requires_confirmation"
    call.store.insert(call.account, intent)
    if confirm and payment_method is not None:
        _confirm(call, intent, payment_method)
    return call.expand(intent, expand)


def confirm(call: Call, intent_id: str) -> Object:
    """POST /v1/payment_intents/:id/confirm."""
    payment_method = call.params.string("payment_method")
    call.params.string("return_url")
    expand = call.params.strings("expand")
    call.params.finish()
    intent = call.find("payment_intent", intent_id, param="intent")
    payment_method = payment_method or intent["payment_method"]
    if intent["status"] not in ("requires_confirmation", "requires_payment_method") or payment_method is None:
        message = f"This PaymentIntent's status is {intent['status']}; it cannot be confirmed."
        raise ApiError(400, message, code="payment_intent_unexpected_state", stored=True)
    if payment_method not in PAYMENT_METHODS:
        raise missing_object("PaymentMethod", payment_method, param="payment_method", status=400)
    _confirm(call, intent, payment_method)
    return call.expand(intent, expand)


def capture(call: Call, intent_id: str) -> Object:
    """POST /v1/payment_intents/:id/capture."""
    amount = call.params.integer("amount_to_capture", minimum=1)
    expand = call.params.strings("expand")
    call.params.finish()
    intent = call.find("payment_intent", intent_id, param="intent")
    if intent["status"] != "requires_capture":
        message = (
            f"This PaymentIntent could not be captured because it has a status of {intent['status']}. Only a PaymentIntent with one of the "
            "following statuses may be captured: requires_capture."
        )
        raise _unexpected_state(message, intent)
    amount = intent["amount_capturable"] if amount is None else amount
    if amount > intent["amount_capturable"]:
        message = "The amount_to_capture is greater than the amount that can be captured."
        raise ApiError(400, message, code="amount_too_large", param="amount_to_capture", stored=True)
    call.bank.capture(intent, call.find("charge", intent["latest_charge"]), amount, call.cause)
    return call.expand(intent, expand)


def cancel(call: Call, intent_id: str) -> Object:
    """POST /v1/payment_intents/:id/cancel."""
    reason = call.params.string("cancellation_reason", choices=CANCELLATION_REASONS)
    expand = call.params.strings("expand")
    call.params.finish()
    intent = call.find("payment_intent", intent_id, param="intent")
    if intent["status"] not in CANCELABLE:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}. Only a PaymentIntent with one of the "
            f"following statuses may be canceled: {', '.join(CANCELABLE)}."
        )
        raise _unexpected_state(message, intent)
    call.bank.release(intent, reason, call.cause)
    return call.expand(intent, expand)


def retrieve(call: Call, intent_id: str) -> Object:
    """GET /v1/payment_intents/:id."""
    return call.one("payment_intent", intent_id)


def list_all(call: Call) -> Object:
    """GET /v1/payment_intents."""
    return call.many("payment_intent", filters=("customer",))


def retrieve_charge(call: Call, charge_id: str) -> Object:
    """GET /v1/charges/:id."""
    return call.one("charge", charge_id)


def list_charges(call: Call) -> Object:
    """GET /v1/charges."""
    return call.many("charge", filters=("payment_intent",))


def _automatic(value: object) -> Form:
    if not isinstance(value, dict):
        raise ApiError(400, "Invalid object", param="automatic_payment_methods")
    inner = Params(value)
    enabled = inner.boolean("enabled")
    redirects = inner.string("allow_redirects", choices=("always", "never")) or "always"
    inner.finish()
    return {"allow_redirects": redirects, "enabled": enabled}


def _confirm(call: Call, intent: Object, payment_method: str) -> None:
    method = PAYMENT_METHODS[payment_method]
    if method.declined:
        error = {"code": "card_declined", "decline_code": "generic_decline", "message": "Your card was declined.", "type": "card_error"}
        intent |= {"status": "requires_payment_method", "payment_method": None, "last_payment_error": error}
        call.store.update(call.account, intent)
        raise ApiError(
            402,
            "Your card was declined.",
            type="card_error",
            code="card_declined",
            stored=True,
            extra={"decline_code": "generic_decline", "payment_intent": intent},
        )
    charge = call.bank.pay(intent, payment_method, method, call.cause)
    call.bank.tell_paid(intent, charge, call.cause)


def _unexpected_state(message: str, intent: Object) -> ApiError:
    return ApiError(400, message, code="payment_intent_unexpected_state", stored=True, extra={"payment_intent": intent})
