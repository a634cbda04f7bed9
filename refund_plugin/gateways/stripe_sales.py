"""Stripe as the order book: sales by Checkout and Billing, subscriptions and credit notes.

An event carries neither the products of a sale nor its payments, so a sale is always read anew. Shapes of API 2026-10-28:
an invoice names its payments in `payments`, its subscription in `parent`, and its lines' products in `pricing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar

import stripe

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, PaymentState
from refund_plugin.gateways.sales import CreditNote, Sale, SaleKind, SaleLine, SalePage, SalePayment, SubscriptionState
from refund_plugin.gateways.stripe_amounts import read_amount, to_stripe_amount
from refund_plugin.gateways.stripe_reading import as_reading, ask, at, is_payment_session, look, payment_state, subscription_state
from refund_plugin.money import Money, allocate, share_of

_NOT_A_SALE = GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="not_a_sale")
_NOT_PAID_YET = GatewayAnswer(kind=AnswerKind.PENDING, code="not_paid_yet")
# Tax numbers that private persons have too.
_PERSONAL_TAX_IDS = frozenset({"br_cpf"})

Item = TypeVar("Item", bound=stripe.StripeObject)


class StripeSales:
    """The sales of one account.

    Args:
        client: of the account.
        read_payment: fetches a payment intent or a charge with its money, as `stripe_reading.payment_state` wants it.
    """

    def __init__(self, client: stripe.StripeClient, read_payment: Callable[[str], dict[str, Any]]) -> None:
        self._sessions = client.v1.checkout.sessions
        self._invoices = client.v1.invoices
        self._products = client.v1.products
        self._rates = client.v1.tax_rates
        self._subscriptions = client.v1.subscriptions
        self._credit_notes = client.v1.credit_notes
        self._read_payment = read_payment
        self._percentages: dict[str, Decimal] = {}  # a rate's percentage can never be changed, and an account has few rates

    def read(self, source_id: str, kind: SaleKind) -> Sale | GatewayAnswer:
        """See `Gateway.read_sale`."""
        read = self._session if kind == "checkout_session" else self._invoice
        found = ask(lambda: read(source_id), lambda sale: sale)
        return as_reading(found) if isinstance(found, GatewayAnswer) and found is not _NOT_A_SALE else found

    def page(self, *, kind: SaleKind, created_after: datetime | None, cursor: str) -> SalePage | GatewayAnswer:
        """See `Gateway.list_sales`."""
        params: dict[str, Any] = {"limit": 100}
        if created_after is not None:
            params["created"] = {"gte": int(created_after.timestamp())}
        if cursor:
            params["starting_after"] = cursor
        if kind == "checkout_session":
            return look(lambda: self._sessions.list(params), lambda page: _page(page, _is_sold_session))  # type: ignore[arg-type]
        return look(lambda: self._invoices.list(params), lambda page: _page(page, _is_paid_invoice))  # type: ignore[arg-type]

    def subscription(self, subscription_id: str) -> SubscriptionState | GatewayAnswer:
        """See `Gateway.subscription_state`."""
        return look(lambda: self._subscriptions.retrieve(subscription_id), lambda found: subscription_state(found.to_dict()))

    def end_subscription(self, subscription_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """See `Gateway.end_subscription`."""
        options = stripe.RequestOptions(idempotency_key=idempotency_key)
        answer = ask(
            lambda: self._subscriptions.cancel(subscription_id, {"prorate": False, "invoice_now": False}, options=options),
            lambda found: _answer_to_end(subscription_state(found.to_dict())),
        )
        if answer.kind != AnswerKind.DEFINITIVE_NO:
            return answer
        # refused: Stripe does so when it has ended before, which is what was wanted
        now = self.subscription(subscription_id)
        if isinstance(now, SubscriptionState):
            return _answer_to_end(now) if now.is_ended else answer
        return answer if now.code == answer.code else now

    def record_credit_note(
        self, *, invoice_id: str, gateway_refund_id: str, amount: Money, idempotency_key: str
    ) -> CreditNote | GatewayAnswer:
        """See `Gateway.record_credit_note`. `refund_amount` is never sent: Stripe would pay it."""
        minor = to_stripe_amount(amount)
        params: dict[str, Any] = {
            "invoice": invoice_id,
            "amount": minor,
            "refunds": [{"refund": gateway_refund_id, "amount_refunded": minor}],
        }
        options = stripe.RequestOptions(idempotency_key=idempotency_key)
        return ask(
            lambda: self._credit_notes.create(params, options=options),  # type: ignore[arg-type]
            lambda note: CreditNote(credit_note_id=note.id, number=note.number),
        )

    def void_credit_note(self, credit_note_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """See `Gateway.void_credit_note`. Source: docs.stripe.com/api/credit_notes/void: only while the invoice is open."""
        options = stripe.RequestOptions(idempotency_key=idempotency_key)
        answer = ask(lambda: self._credit_notes.void_credit_note(credit_note_id, options=options), _answer_to_void)
        if answer.kind != AnswerKind.DEFINITIVE_NO:
            return answer
        # refused: perhaps because somebody has voided it before, which is what was wanted
        now = look(lambda: self._credit_notes.retrieve(credit_note_id), _answer_to_void)
        return now if now.kind == AnswerKind.SUCCEEDED else answer

    def _session(self, session_id: str) -> Sale | GatewayAnswer:
        expand = ["line_items.data.price.product", "line_items.data.taxes"]
        found = self._sessions.retrieve(session_id, {"expand": expand})
        session = found.to_dict()
        if session["mode"] == "subscription" and session.get("invoice"):
            return self._invoice(session["invoice"])
        if not is_payment_session(session):
            return _NOT_A_SALE
        if not session.get("payment_intent"):
            return _NOT_PAID_YET
        payment = payment_state(self._read_payment(session["payment_intent"]))
        if not payment.captured:
            return _NOT_A_SALE if payment.is_canceled else _NOT_PAID_YET
        details = session.get("customer_details") or {}
        items = _all(found.line_items) if found.line_items else []
        return Sale(
            source_id=session["id"],
            kind="checkout_session",
            number=session.get("client_reference_id") or session["id"],
            email=details.get("email") or session.get("customer_email") or "",
            name=details.get("name") or "",
            country=_country(details.get("address")),
            currency=session["currency"].upper(),
            purchased_at=payment.paid_at or at(session["created"]),
            lines=tuple(self._session_line(item) for item in items),
            payments=(_sale_payment(payment),),
            locale="" if session.get("locale") in (None, "auto") else session["locale"],
            invoice_id=session.get("invoice") or "",
            buyer_kind=_buyer_kind(details.get("tax_ids")),
            metadata=session.get("metadata") or {},
        )

    def _session_line(self, item: Mapping[str, Any]) -> SaleLine:
        paid, tax = read_amount(item["amount_total"], item["currency"]), read_amount(item["amount_tax"], item["currency"])
        rates = [_percentage(applied["rate"]) for applied in item.get("taxes") or [] if applied["amount"]]
        return _line(
            source_id=item["id"],
            name=item.get("description"),
            quantity=item.get("quantity") or 1,
            paid=paid,
            tax=tax,
            rate=sum(rates, Decimal(0)) if rates else _rate_of(paid, tax),
            product=self._product((item.get("price") or {}).get("product")),
        )

    def _invoice(self, invoice_id: str) -> Sale | GatewayAnswer:
        found = self._invoices.retrieve(invoice_id, {"expand": ["payments"]})
        invoice = found.to_dict()
        if invoice["status"] != "paid":
            return _NOT_PAID_YET if invoice["status"] in ("draft", "open") else _NOT_A_SALE
        paid = [entry["payment"] for entry in _all(found.payments) if entry["status"] == "paid"] if found.payments else []
        ids = [payment_id for payment in paid if (payment_id := payment.get("payment_intent") or payment.get("charge"))]
        if not invoice["amount_paid"] or not ids:
            return _NOT_A_SALE  # free, or paid past Stripe
        payments = [payment_state(self._read_payment(payment_id)) for payment_id in ids]
        parent = (invoice.get("parent") or {}).get("subscription_details") or {}
        return Sale(
            source_id=invoice["id"],
            kind="invoice",
            number=invoice.get("number") or invoice["id"],
            email=invoice.get("customer_email") or "",
            name=invoice.get("customer_name") or "",
            country=_country(invoice.get("customer_address")),
            currency=invoice["currency"].upper(),
            purchased_at=payments[0].paid_at or at(invoice["created"]),
            lines=_without_credits([self._invoice_line(line) for line in _all(found.lines)]),
            payments=tuple(_sale_payment(payment) for payment in payments),
            subscription_id=parent.get("subscription") or "",
            invoice_id=invoice["id"],
            buyer_kind=_buyer_kind(invoice.get("customer_tax_ids")),
            metadata=invoice.get("metadata") or {},
        )

    def _invoice_line(self, line: Mapping[str, Any]) -> SaleLine:
        taxes = line.get("taxes") or []
        discounts = sum(discount["amount"] for discount in line.get("discount_amounts") or [])
        added = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
        paid = read_amount(line["amount"] - discounts + added, line["currency"])
        tax = read_amount(sum(tax["amount"] for tax in taxes), line["currency"])
        rates = [
            self._rate(applied["tax_rate_details"]["tax_rate"]) for applied in taxes if applied["amount"] and applied["tax_rate_details"]
        ]
        is_term = (line.get("parent") or {}).get("type") == "subscription_item_details"
        return _line(
            source_id=line["id"],
            name=line.get("description"),
            quantity=line.get("quantity") or 1,
            paid=paid,
            tax=tax,
            rate=sum(rates, Decimal(0)) if rates else _rate_of(paid, tax),
            product=self._product(((line.get("pricing") or {}).get("price_details") or {}).get("product")),
            term=(at(line["period"]["start"]), at(line["period"]["end"])) if is_term else None,
        )

    def _product(self, product: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
        """Return the product; only the first page of a listing comes with its products."""
        if isinstance(product, str):
            return self._products.retrieve(product).to_dict()
        return product or {}

    def _rate(self, rate_id: str) -> Decimal:
        if rate_id not in self._percentages:
            self._percentages[rate_id] = _percentage(self._rates.retrieve(rate_id).to_dict())
        return self._percentages[rate_id]


def _all(items: stripe.ListObject[Item]) -> Iterable[dict[str, Any]]:
    """Go through a list inside an object, of which Stripe sends the first page only."""
    return [item.to_dict() for item in items.auto_paging_iter()]


def _page(page: stripe.ListObject[Item], is_sale: Callable[[Mapping[str, Any]], bool]) -> SalePage:
    items = [item.to_dict() for item in page.data]
    return SalePage(tuple(item["id"] for item in items if is_sale(item)), items[-1]["id"] if page.has_more else "")


def _is_sold_session(session: Mapping[str, Any]) -> bool:
    return session["status"] == "complete" and is_payment_session(session)


def _is_paid_invoice(invoice: Mapping[str, Any]) -> bool:
    return invoice["status"] == "paid" and bool(invoice["amount_paid"])


def _line(
    *,
    source_id: str,
    name: str | None,
    quantity: int,
    paid: Money,
    tax: Money,
    rate: Decimal,
    product: Mapping[str, Any],
    term: tuple[datetime, datetime] | None = None,
) -> SaleLine:
    """Make a line; what Stripe has no field for, a shop writes into the product's metadata (docs/stripe.md)."""
    told: Mapping[str, str] = product.get("metadata") or {}
    units = told.get("units", "")
    return SaleLine(
        source_id=source_id,
        name=name or product.get("name") or product.get("id") or source_id,
        sku=told.get("sku") or product.get("id") or source_id,
        quantity=quantity,
        paid=paid,
        tax=tax,
        tax_rate_percent=rate,
        term_start=term[0] if term else None,
        term_end=term[1] if term else None,
        units_granted=int(units) * quantity if units.isdecimal() else None,
        unit_name=told.get("unit_name") or product.get("unit_label") or "",
        product_type=told.get("product_type", ""),
        categories=_words(told.get("categories", "")),
        tags=_words(told.get("tags", "")),
        nature=told["nature"] if told.get("nature") in ("content", "service") else "",
    )


def _without_credits(lines: list[SaleLine]) -> tuple[SaleLine, ...]:
    """Take credits for unused time, which Stripe writes as negative lines, off the others; the sum stays the same."""
    credit = -sum(line.paid.minor for line in lines if line.paid.minor < 0)
    charged = [line for line in lines if line.paid.minor >= 0]
    total = sum(line.paid.minor for line in charged)
    parts = allocate(min(credit, total), [line.paid.minor for line in charged]) if charged else []
    return tuple(
        replace(
            line,
            paid=Money(line.paid.minor - part, line.paid.currency),
            tax=Money(share_of(line.tax.minor, line.paid.minor - part, line.paid.minor or 1), line.tax.currency),
        )
        for line, part in zip(charged, parts, strict=True)
    )


def _sale_payment(payment: PaymentState) -> SalePayment:
    return SalePayment(
        gateway_payment_id=payment.gateway_payment_id,
        captured=payment.captured,
        is_captured=payment.is_captured,
        method=payment.method,
        brand=payment.brand,
        last4=payment.last4,
        paid_at=payment.paid_at,
        settlement=payment.settlement,
        fee=payment.fee,
        has_history=payment.disputed or payment.refunded.minor > 0,
        charge_id=payment.charge_id,
    )


def _answer_to_end(state: SubscriptionState) -> GatewayAnswer:
    raw = {"id": state.subscription_id, "object": "subscription", "status": state.status}
    if not state.is_ended:
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="not_ended", raw=raw)
    return GatewayAnswer(kind=AnswerKind.SUCCEEDED, raw=raw)


def _answer_to_void(note: stripe.CreditNote) -> GatewayAnswer:
    raw = {"id": note.id, "object": "credit_note", "status": note.status}
    if note.status != "void":
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="not_void", raw=raw)
    return GatewayAnswer(kind=AnswerKind.SUCCEEDED, raw=raw)


def _percentage(rate: Mapping[str, Any]) -> Decimal:
    # the effective one is what was really applied where the nominal one depends on the place
    value = rate.get("effective_percentage")
    return Decimal(str(rate["percentage"] if value is None else value))


def _rate_of(paid: Money, tax: Money) -> Decimal:
    """Return the rate that the amounts show, where Stripe names none."""
    net = paid.minor - tax.minor
    return round(Decimal(100 * tax.minor) / net, 3) if net > 0 else Decimal(0)


def _country(address: Mapping[str, Any] | None) -> str:
    return str((address or {}).get("country") or "").upper()


def _buyer_kind(tax_ids: Iterable[Mapping[str, Any]] | None) -> Literal["business", "unknown"]:
    return "business" if any(tax_id["type"] not in _PERSONAL_TAX_IDS for tax_id in tax_ids or []) else "unknown"


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for item in text.split(",") if (word := item.strip()))
