"""Building the API's objects, with every field they have there. Values that the sandbox has no use for are null."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from typing import Any

from demo.sandbox.faults import Outcome

Object = dict[str, Any]


def new_id(prefix: str) -> str:
    """Return an id such as re_3f0c…; ids are opaque and unique."""
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """How somebody paid, and what becomes of refunds to it.

    Attributes:
        outcome: what becomes of refunds to it, unless a plan says something else.
    """

    brand: str
    last4: str
    type: str = "card"
    outcome: Outcome = Outcome("succeeded")
    declined: bool = False


# The names are Stripe's own test payment methods (docs.stripe.com/testing#refunds).
PAYMENT_METHODS = {
    "pm_card_visa": PaymentMethod("visa", "4242"),
    "pm_card_mastercard": PaymentMethod("mastercard", "4444"),
    "pm_card_amex": PaymentMethod("amex", "8431"),
    "pm_card_pendingRefund": PaymentMethod("visa", "7726", outcome=Outcome("pending_then_succeeded")),
    "pm_card_refundFail": PaymentMethod("visa", "5126", outcome=Outcome("fail_after_success")),
    "pm_card_chargeDeclined": PaymentMethod("visa", "0002", declined=True),
    "pm_usBankAccount_success": PaymentMethod("", "6789", type="us_bank_account", outcome=Outcome("pending_then_succeeded")),
}
PAYMENT_METHODS["pm_usBankAccount"] = PAYMENT_METHODS["pm_usBankAccount_success"]


def payment_intent(*, id: str, amount: int, currency: str, created: int, **given: Any) -> Object:
    """Return a payment intent that still needs a payment method."""
    return {
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{id}_secret_{secrets.token_hex(12)}",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **given,
    }


def charge(*, intent: Object, method: PaymentMethod, payment_method: str, created: int) -> Object:
    """Return the charge of a payment intent, authorised and not captured yet."""
    charge_id = new_id("ch" if method.type == "card" else "py")
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {
            "address": {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None},
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "calculated_statement_descriptor": "SANDBOX",
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": None,
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "approved_by_network",
            "reason": None,
            "seller_message": "Payment complete.",
            "type": "authorized",
        },
        "paid": True,
        "payment_intent": intent["id"],
        "payment_method": payment_method,
        "payment_method_details": _payment_method_details(intent["amount"], method),
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"https://receipts.invalid/{charge_id}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }


def refund(*, of: Object, amount: int, status: str, reason: str | None, metadata: dict[str, str], created: int) -> Object:
    """Return a refund of a charge, as it looks right after its creation."""
    body: Object = {
        "id": new_id("re" if of["id"].startswith("ch_") else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": of["id"],
        "created": created,
        "currency": of["currency"],
        "customer": None,
        "customer_account": None,
        "destination_details": _destination_details(of["payment_method_details"]["type"]),
        "metadata": metadata,
        "payment_intent": of["payment_intent"],
        "payment_method": of["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    if status == "pending":
        body["pending_reason"] = "processing"
    if status == "requires_action":
        sent = {"email_sent_at": created, "email_sent_to": "customer@shop.example"}
        display_details = {"email_sent": sent, "expires_at": created + 45 * 24 * 3600}
        body["next_action"] = {"display_details": display_details, "type": "display_details"}
        body["instructions_email"] = "customer@shop.example"
    return body


def balance_transaction(
    *, source: Object, type: str, amount: int, currency: str, created: int, fee: int = 0, rate: float = 1, description: str | None = None
) -> Object:
    """Return a movement on the merchant's balance.

    Args:
        amount, fee: in the smallest units of what the customer paid; `rate` turns them into the balance's `currency`.
    """
    is_exchanged = currency != source["currency"]
    amount, fee = round(amount * rate), round(fee * rate)
    details = {"amount": fee, "application": None, "currency": currency, "description": "Stripe processing fees", "type": "stripe_fee"}
    return {
        "id": new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": description,
        "exchange_rate": rate if is_exchanged else None,
        "fee": fee,
        "fee_details": [details] if fee else [],
        "net": amount - fee,
        "reporting_category": "dispute" if type == "adjustment" else type,
        "source": source["id"],
        "status": "available",
        "type": type,
    }


_EVIDENCE = """access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal
customer_communication customer_email_address customer_name customer_purchase_ip customer_signature duplicate_charge_documentation
duplicate_charge_explanation duplicate_charge_id product_description receipt refund_policy refund_policy_disclosure
refund_refusal_explanation service_date service_documentation shipping_address shipping_carrier shipping_date shipping_documentation
shipping_tracking_number uncategorized_file uncategorized_text"""


def dispute(*, of: Object, amount: int, reason: str, status: str, due_by: int, created: int) -> Object:
    """Return a dispute of a charge, as it looks right after it was opened."""
    is_inquiry = status.startswith("warning_")
    brand = of["payment_method_details"].get("card", {}).get("brand")
    card = {"brand": brand, "case_type": "inquiry" if is_inquiry else "chargeback", "network": brand, "network_reason_code": "10.4"}
    return {
        "id": new_id("dp"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": of["id"],
        "created": created,
        "currency": of["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(_EVIDENCE.split()), "enhanced_evidence": {}},
        "evidence_details": {"due_by": due_by, "enhanced_eligibility": {}, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method_details": {"card": card, "type": "card"},
        "reason": reason,
        "status": status,
    }


def early_fraud_warning(*, of: Object, fraud_type: str, actionable: bool, created: int) -> Object:
    """Return a bank's suspicion about a charge."""
    return {
        "id": new_id("issfr"),
        "object": "radar.early_fraud_warning",
        "actionable": actionable,
        "charge": of["id"],
        "created": created,
        "fraud_type": fraud_type,
        "livemode": False,
        "payment_intent": of["payment_intent"],
    }


def event(
    *, type: str, about: Object, previous: Object | None, created: int, request_id: str | None, key: str | None, version: str
) -> Object:
    """Return an event with a snapshot of what it is about."""
    data: Object = {"object": about}
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": new_id("evt"),
        "object": "event",
        "api_version": version,
        "created": created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": request_id, "idempotency_key": key},
        "type": type,
    }


def with_reference(refund: Object) -> Object:
    """Return the refund's destination details once the bank has told its trace number."""
    details = refund["destination_details"]
    number = "".join(secrets.choice(string.digits) for _ in range(23))
    return {**details, details["type"]: {**details[details["type"]], "reference": number, "reference_status": "available"}}


def _destination_details(method_type: str) -> Object:
    if method_type == "card":
        details = {"reference": None, "reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
        return {"card": details, "type": "card"}
    return {"us_bank_transfer": {"reference": None, "reference_status": "pending"}, "type": "us_bank_transfer"}


def _payment_method_details(amount: int, method: PaymentMethod) -> Object:
    if method.type != "card":
        bank: Object = {
            "account_holder_type": "individual",
            "account_type": "checking",
            "bank_name": "SANDBOX BANK",
            "fingerprint": "sandboxbank00001",
            "last4": method.last4,
            "mandate": None,
            "payment_reference": None,
            "routing_number": "110000000",
        }
        return {"type": method.type, method.type: bank}
    return {
        "card": {
            "amount_authorized": amount,
            "authorization_code": None,
            "brand": method.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "exp_month": 12,
            "exp_year": 2034,
            "extended_authorization": {"status": "disabled"},
            "fingerprint": f"sandbox{method.brand}{method.last4}",
            "funding": "credit",
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "last4": method.last4,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": method.brand,
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
            "regulated_status": "unregulated",
            "three_d_secure": None,
            "transaction_link_id": None,
            "wallet": None,
        },
        "type": "card",
    }
