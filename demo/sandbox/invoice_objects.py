"""Building invoices, their lines and payments, and credit notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from demo.sandbox.objects import Object, new_id
from demo.sandbox.sales_objects import Line, head, listed


def _null(names: str) -> Object:
    return dict.fromkeys(names.split())


def _taxes(line: Line) -> list[Object]:
    if line.rate is None:
        return []
    behavior = "inclusive" if line.rate["inclusive"] else "exclusive"
    tax = {"amount": line.tax, "tax_behavior": behavior, "tax_rate_details": {"tax_rate": line.rate["id"]}}
    return [{**tax, "taxability_reason": "standard_rated", "taxable_amount": line.taxable, "type": "tax_rate_details"}]


def invoice_line(*, of: str, line: Line, period: tuple[int, int], subscription: str | None, item: str | None) -> Object:
    """Return a line of an invoice; with a subscription and its item it is about a period of that."""
    none = {"credited_items": None}
    if subscription:
        about: Object = {"invoice_item": None, "proration": False, "proration_details": none}
        about |= {"subscription": subscription, "subscription_item": item}
        parent: Object = {"invoice_item_details": None, "subscription_item_details": about, "type": "subscription_item_details"}
    else:
        about = {"invoice_item": new_id("ii"), "proration": False, "proration_details": none, "subscription": None}
        parent = {"invoice_item_details": about, "subscription_item_details": None, "type": "invoice_item_details"}
    details = {"price": line.price["id"], "product": line.price["product"]} if line.price else None
    return {
        "id": new_id("il"),
        "object": "line_item",
        "amount": line.subtotal,
        "currency": line.currency,
        "description": line.description,
        "discount_amounts": [{"amount": line.discount, "discount": new_id("di")}] if line.discount else [],
        "discountable": True,
        "discounts": [],
        "invoice": of,
        "livemode": False,
        "metadata": {},
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": {"price_details": details, "type": "price_details", "unit_amount_decimal": str(line.unit_amount)},
        "quantity": line.quantity,
        "quantity_decimal": str(line.quantity),
        "subscription": subscription,
        "subtotal": line.subtotal,
        "taxes": _taxes(line),
    }


_INVOICE_NULLS = """account_name account_tax_ids application automatically_finalizes_at custom_fields customer_account customer_phone
customer_shipping default_payment_method default_source description due_date ending_balance footer from_invoice hosted_invoice_url
invoice_pdf last_finalization_error latest_revision next_payment_attempt on_behalf_of parent receipt_number rendering shipping_cost
shipping_details statement_descriptor subscription test_clock"""


def invoice(
    *, of: Object, lines: Sequence[Line], created: int, period: tuple[int, int], subscription: Object | None, **given: Any
) -> tuple[Object, list[Object]]:
    """Return a paid invoice of a customer, and all of its lines, of which it holds the first page only."""
    invoice_id = new_id("in")
    items: list[Object | None] = list(subscription["items"]["data"]) if subscription else [None] * len(lines)
    subscription_id = subscription["id"] if subscription else None
    made = [
        invoice_line(of=invoice_id, line=line, period=period, subscription=subscription_id, item=item["id"] if item else None)
        for line, item in zip(lines, items, strict=True)
    ]
    total, tax, discount = (sum(getattr(line, name) for line in lines) for name in ("total", "tax", "discount"))
    subtotal = sum(line.subtotal for line in lines)
    included = sum(line.tax for line in lines if line.rate and line.rate["inclusive"])
    body: Object = {
        **_null(_INVOICE_NULLS),
        "account_country": "DE",
        **dict.fromkeys(("amount_due", "amount_paid", "total"), total),
        **dict.fromkeys(("amount_overpaid", "amount_remaining", "amount_shipping", "starting_balance"), 0),
        **dict.fromkeys(("post_payment_credit_notes_amount", "pre_payment_credit_notes_amount"), 0),
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": False,
        "automatic_tax": {**_null("disabled_reason liability provider status"), "enabled": False},
        "collection_method": "charge_automatically",
        "currency": lines[0].currency,
        "customer": of["id"],
        "customer_address": of["address"],
        "customer_email": of["email"],
        "customer_name": of["name"],
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "discounts": [],
        "effective_at": created,
        "issuer": {"type": "self"},
        "lines": listed(made, f"/v1/invoices/{invoice_id}/lines"),
        "payment_settings": _null("default_mandate payment_method_options payment_method_types"),
        "period_end": created,
        "period_start": created,
        "status": "paid",
        "status_transitions": {**_null("marked_uncollectible_at voided_at"), "finalized_at": created, "paid_at": created},
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total_discount_amounts": [entry for line in made for entry in line["discount_amounts"]],
        "total_excluding_tax": total - tax,
        "total_pretax_credit_amounts": [],
        "total_taxes": [entry for line in made for entry in line["taxes"]],
        "webhooks_delivered_at": created,
    }
    assert discount == sum(entry["amount"] for entry in body["total_discount_amounts"])
    if subscription_id:
        about = {"metadata": subscription["metadata"] if subscription else {}, "subscription": subscription_id}
        body["parent"] = {"quote_details": None, "subscription_details": about, "type": "subscription_details"}
    return {**head("invoice", "in", created), **body, **given, "id": invoice_id}, made


def invoice_payment(*, of: Object, payment_intent: str) -> Object:
    """Return the link between an invoice and the payment that paid it."""
    return {
        "id": new_id("inpay"),
        "object": "invoice_payment",
        "amount_paid": of["amount_paid"],
        "amount_requested": of["amount_due"],
        "created": of["created"],
        "currency": of["currency"],
        "invoice": of["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": payment_intent, "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": of["created"]},
    }


def credit_note(*, of: Object, amount: int, refunds: Sequence[Object], number: str, created: int, **given: Any) -> Object:
    """Return a credit note on a paid invoice; it is one line, and its tax is the invoice's share."""
    tax = round(amount * (of["total"] - of["total_excluding_tax"]) / of["total"]) if of["total"] else 0
    note_id = new_id("cn")
    line = {
        "id": new_id("cnli"),
        "object": "credit_note_line_item",
        "amount": amount - tax,
        "description": f"Credit for invoice {of['number']}",
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": None,
        "livemode": False,
        "metadata": None,
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": [],
        "type": "custom_line_item",
        "unit_amount": amount - tax,
        "unit_amount_decimal": str(amount - tax),
    }
    body: Object = {
        **_null("customer_account customer_balance_transaction memo out_of_band_amount reason shipping_cost voided_at"),
        "amount": amount,
        "amount_shipping": 0,
        "currency": of["currency"],
        "customer": of["customer"],
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": created,
        "invoice": of["id"],
        "lines": listed([line], f"/v1/credit_notes/{note_id}/lines"),
        "number": number,
        "pdf": f"https://invoices.invalid/{note_id}.pdf",
        "post_payment_amount": amount,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "refunds": list(refunds),
        "status": "issued",
        "subtotal": amount - tax,
        "subtotal_excluding_tax": amount - tax,
        "total": amount,
        "total_excluding_tax": amount - tax,
        "total_taxes": [],
        "type": "post_payment",
    }
    return {**head("credit_note", "cn", created), **body, **given, "id": note_id}
