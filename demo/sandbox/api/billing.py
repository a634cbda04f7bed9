"""/v1/invoices, /v1/invoice_payments, /v1/subscriptions and /v1/credit_notes."""

from __future__ import annotations

from typing import Any

from demo.sandbox import invoice_objects
from demo.sandbox.api.call import Call
from demo.sandbox.api.checkout import lines_from
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import Object
from demo.sandbox.params import merge_metadata

CREDIT_REASONS = ("duplicate", "fraudulent", "order_change", "product_unsatisfactory")
STATUSES = ("active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid")


def retrieve_invoice(call: Call, invoice_id: str) -> Object:
    """GET /v1/invoices/:id."""
    return call.one("invoice", invoice_id)


def invoice_lines(call: Call, invoice_id: str) -> Object:
    """GET /v1/invoices/:id/lines."""
    return call.lines_of("invoice", invoice_id)


def list_invoices(call: Call) -> Object:
    """GET /v1/invoices."""
    return call.many("invoice", filters=("customer", "status"), paths={"subscription": "parent.subscription_details.subscription"})


def list_invoice_payments(call: Call) -> Object:
    """GET /v1/invoice_payments."""
    return call.many("invoice_payment", filters=("invoice", "status"))


def create_subscription(call: Call) -> Object:
    """POST /v1/subscriptions: the customer is taken to have a card on file."""
    customer_id = str(call.params.string("customer", required=True))
    metadata = merge_metadata({}, call.params.metadata())
    lines = lines_from(call, "items")
    expand = call.params.strings("expand")
    call.params.finish()
    customer = call.find("customer", customer_id, param="customer", status=400)
    if any(line.price is None or line.price["type"] != "recurring" for line in lines):
        raise ApiError(400, "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.")
    made, _ = call.sales.subscribe(customer=customer, lines=lines, buyer=_buyer(customer), cause=call.cause, metadata=metadata)
    return call.expand(made, expand)


def update_subscription(call: Call, subscription_id: str) -> Object:
    """POST /v1/subscriptions/:id: whether it ends with its period, and metadata."""
    change: dict[str, Any] = {}
    if call.params.raw("cancel_at_period_end") is not None:
        change["cancel_at_period_end"] = call.params.boolean("cancel_at_period_end")
    metadata, expand = call.params.metadata(), call.params.strings("expand")
    call.params.finish()
    running = call.find("subscription", subscription_id)
    if running["status"] == "canceled":
        raise ApiError(400, "A canceled subscription can only update its cancellation_details and metadata.", stored=True)
    if metadata is not None:
        change["metadata"] = merge_metadata(running["metadata"], metadata)
    return call.expand(call.sales.change(running, change, call.cause), expand)


def cancel_subscription(call: Call, subscription_id: str) -> Object:
    """DELETE /v1/subscriptions/:id."""
    if call.params.boolean("prorate") or call.params.boolean("invoice_now"):
        raise ApiError(400, "The sandbox neither prorates nor bills when a subscription ends: send prorate=false and invoice_now=false.")
    if (details := call.params.inside("cancellation_details")) is not None:
        details.string("comment")
        details.string("feedback")
    expand = call.params.strings("expand")
    call.params.finish()
    return call.expand(call.sales.end(subscription_id, cause=call.cause), expand)


def retrieve_subscription(call: Call, subscription_id: str) -> Object:
    """GET /v1/subscriptions/:id."""
    return call.one("subscription", subscription_id)


def list_subscriptions(call: Call) -> Object:
    """GET /v1/subscriptions: without those that were canceled, unless asked for."""
    status = call.params.string("status", choices=STATUSES)
    if status in ("all", None):
        return call.many("subscription", filters=("customer",), without={} if status else {"status": "canceled"})
    return call.many("subscription", filters=("customer", "status"))


def create_credit_note(call: Call) -> Object:
    """POST /v1/credit_notes.

    `refunds[]` links what was refunded already and moves no money; `refund_amount` pays, as it does at Stripe.
    """
    params = call.params
    invoice_id = str(params.string("invoice", required=True))
    amount = params.integer("amount", required=True, minimum=1) or 0
    pays = params.integer("refund_amount", minimum=1) or 0
    outside = params.integer("out_of_band_amount", minimum=1) or 0
    links = [
        (str(link.string("refund", required=True)), link.integer("amount_refunded", minimum=1), link.string("type", choices=("refund",)))
        for link in params.each("refunds")
    ]
    reason, memo = params.string("reason", choices=CREDIT_REASONS), params.string("memo")
    metadata, expand = merge_metadata({}, params.metadata()), params.strings("expand")
    params.finish()
    invoice = call.find("invoice", invoice_id, param="invoice")
    paid_by = call.store.page(call.account, "invoice_payment", limit=1, filters={"invoice": invoice_id}, created={})[0]
    intent_id = paid_by[0]["payment"]["payment_intent"] if paid_by else None
    if amount > invoice["total"] - invoice["post_payment_credit_notes_amount"]:
        raise _refused("The sum of credit notes on an invoice can be at most what was paid for it.", "amount")
    linked = [_link(call, refund_id, part, intent_id) for refund_id, part, _ in links]
    if sum(link["amount_refunded"] for link in linked) + pays + outside != amount:
        message = "The sum of refund_amount, refunds, credit_amount and out_of_band_amount must equal the credit note's amount."
        raise _refused(message, "amount")
    if pays:
        charge = call.find("charge", call.find("payment_intent", str(intent_id))["latest_charge"])
        refund = call.bank.refund(charge, amount=pays, reason=None, metadata={}, cause=call.cause)
        linked.append(_linked(refund["id"], pays))
    invoice["post_payment_credit_notes_amount"] += amount
    call.store.update(call.account, invoice)
    count = len(call.store.page(call.account, "credit_note", limit=1000, filters={"invoice": invoice_id}, created={})[0])
    note = invoice_objects.credit_note(
        of=invoice,
        amount=amount,
        refunds=linked,
        number=f"{invoice['number']}-CN-{count + 1:02}",
        created=int(call.clock.now()),
        reason=reason,
        memo=memo,
        metadata=metadata,
        out_of_band_amount=outside or None,
    )
    call.store.insert(call.account, note)
    call.bank.tell("credit_note.created", note, call.cause)
    return call.expand(note, expand)


def retrieve_credit_note(call: Call, note_id: str) -> Object:
    """GET /v1/credit_notes/:id."""
    return call.one("credit_note", note_id)


def void_credit_note(call: Call, note_id: str) -> Object:
    """POST /v1/credit_notes/:id/void: only while the invoice is open, and those of the sandbox are paid."""
    call.params.finish()
    note = call.find("credit_note", note_id)
    invoice = call.find("invoice", note["invoice"])
    if invoice["status"] != "open":
        raise _refused("You can only void a credit note if the associated invoice is open.", "id")
    note["status"], note["voided_at"] = "void", int(call.clock.now())
    call.store.update(call.account, note)
    return note


def list_credit_notes(call: Call) -> Object:
    """GET /v1/credit_notes."""
    return call.many("credit_note", filters=("customer", "invoice"))


def _link(call: Call, refund_id: str, part: int | None, intent_id: str | None) -> Object:
    refund = call.find("refund", refund_id, param="refunds", status=400)
    if refund["payment_intent"] != intent_id:
        raise _refused(f"The refund {refund_id} is of a payment that did not pay this invoice.", "refunds")
    if refund["status"] in ("failed", "canceled"):
        raise _refused(f"The refund {refund_id} is {refund['status']} and cannot be linked.", "refunds")
    notes = call.store.page(call.account, "credit_note", limit=1000, filters={}, created={})[0]
    before = sum(link["amount_refunded"] for note in notes for link in note["refunds"] if link["refund"] == refund_id)
    part = refund["amount"] - before if part is None else part
    if part > refund["amount"] - before:
        raise _refused(f"Only {refund['amount'] - before} of the refund {refund_id} are left to link.", "refunds")
    return _linked(refund_id, part)


def _linked(refund_id: str, amount: int) -> Object:
    return {"amount_refunded": amount, "payment_record_refund": None, "refund": refund_id, "type": "refund"}


def _refused(message: str, param: str) -> ApiError:
    return ApiError(400, message, param=param, stored=True)


def _buyer(customer: Object) -> Object:
    return {"email": customer["email"], "name": customer["name"], "country": (customer["address"] or {}).get("country")}
