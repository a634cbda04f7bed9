"""Stripe's webhooks: proving that they are Stripe's, what they tell, and what of them may be kept."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import stripe

from refund_plugin.errors import WebhookRejected
from refund_plugin.gateways.base import WebhookFact
from refund_plugin.gateways.facts import (
    WebhookDispute,
    WebhookPayment,
    WebhookRefund,
    WebhookSale,
    WebhookSubscription,
    WebhookWarning,
)
from refund_plugin.gateways.stripe_amounts import read_amount
from refund_plugin.gateways.stripe_reading import (
    UNREADABLE,
    answer_to_refund,
    at,
    charge_id_of,
    installation_of,
    is_payment_session,
    kept_of_refund,
    our_id,
    payment_id_of,
    subscription_state,
)

logger = logging.getLogger(__name__)

TOLERANCE_SECONDS = 300
FUTURE_SECONDS = 60  # the SDK accepts any future timestamp, which would let one captured event live for ever

_OPEN_DISPUTES = frozenset({"warning_needs_response", "warning_under_review", "needs_response", "under_review"})

# What is kept of an event for good, by the kind of object it is about: what `read_event` reads, and no personal data.
_KEPT: dict[str, Any] = {
    "charge": {"amount_captured": ..., "captured": ..., "currency": ..., "payment_intent": ..., "refunded": ..., "created": ...},
    "checkout.session": {"mode": ..., "payment_status": ..., "payment_intent": ..., "invoice": ..., "subscription": ..., "created": ...},
    "dispute": {
        "amount": ...,
        "balance_transactions": {"id": ..., "object": ..., "amount": ..., "currency": ..., "fee": ...},
        "charge": ...,
        "created": ...,
        "currency": ...,
        "evidence_details": {"due_by": ...},
        "payment_intent": ...,
        "reason": ...,
        "status": ...,
    },
    "invoice": {"amount_paid": ..., "billing_reason": ..., "currency": ..., "number": ..., "status": ..., "created": ...},
    "payment_intent": {"amount": ..., "amount_received": ..., "currency": ..., "latest_charge": ..., "status": ..., "created": ...},
    "radar.early_fraud_warning": {"actionable": ..., "charge": ..., "created": ..., "fraud_type": ..., "payment_intent": ...},
    "subscription": {
        "cancel_at_period_end": ...,
        "canceled_at": ...,
        "created": ...,
        "items": {"data": {"current_period_end": ...}},
        "status": ...,
    },
}


def verified_event(*, body: bytes, signature: str, secret: str, now: datetime) -> dict[str, Any]:
    """Return the event of a webhook; see `Gateway.verify_webhook`."""
    if not secret:
        raise WebhookRejected  # with an empty secret anybody could sign
    try:
        # the tolerance is ours to check: the SDK would read the clock itself
        stripe.WebhookSignature.verify_header(body, signature, secret, None)
        event = json.loads(body)
    except (stripe.SignatureVerificationError, ValueError) as error:
        raise WebhookRejected from error
    _refuse_wrong_time(signature, now)
    if not isinstance(event, dict):
        raise WebhookRejected
    return event


def read_event(event: Mapping[str, Any]) -> WebhookFact | None:
    """Return what an event tells; see `Gateway.read_event`."""
    read = _READERS.get(str(event.get("type")))
    if read is None:
        return None
    try:
        head = {
            "event_id": event["id"],
            "event_type": event["type"],
            "livemode": event["livemode"],
            "created": at(event["created"]),
        }
        return read(event["data"]["object"], head)
    except UNREADABLE:
        # such as a currency that no purchase of ours can have
        logger.warning("event %s of Stripe (%s) could not be read", event.get("id"), event.get("type"), exc_info=True)
        return None


def kept_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an event may be kept for good, in the shape it came in; see `Gateway.kept_of`."""
    about = (event.get("data") or {}).get("object") or {}
    head = {name: event[name] for name in ("id", "object", "type", "livemode", "created", "api_version") if name in event}
    kind = str(about.get("object"))
    kept = kept_of_refund(about) if kind == "refund" else _pick(about, {"id": ..., "object": ..., **_KEPT.get(kind, {})})
    return {**head, "data": {"object": kept}}


def _pick(value: Any, wanted: Any) -> Any:
    """Copy what is wanted: everything (`...`), or these names of an object or of every object in a list."""
    if wanted is ...:
        return value
    if isinstance(value, list):
        return [_pick(item, wanted) for item in value]
    if not isinstance(value, Mapping):
        return None
    return {name: _pick(value[name], inner) for name, inner in wanted.items() if name in value}


def listed_dispute(dispute: Mapping[str, Any]) -> WebhookDispute:
    """Read a dispute of a listing; see `DisputePage`."""
    return _dispute(dispute, {"event_id": "", "event_type": "", "livemode": dispute["livemode"], "created": at(dispute["created"])})


def _refund(refund: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookRefund:
    return WebhookRefund(
        gateway_payment_id=payment_id_of(refund),
        refund_id=our_id(refund),
        installation=installation_of(refund),
        refunded_at=at(refund["created"]) if "created" in refund else head["created"],
        answer=answer_to_refund(refund),
        charge_id=charge_id_of(refund),
        **head,
    )


def _dispute(dispute: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookDispute:
    status = str(dispute["status"])
    # one for the money that went, with the fee, and one when it comes back; all in the currency that the account is paid out in
    movements = dispute.get("balance_transactions") or []
    currency = movements[0]["currency"] if movements else ""
    due_by = (dispute.get("evidence_details") or {}).get("due_by")
    return WebhookDispute(
        dispute_id=dispute["id"],
        gateway_payment_id=payment_id_of(dispute),
        status=status,
        amount=read_amount(dispute["amount"], dispute["currency"]),
        reason=str(dispute.get("reason") or ""),
        is_inquiry=status.startswith("warning_"),
        is_open=status in _OPEN_DISPUTES,
        is_won=status == "won",
        is_lost=status == "lost",
        evidence_due=at(due_by) if due_by else None,
        opened_at=at(dispute["created"]) if "created" in dispute else None,
        fee=read_amount(sum(movement["fee"] for movement in movements), currency) if movements else None,
        moved=read_amount(sum(movement["amount"] for movement in movements), currency) if movements else None,
        came_back=any(movement["amount"] > 0 for movement in movements),
        charge_id=charge_id_of(dispute),
        **head,
    )


def _warning(warning: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookWarning:
    return WebhookWarning(
        warning_id=warning["id"],
        gateway_payment_id=payment_id_of(warning),
        fraud_type=str(warning.get("fraud_type") or ""),
        actionable=bool(warning["actionable"]),
        charge_id=charge_id_of(warning),
        **head,
    )


def _payment_intent(intent: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookPayment:
    is_captured = intent["status"] == "succeeded"
    return WebhookPayment(
        gateway_payment_id=intent["id"],
        captured=read_amount(intent["amount_received"] if is_captured else 0, intent["currency"]),
        is_captured=is_captured,
        is_canceled=intent["status"] == "canceled",
        charge_id=charge_id_of(intent),
        **head,
    )


def _captured_charge(charge: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookPayment:
    return WebhookPayment(
        gateway_payment_id=payment_id_of(charge),
        captured=read_amount(charge["amount_captured"], charge["currency"]),
        is_captured=True,
        is_canceled=False,
        charge_id=charge_id_of(charge),
        **head,
    )


def _session(session: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookSale | None:
    return WebhookSale(source_id=session["id"], kind="checkout_session", **head) if is_payment_session(session) else None


def _invoice(invoice: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookSale | None:
    return WebhookSale(source_id=invoice["id"], kind="invoice", **head) if invoice["amount_paid"] > 0 else None


def _subscription(subscription: Mapping[str, Any], head: Mapping[str, Any]) -> WebhookSubscription:
    return WebhookSubscription(subscription=subscription_state(subscription), **head)


_READERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], WebhookFact | None]] = {
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed"), _refund),
    **dict.fromkeys(
        [f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")], _dispute
    ),
    **dict.fromkeys(("radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"), _warning),
    **dict.fromkeys(("payment_intent.succeeded", "payment_intent.canceled"), _payment_intent),
    "charge.captured": _captured_charge,
    **dict.fromkeys(("checkout.session.completed", "checkout.session.async_payment_succeeded"), _session),
    "invoice.paid": _invoice,
    **dict.fromkeys(("customer.subscription.updated", "customer.subscription.deleted"), _subscription),
}


def _refuse_wrong_time(signature: str, now: datetime) -> None:
    # the first t is the one that was signed; the SDK reads it leniently ("+1", " 1", "1=x"), so whatever is not plain is refused
    signed = next((item for item in signature.split(",") if item.partition("=")[0] == "t"), "")
    match = re.fullmatch(r"t=([0-9]{1,12})", signed)
    age_seconds = now.timestamp() - int(match[1]) if match else None
    if age_seconds is None or not -FUTURE_SECONDS <= age_seconds <= TOLERANCE_SECONDS:
        raise WebhookRejected
