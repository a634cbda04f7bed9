"""What Stripe's answers and errors mean.

What an error proves is decided from the transport and the HTTP status rather than the SDK's exception classes, because a
proxy in between may answer with anything.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import stripe
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from refund_plugin.errors import InvalidInput
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, ListedRefund, PaymentState, refuse_inside_transaction
from refund_plugin.gateways.sales import SubscriptionState
from refund_plugin.gateways.stripe_amounts import from_stripe_amount, read_amount
from refund_plugin.money import Money

logger = logging.getLogger(__name__)

Said = TypeVar("Said")
Result = TypeVar("Result")

# What reading a document raises that is not as it should be.
UNREADABLE = (ArithmeticError, AttributeError, InvalidInput, LookupError, OSError, TypeError, ValueError)

# Charges of integrations older than payment intents.
CHARGE_PREFIXES = ("ch_", "py_")
_STATUS_KINDS = {
    "pending": AnswerKind.PENDING,
    "requires_action": AnswerKind.PENDING,
    "succeeded": AnswerKind.SUCCEEDED,
    "failed": AnswerKind.FAILED,
    "canceled": AnswerKind.CANCELED,
}
# What is kept of a refund: no e-mail address, no instructions to the customer, and of the metadata only what is ours.
_KEPT_FIELDS = (
    "id",
    "object",
    "amount",
    "currency",
    "status",
    "pending_reason",
    "failure_reason",
    "reason",
    "charge",
    "payment_intent",
    "balance_transaction",
    "failure_balance_transaction",
    "created",
    "destination_details",
)
_KEPT_METADATA = ("refund_id", "reference", "installation")


def answer_to_refund(refund: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> GatewayAnswer:
    """Normalise a refund object; anything that is not clearly one proves nothing."""
    raw = kept_of_refund(refund)
    headers = headers or {}
    if headers.get("Request-Id"):
        raw["request_id"] = headers["Request-Id"]
    kind = _STATUS_KINDS.get(str(refund.get("status")))
    if refund.get("object") != "refund" or not refund.get("id") or kind is None:
        return unreadable(raw=raw)
    return GatewayAnswer(
        kind=kind,
        gateway_refund_id=refund["id"],
        amount=from_stripe_amount(refund["amount"], refund["currency"]),
        code=refund.get("failure_reason") or refund.get("pending_reason") or "",
        trace_reference=_trace_reference(refund),
        idempotent_replayed=is_replayed(headers),
        raw=raw,
    )


def kept_of_refund(refund: Mapping[str, Any]) -> dict[str, object]:
    """Return what of a refund may be kept for good."""
    kept: dict[str, object] = {name: refund[name] for name in _KEPT_FIELDS if name in refund}
    metadata = refund.get("metadata") or {}
    return {**kept, "metadata": {name: metadata[name] for name in _KEPT_METADATA if name in metadata}}


def listed_refund(refund: Mapping[str, Any]) -> ListedRefund:
    """Read a refund of a listing."""
    return ListedRefund(
        gateway_refund_id=refund["id"],
        gateway_payment_id=payment_id_of(refund),
        refund_id=our_id(refund),
        installation=installation_of(refund),
        created=at(refund["created"]),
        answer=answer_to_refund(refund),
        charge_id=charge_id_of(refund),
    )


def payment_state(payment: Mapping[str, Any]) -> PaymentState:
    """Read a payment intent whose `latest_charge.balance_transaction` is expanded, or a charge of an older integration."""
    intent = payment if payment["object"] == "payment_intent" else None
    charge = (payment.get("latest_charge") or {}) if intent else payment
    transaction = charge.get("balance_transaction") or {}
    details = charge.get("payment_method_details") or {}
    method = str(details.get("type") or "")
    currency = payment["currency"]
    if intent:
        is_captured, is_canceled = intent["status"] == "succeeded", intent["status"] == "canceled"
        captured = intent["amount_received"] if is_captured else intent["amount_capturable"]
    else:
        # a charge that was refunded before it was captured is released
        is_captured, is_canceled = charge["captured"], charge["refunded"] and not charge["captured"]
        captured = charge["amount_captured"] if is_captured else charge["amount"]
    return PaymentState(
        gateway_payment_id=payment["id"],
        captured=read_amount(0 if is_canceled else captured, currency),
        refunded=read_amount(charge.get("amount_refunded") or 0 if is_captured else 0, currency),
        is_captured=is_captured,
        is_canceled=is_canceled,
        disputed=bool(charge.get("disputed")),
        method=method,
        brand=str((details.get(method) or {}).get("brand") or ""),
        last4=str((details.get(method) or {}).get("last4") or ""),
        paid_at=at(charge["created"]) if charge else None,
        settlement=read_amount(transaction["amount"], transaction["currency"]) if transaction else None,
        fee=read_amount(transaction["fee"], transaction["currency"]) if transaction else None,
        charge_id=charge.get("id") or "",
    )


def most_captured(payment: Mapping[str, Any]) -> Money:
    """Return the most that a payment intent or a charge can ever have had to refund.

    That is what was authorised, of which a part may be captured later, or what was captured, which may be more (overcapture).
    """
    captured = payment["amount_received"] if payment["object"] == "payment_intent" else payment["amount_captured"]
    return read_amount(max(payment["amount"], captured), payment["currency"])


def subscription_state(subscription: Mapping[str, Any]) -> SubscriptionState:
    """Read a subscription; its items carry the period, and the one that is paid longest counts."""
    ends = [item["current_period_end"] for item in (subscription.get("items") or {}).get("data") or [] if item.get("current_period_end")]
    return SubscriptionState(
        subscription_id=subscription["id"],
        status=subscription["status"],
        is_ended=subscription["status"] in ("canceled", "incomplete_expired"),
        canceled_at=at(subscription["canceled_at"]) if subscription.get("canceled_at") else None,
        current_period_end=at(max(ends)) if ends else None,
        cancel_at_period_end=bool(subscription.get("cancel_at_period_end")),
    )


def answer_to_error(error: stripe.StripeError) -> GatewayAnswer:
    """Decide what an error proves (the notes (1) and (2) of the refund's transition table)."""
    if isinstance(error, stripe.APIConnectionError) and error.http_status is None:
        return _answer_to_silence(error)
    said = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    said = said if isinstance(said, dict) else {}
    status, error_type = error.http_status, str(said.get("type") or "")
    code = str(said.get("code") or ("rate_limit" if status == 429 else error_type) or f"http_{status}")
    hold, retry_after = False, None
    if status in (401, 403):
        kind, hold = AnswerKind.NOT_EXECUTED, True
    elif status == 429 or code == "rate_limit":
        kind, retry_after = AnswerKind.NOT_EXECUTED, _retry_after(error)
    elif error_type == "idempotency_error" or code == "charge_already_refunded":
        kind = AnswerKind.MAYBE_EXECUTED  # perhaps by an earlier attempt of ours: look, do not conclude
    elif status in (400, 402, 404) and error_type:
        kind = AnswerKind.DEFINITIVE_NO
    else:
        kind = AnswerKind.MAYBE_EXECUTED  # 409, 5xx, and whatever did not come from Stripe itself
    return GatewayAnswer(
        kind=kind,
        code=code,
        message=str(said.get("message") or ""),
        hold=hold,
        retry_after_seconds=retry_after,
        idempotent_replayed=is_replayed(error.headers or {}),
        raw={
            "http_status": status,
            "request_id": error.request_id,
            "error": {name: said[name] for name in ("type", "code", "decline_code", "message", "param") if name in said},
        },
    )


def _answer_to_silence(error: stripe.APIConnectionError) -> GatewayAnswer:
    """Tell a request that was never sent from one whose answer never came."""
    causes = list(_causes(error))
    never_sent = any(isinstance(cause, (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)) for cause in causes)
    return GatewayAnswer(
        kind=AnswerKind.NOT_EXECUTED if never_sent else AnswerKind.MAYBE_EXECUTED,
        code="connection_failed" if never_sent else "no_answer",
        message=type(causes[-1]).__name__,
        raw={"causes": [type(cause).__name__ for cause in causes]},
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down an exception's chain; urllib3 hides its reason in an attribute or an argument."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        reason = getattr(current, "reason", None)
        argument = current.args[0] if current.args else None
        hidden = [inner for inner in (reason, argument) if isinstance(inner, BaseException)]
        current = hidden[0] if hidden else (current.__cause__ or current.__context__)


def is_payment_session(session: Mapping[str, Any]) -> bool:
    """Tell whether a Checkout session sells something by itself: one that starts a subscription is told by its first invoice."""
    return bool(session["mode"] == "payment" and session["payment_status"] != "no_payment_required")


def ask(call: Callable[[], Said], read: Callable[[Said], Result]) -> Result | GatewayAnswer:
    """Make a call and read what it answers; an answer says what went wrong, also when nobody could read it."""
    refuse_inside_transaction()
    try:
        return read(call())
    except stripe.StripeError as error:
        return answer_to_error(error)
    except UNREADABLE as error:
        logger.warning("an answer of Stripe could not be read", exc_info=True)
        return unreadable(type(error).__name__)


def look(call: Callable[[], Said], read: Callable[[Said], Result]) -> Result | GatewayAnswer:
    """Make a call that only reads: a refusal says nothing about the money, so it is never a "no"."""
    result = ask(call, read)
    return as_reading(result) if isinstance(result, GatewayAnswer) else result


def as_reading(answer: GatewayAnswer) -> GatewayAnswer:
    """Return the answer of a read, of which a refusal proves nothing."""
    return replace(answer, kind=AnswerKind.MAYBE_EXECUTED) if answer.kind == AnswerKind.DEFINITIVE_NO else answer


def unreadable(message: str = "", raw: Mapping[str, object] | None = None) -> GatewayAnswer:
    """Return the answer for what is clearly nothing: it proves nothing."""
    return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="unreadable_answer", message=message, raw=raw or {})


def at(seconds: int) -> datetime:
    """Return Stripe's time, UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def payment_id_of(about: Mapping[str, Any]) -> str:
    """Return the payment that a refund, a dispute or a charge names: charges of older integrations have no payment intent."""
    return about.get("payment_intent") or about.get("charge") or (about["id"] if about["object"] == "charge" else "")


def charge_id_of(about: Mapping[str, Any]) -> str:
    """Return the charge behind the payment that `payment_id_of` returns: orders of older integrations name that one."""
    if about.get("object") == "charge":
        return str(about["id"])
    return str(about.get("charge") or about.get("latest_charge") or "")


def payment_param(gateway_payment_id: str) -> dict[str, str]:
    """Return the parameter that names a payment."""
    return {"charge" if gateway_payment_id.startswith(CHARGE_PREFIXES) else "payment_intent": gateway_payment_id}


def _retry_after(error: stripe.StripeError) -> float | None:
    value = (error.headers or {}).get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d+)?", value) else None


def our_id(refund: Mapping[str, Any]) -> UUID | None:
    """Return our UUID from a refund's metadata."""
    try:
        return UUID((refund.get("metadata") or {}).get("refund_id", ""))
    except ValueError:
        return None  # made in the dashboard, or by another program


def installation_of(refund: Mapping[str, Any]) -> str:
    """Return which installation's metadata a refund carries."""
    return str((refund.get("metadata") or {}).get("installation") or "")


def is_replayed(headers: Mapping[str, str]) -> bool:
    """Tell whether Stripe repeated a stored answer."""
    return headers.get("Idempotent-Replayed") == "true"


def _trace_reference(refund: Mapping[str, Any]) -> str:
    """Return the number a bank can search for, once Stripe has it; every payment method keeps it under its own name."""
    details = refund.get("destination_details") or {}
    method = details.get(details.get("type")) or {}
    return str(method.get("reference") or "") if method.get("reference_status") == "available" else ""
