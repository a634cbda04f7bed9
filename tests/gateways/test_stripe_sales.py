"""Reading sales from Stripe's own shapes (API 2026-10-28), and what is sent to end subscriptions and to record credit notes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.sales import CreditNote, Sale, SaleLine, SalePage, SubscriptionState
from refund_plugin.gateways.stripe import StripeGateway
from refund_plugin.gateways.stripe_sales import _without_credits
from refund_plugin.money import Money
from tests.gateways.stub import Stub, stub_server

PAID_AT, START, END = 1772452800, 1772452800, 1775131200


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def listing(*items: dict[str, Any], url: str = "/v1/things", has_more: bool = False) -> dict[str, Any]:
    return {"object": "list", "data": list(items), "has_more": has_more, "url": url}


def payment_intent(**changes: Any) -> dict[str, Any]:
    transaction = {"id": "txn_1", "object": "balance_transaction", "amount": 2600, "fee": 105, "net": 2495, "currency": "usd"}
    charge = {
        "id": "ch_1",
        "object": "charge",
        "amount": 2380,
        "amount_captured": 2380,
        "amount_refunded": 0,
        "captured": True,
        "refunded": False,
        "disputed": False,
        "currency": "eur",
        "created": PAID_AT,
        "balance_transaction": transaction,
        "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242"}},
    }
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2380,
        "amount_capturable": 0,
        "amount_received": 2380,
        "currency": "eur",
        "status": "succeeded",
        "latest_charge": charge,
        **changes,
    }


EBOOK = {
    "id": "prod_ebook",
    "object": "product",
    "name": "E-book",
    "unit_label": None,
    "metadata": {
        "sku": "EBOOK-1",
        "product_type": "ebook",
        "categories": "books, learning",
        "tags": "drm-free",
        "nature": "content",
        "units": "3",
        "unit_name": "download",
    },
}
PLAN = {"id": "prod_plan", "object": "product", "name": "Plan", "unit_label": "seat", "metadata": {}}
VAT = {"id": "txr_1", "object": "tax_rate", "percentage": 19.0, "effective_percentage": None, "inclusive": False}


def session_item(item_id: str = "li_1", product: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "item",
        "amount_discount": 200,
        "amount_subtotal": 2200,
        "amount_tax": 380,
        "amount_total": 2380,
        "currency": "eur",
        "description": "E-book, 2nd edition",
        "quantity": 2,
        "price": {"id": "price_1", "object": "price", "product": product or EBOOK},
        "taxes": [{"amount": 380, "rate": VAT, "taxable_amount": 2000}],
        **changes,
    }


def session(**changes: Any) -> dict[str, Any]:
    return {
        "id": "cs_1",
        "object": "checkout.session",
        "client_reference_id": "ORDER-7",
        "created": PAID_AT - 600,
        "currency": "eur",
        "customer_details": {
            "address": {"country": "DE", "city": "Berlin"},
            "email": "ada@example.com",
            "name": "Ada Lovelace",
            "tax_ids": [],
        },
        "customer_email": None,
        "invoice": None,
        "line_items": listing(session_item(), url="/v1/checkout/sessions/cs_1/line_items"),
        "locale": "de",
        "metadata": {"channel": "web"},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "status": "complete",
        "subscription": None,
        **changes,
    }


def invoice_line(line_id: str = "il_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": line_id,
        "object": "line_item",
        "amount": 2100,
        "currency": "eur",
        "description": "1 × Plan (at 21.00 EUR / month)",
        "discount_amounts": [{"amount": 100, "discount": "di_1"}],
        "quantity": 1,
        "period": {"start": START, "end": END},
        "parent": {"type": "subscription_item_details", "subscription_item_details": {"subscription": "sub_1"}},
        "pricing": {"type": "price_details", "price_details": {"price": "price_2", "product": "prod_plan"}},
        "taxes": [
            {
                "amount": 380,
                "tax_behavior": "exclusive",
                "tax_rate_details": {"tax_rate": "txr_1"},
                "taxable_amount": 2000,
                "type": "tax_rate_details",
            }
        ],
        **changes,
    }


def invoice(**changes: Any) -> dict[str, Any]:
    paid = {"id": "inpay_1", "object": "invoice_payment", "status": "paid", "amount_paid": 2380}
    return {
        "id": "in_1",
        "object": "invoice",
        "amount_paid": 2380,
        "created": PAID_AT - 3600,
        "currency": "eur",
        "customer_address": {"country": "fr"},
        "customer_email": "ada@example.com",
        "customer_name": "Ada Lovelace",
        "customer_tax_ids": [{"type": "eu_vat", "value": "FR123"}],
        "lines": listing(invoice_line(), url="/v1/invoices/in_1/lines"),
        "metadata": {},
        "number": "A-0001",
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1", "metadata": {}}},
        "payments": listing({**paid, "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}, url="/v1/invoice_payments"),
        "status": "paid",
        **changes,
    }


@pytest.fixture
def stub() -> Iterator[Stub]:
    answers = {
        "GET /v1/checkout/sessions/cs_1": session(),
        "GET /v1/invoices/in_1": invoice(),
        "GET /v1/payment_intents/pi_1": payment_intent(),
        "GET /v1/products/prod_plan": PLAN,
        "GET /v1/products/prod_ebook": EBOOK,
        "GET /v1/tax_rates/txr_1": VAT,
    }
    with stub_server(answers) as server:
        yield server


@pytest.fixture
def gateway(stub: Stub) -> StripeGateway:
    return StripeGateway("sk_test_1", api_base=stub.url, read_timeout_seconds=5)


def sale_of(gateway: StripeGateway, source_id: str) -> Sale:
    sale = gateway.read_sale(source_id, "checkout_session" if source_id.startswith("cs_") else "invoice")
    assert isinstance(sale, Sale)
    return sale


def code_of(answer: object) -> tuple[AnswerKind, str]:
    assert isinstance(answer, GatewayAnswer)
    return answer.kind, answer.code


def test_a_checkout_session_becomes_a_sale_with_its_lines_and_payment(gateway: StripeGateway) -> None:
    sale = sale_of(gateway, "cs_1")
    assert (sale.source_id, sale.kind, sale.number, sale.currency) == ("cs_1", "checkout_session", "ORDER-7", "EUR")
    assert (sale.email, sale.name, sale.country, sale.locale) == ("ada@example.com", "Ada Lovelace", "DE", "de")
    assert (sale.purchased_at, sale.buyer_kind, sale.metadata) == (at(PAID_AT), "unknown", {"channel": "web"})
    (payment,) = sale.payments
    assert (payment.gateway_payment_id, payment.captured, payment.is_captured) == ("pi_1", Money(2380, "EUR"), True)
    assert (payment.method, payment.brand, payment.last4, payment.paid_at) == ("card", "visa", "4242", at(PAID_AT))
    assert (payment.settlement, payment.fee) == (Money(2600, "USD"), Money(105, "USD"))
    assert sale.lines == (
        SaleLine(
            source_id="li_1",
            name="E-book, 2nd edition",
            sku="EBOOK-1",
            quantity=2,
            paid=Money(2380, "EUR"),
            tax=Money(380, "EUR"),
            tax_rate_percent=Decimal(19),
            units_granted=6,
            unit_name="download",
            product_type="ebook",
            categories=("books", "learning"),
            tags=("drm-free",),
            nature="content",
        ),
    )


def test_a_paid_invoice_becomes_a_sale_with_the_terms_of_its_subscription(gateway: StripeGateway) -> None:
    sale = sale_of(gateway, "in_1")
    assert (sale.number, sale.subscription_id, sale.invoice_id) == ("A-0001", "sub_1", "in_1")
    assert (sale.country, sale.buyer_kind) == ("FR", "business")
    (line,) = sale.lines
    assert (line.paid, line.tax, line.tax_rate_percent) == (Money(2380, "EUR"), Money(380, "EUR"), Decimal(19))
    assert (line.term_start, line.term_end) == (at(START), at(END))
    assert (line.sku, line.unit_name, line.units_granted) == ("prod_plan", "seat", None)
    assert [payment.gateway_payment_id for payment in sale.payments] == ["pi_1"]


def test_tax_that_is_in_the_price_is_not_added_to_it(stub: Stub, gateway: StripeGateway) -> None:
    taxes = [{**invoice_line()["taxes"][0], "tax_behavior": "inclusive", "amount": 319, "tax_rate_details": None}]
    stub.answers["GET /v1/invoices/in_1"] = invoice(lines=listing(invoice_line(taxes=taxes), url="/v1/invoices/in_1/lines"))
    (line,) = sale_of(gateway, "in_1").lines
    assert (line.paid, line.tax, line.tax_rate_percent) == (Money(2000, "EUR"), Money(319, "EUR"), Decimal("18.977"))


def test_what_is_bought_once_on_an_invoice_has_no_term(stub: Stub, gateway: StripeGateway) -> None:
    once = invoice_line(parent={"type": "invoice_item_details", "invoice_item_details": {"invoice_item": "ii_1"}})
    stub.answers["GET /v1/invoices/in_1"] = invoice(lines=listing(once, url="/v1/invoices/in_1/lines"), parent=None)
    sale = sale_of(gateway, "in_1")
    assert (sale.subscription_id, sale.lines[0].term_start, sale.lines[0].term_end) == ("", None, None)


def test_the_rate_of_a_tax_is_asked_for_once(stub: Stub, gateway: StripeGateway) -> None:
    lines = listing(invoice_line("il_1"), invoice_line("il_2"), url="/v1/invoices/in_1/lines")
    stub.answers["GET /v1/invoices/in_1"] = invoice(lines=lines)
    assert [line.tax_rate_percent for line in sale_of(gateway, "in_1").lines] == [Decimal(19)] * 2
    sale_of(gateway, "in_1")
    assert [asked for asked, _params in stub.asked].count("GET /v1/tax_rates/txr_1") == 1


def test_lines_behind_the_first_page_are_read_too(stub: Stub, gateway: StripeGateway) -> None:
    first = listing(session_item("li_1"), url="/v1/checkout/sessions/cs_1/line_items", has_more=True)
    stub.answers["GET /v1/checkout/sessions/cs_1"] = session(line_items=first)
    second = session_item("li_2", product="prod_ebook", taxes=None)
    stub.answers["GET /v1/checkout/sessions/cs_1/line_items"] = listing(second, url="/v1/checkout/sessions/cs_1/line_items")
    lines = sale_of(gateway, "cs_1").lines
    assert [(line.source_id, line.sku, line.tax_rate_percent) for line in lines] == [
        ("li_1", "EBOOK-1", Decimal(19)),
        ("li_2", "EBOOK-1", Decimal(19)),
    ]


def test_a_session_that_starts_a_subscription_is_read_as_its_invoice(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["GET /v1/checkout/sessions/cs_1"] = session(mode="subscription", payment_intent=None, invoice="in_1", subscription="sub_1")
    assert sale_of(gateway, "cs_1") == sale_of(gateway, "in_1")


def test_an_invoice_paid_in_parts_has_a_payment_for_each(stub: Stub, gateway: StripeGateway) -> None:
    parts = [
        {
            "id": f"inpay_{name}",
            "object": "invoice_payment",
            "status": status,
            "payment": {"type": "payment_intent", "payment_intent": name},
        }
        for name, status in (("pi_1", "paid"), ("pi_2", "paid"), ("pi_3", "canceled"))
    ]
    stub.answers["GET /v1/invoices/in_1"] = invoice(payments=listing(*parts, url="/v1/invoice_payments"))
    stub.answers["GET /v1/payment_intents/pi_2"] = payment_intent(id="pi_2")
    assert [payment.gateway_payment_id for payment in sale_of(gateway, "in_1").payments] == ["pi_1", "pi_2"]


def test_an_authorised_payment_is_a_sale_that_is_not_captured(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["GET /v1/payment_intents/pi_1"] = payment_intent(status="requires_capture", amount_received=0, amount_capturable=2380)
    (payment,) = sale_of(gateway, "cs_1").payments
    assert (payment.captured, payment.is_captured) == (Money(2380, "EUR"), False)


@pytest.mark.parametrize(
    ("source_id", "changes"),
    [
        ("in_1", {"status": "open"}),
        ("cs_1", {"payment_status": "unpaid", "payment_intent": None}),
        ("pi_1", {"status": "processing", "amount_received": 0}),
    ],
)
def test_what_is_not_paid_yet_is_no_sale_yet(stub: Stub, gateway: StripeGateway, source_id: str, changes: dict[str, Any]) -> None:
    made = {"in_1": invoice, "cs_1": session, "pi_1": payment_intent}[source_id]
    path = {"in_1": "invoices", "cs_1": "checkout/sessions", "pi_1": "payment_intents"}[source_id]
    stub.answers[f"GET /v1/{path}/{source_id}"] = made(**changes)
    answer = gateway.read_sale("in_1", "invoice") if source_id == "in_1" else gateway.read_sale("cs_1", "checkout_session")
    assert code_of(answer) == (AnswerKind.PENDING, "not_paid_yet")


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("checkout_session", {"mode": "setup", "payment_intent": None}),
        ("checkout_session", {"payment_intent": None, "payment_status": "no_payment_required"}),
        ("invoice", {"status": "void"}),
        ("invoice", {"amount_paid": 0}),
        ("invoice", {"payments": listing(url="/v1/invoice_payments")}),
    ],
)
def test_what_nobody_paid_over_stripe_is_no_sale(stub: Stub, gateway: StripeGateway, kind: Any, changes: dict[str, Any]) -> None:
    stub.answers["GET /v1/checkout/sessions/cs_1"] = session(**changes)
    stub.answers["GET /v1/invoices/in_1"] = invoice(**changes)
    assert code_of(gateway.read_sale("cs_1" if kind == "checkout_session" else "in_1", kind)) == (AnswerKind.DEFINITIVE_NO, "not_a_sale")


@pytest.mark.parametrize("missing", ["checkout/sessions/cs_1", "payment_intents/pi_1"])
def test_a_sale_that_cannot_be_read_whole_is_not_read_at_all(stub: Stub, gateway: StripeGateway, missing: str) -> None:
    del stub.answers[f"GET /v1/{missing}"]
    assert code_of(gateway.read_sale("cs_1", "checkout_session")) == (AnswerKind.MAYBE_EXECUTED, "resource_missing")


def test_a_sale_in_an_unexpected_shape_cannot_be_read(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["GET /v1/checkout/sessions/cs_1"] = {"object": "checkout.session", "id": "cs_1"}
    assert code_of(gateway.read_sale("cs_1", "checkout_session")) == (AnswerKind.MAYBE_EXECUTED, "unreadable_answer")


@pytest.mark.parametrize(("tax_type", "buyer_kind"), [("eu_vat", "business"), ("br_cpf", "unknown")])
def test_a_tax_number_of_a_business_makes_the_buyer_one(stub: Stub, gateway: StripeGateway, tax_type: str, buyer_kind: str) -> None:
    stub.answers["GET /v1/invoices/in_1"] = invoice(customer_tax_ids=[{"type": tax_type, "value": "1"}])
    assert sale_of(gateway, "in_1").buyer_kind == buyer_kind


def test_sales_are_listed_page_by_page_and_without_what_is_none(stub: Stub, gateway: StripeGateway) -> None:
    first = listing(session(id="cs_3", status="open"), session(id="cs_2"), session(id="cs_s", mode="subscription"), has_more=True)
    stub.answers["GET /v1/checkout/sessions"] = [first, listing(session(id="cs_1"))]
    page = gateway.list_sales(kind="checkout_session", created_after=at(START))
    assert page == SalePage(("cs_2",), "cs_s")
    assert gateway.list_sales(kind="checkout_session", cursor="cs_s") == SalePage(("cs_1",), "")
    (_name, first_params), (_name, second_params) = stub.asked
    assert first_params == {"limit": "100", "created[gte]": str(START)}
    assert second_params == {"limit": "100", "starting_after": "cs_s"}


def test_only_paid_invoices_are_listed(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["GET /v1/invoices"] = listing(invoice(id="in_3", status="open"), invoice(id="in_2", amount_paid=0), invoice(id="in_1"))
    assert gateway.list_sales(kind="invoice") == SalePage(("in_1",), "")
    stub.answers["GET /v1/invoices"] = (500, {"error": {"type": "api_error", "message": "down"}})
    assert code_of(gateway.list_sales(kind="invoice")) == (AnswerKind.MAYBE_EXECUTED, "api_error")


def subscription(status: str) -> dict[str, Any]:
    items = listing({"id": "si_1", "object": "subscription_item", "current_period_end": END}, url="/v1/subscription_items")
    return {"id": "sub_1", "object": "subscription", "status": status, "canceled_at": None, "cancel_at_period_end": False, "items": items}


MISSING = (404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such subscription: 'sub_1'"}})


def test_a_subscription_ends_at_once_without_a_proration_or_a_last_invoice(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["DELETE /v1/subscriptions/sub_1"] = subscription("canceled")
    assert gateway.end_subscription("sub_1", idempotency_key="end-1").kind == AnswerKind.SUCCEEDED
    assert stub.params_of("DELETE /v1/subscriptions/sub_1") == {"prorate": "false", "invoice_now": "false"}


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (subscription("canceled"), (AnswerKind.SUCCEEDED, "")),
        (subscription("active"), (AnswerKind.DEFINITIVE_NO, "resource_missing")),
        (None, (AnswerKind.DEFINITIVE_NO, "resource_missing")),
        ((503, {"error": {"type": "api_error", "message": "down"}}), (AnswerKind.MAYBE_EXECUTED, "api_error")),
    ],
    ids=["had ended before", "still runs", "was never there", "nobody knows"],
)
def test_a_refused_end_counts_only_when_the_subscription_has_ended(stub: Stub, gateway: StripeGateway, now: Any, said: Any) -> None:
    stub.answers |= {"DELETE /v1/subscriptions/sub_1": MISSING, "GET /v1/subscriptions/sub_1": now}
    assert code_of(gateway.end_subscription("sub_1", idempotency_key="end-1")) == said


def test_a_subscription_that_only_ends_later_has_not_ended(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["DELETE /v1/subscriptions/sub_1"] = subscription("active")
    assert code_of(gateway.end_subscription("sub_1", idempotency_key="end-1")) == (AnswerKind.MAYBE_EXECUTED, "not_ended")


def test_a_subscription_tells_until_when_it_is_paid(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["GET /v1/subscriptions/sub_1"] = subscription("active")
    assert gateway.subscription_state("sub_1") == SubscriptionState("sub_1", "active", is_ended=False, current_period_end=at(END))
    assert code_of(gateway.subscription_state("sub_2")) == (AnswerKind.MAYBE_EXECUTED, "resource_missing")


def test_a_credit_note_links_the_refund_and_asks_for_no_other(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["POST /v1/credit_notes"] = {"id": "cn_1", "object": "credit_note", "number": "A-0001-CN-01"}
    note = gateway.record_credit_note(invoice_id="in_1", gateway_refund_id="re_1", amount=Money(500, "EUR"), idempotency_key="note-1")
    assert note == CreditNote("cn_1", "A-0001-CN-01")
    assert stub.params_of("POST /v1/credit_notes") == {
        "invoice": "in_1",
        "amount": "500",
        "refunds[0][refund]": "re_1",
        "refunds[0][amount_refunded]": "500",
    }


def test_a_credit_note_that_was_voided_or_is_void_already_is_void(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["POST /v1/credit_notes/cn_1/void"] = {"id": "cn_1", "object": "credit_note", "status": "void"}
    assert gateway.void_credit_note("cn_1", idempotency_key="void-1").kind == AnswerKind.SUCCEEDED
    stub.answers["GET /v1/credit_notes/cn_2"] = {"id": "cn_2", "object": "credit_note", "status": "void"}
    assert gateway.void_credit_note("cn_2", idempotency_key="void-2").kind == AnswerKind.SUCCEEDED


def test_a_credit_note_that_stripe_lets_stand_is_refused_for_good(stub: Stub, gateway: StripeGateway) -> None:
    stub.answers["GET /v1/credit_notes/cn_1"] = {"id": "cn_1", "object": "credit_note", "status": "issued"}
    assert gateway.void_credit_note("cn_1", idempotency_key="void-1").kind == AnswerKind.DEFINITIVE_NO


def test_a_test_payment_is_never_made_in_live_mode(stub: Stub) -> None:
    live = StripeGateway("sk_live_1", api_base=stub.url, livemode=True)
    with pytest.raises(ValueError, match="live"):
        live.make_test_payment(Money(100, "EUR"), key="self-test")
    assert stub.asked == []


@given(
    st.lists(
        st.tuples(st.integers(min_value=0, max_value=10**6), st.integers(min_value=0, max_value=25)),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.integers(min_value=-(10**5), max_value=-1), max_size=3),
)
def test_credits_come_off_the_other_lines_to_the_cent(charged: list[tuple[int, int]], credits_given: list[int]) -> None:
    def line(minor: int, rate: int) -> SaleLine:
        tax = minor * rate // (100 + rate)
        return SaleLine(source_id="il", name="", sku="", quantity=1, paid=Money(minor, "EUR"), tax=Money(tax, "EUR"))

    lines = [line(minor, rate) for minor, rate in charged] + [line(minor, 0) for minor in credits_given]
    left = _without_credits(lines)
    assert sum(line.paid.minor for line in left) == max(0, sum(line.paid.minor for line in lines))
    assert all(0 <= line.tax.minor <= line.paid.minor for line in left)
