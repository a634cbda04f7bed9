"""Checkout and Billing in the sandbox, through Stripe's own SDK over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from demo.sandbox.sales import end_of_period
from tests.demo.conftest import client_of
from tests.demo.receiver import Receiver
from tests.demo.test_sandbox_events import verified
from tests.demo.test_sandbox_faults import refusal_of
from tests.demo.test_sandbox_refunds import error_of

YEAR = {"interval": "year", "interval_count": 1}


def make_price(client: stripe.StripeClient, amount: int = 1190, name: str = "E-book", **given: Any) -> stripe.Price:
    product = client.v1.products.create({"name": name, "metadata": {"sku": "BOOK-1", "nature": "content"}})
    return client.v1.prices.create({"product": product.id, "unit_amount": amount, "currency": "eur", **given})


def open_session(client: stripe.StripeClient, lines: list[dict[str, Any]], mode: str = "payment", **given: Any) -> stripe.checkout.Session:
    params: Any = {"mode": mode, "line_items": lines, "success_url": "https://shop.example/thanks", **given}
    return client.v1.checkout.sessions.create(params)


def tax_rate(client: stripe.StripeClient, percentage: float = 19, inclusive: bool = True) -> str:
    return client.v1.tax_rates.create({"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}).id


def event_types(client: stripe.StripeClient) -> list[str]:
    return [event.type for event in client.v1.events.list({"limit": 100}).data][::-1]


def test_a_session_that_is_paid_names_its_payment_its_customer_and_its_lines(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    price = make_price(client)
    session = open_session(client, [{"price": price.id, "quantity": 2, "tax_rates": [tax_rate(client)]}], client_reference_id="1042")
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    sandbox.post(
        f"checkout/sessions/{session.id}/complete",
        email="eva@example.com",
        name="Eva",
        country="FR",
        tax_ids=[{"type": "eu_vat", "value": "FR1"}],
    )
    params: Any = {"expand": ["line_items.data.price.product", "line_items.data.taxes", "payment_intent.latest_charge"]}
    paid = client.v1.checkout.sessions.retrieve(session.id, params).to_dict()
    assert (paid["status"], paid["payment_status"], paid["amount_total"]) == ("complete", "paid", 2380)
    details = paid["customer_details"]
    assert (details["email"], details["address"]["country"], details["tax_ids"][0]["type"]) == ("eva@example.com", "FR", "eu_vat")
    (item,) = paid["line_items"]["data"]
    assert (item["amount_subtotal"], item["amount_tax"], item["amount_total"], item["quantity"]) == (2380, 380, 2380, 2)
    assert (item["price"]["product"]["metadata"]["sku"], item["taxes"][0]["rate"]["percentage"]) == ("BOOK-1", 19)
    assert (paid["payment_intent"]["amount"], paid["payment_intent"]["latest_charge"]["billing_details"]["email"]) == (
        2380,
        "eva@example.com",
    )
    assert event_types(client)[-3:] == ["charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"]
    assert client.v1.refunds.create({"payment_intent": paid["payment_intent"]["id"], "amount": 1190}).status == "succeeded"


def test_lines_taxes_and_products_come_only_when_they_are_asked_for(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = open_session(client, [{"price": make_price(client).id, "quantity": 1}])
    assert "line_items" not in client.v1.checkout.sessions.retrieve(session.id).to_dict()
    (item,) = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items"]}).to_dict()["line_items"]["data"]
    assert "taxes" not in item
    assert isinstance(item["price"]["product"], str)
    deep: Any = {"expand": ["data.line_items.data.price.product"]}
    assert error_of(client.v1.checkout.sessions.list, deep).param == "expand"  # five levels; Stripe allows four
    assert error_of(client.v1.checkout.sessions.retrieve, session.id, {"expand": ["weather"]}).param == "expand"


def test_a_session_shows_ten_lines_and_lists_all_of_them(client: stripe.StripeClient) -> None:
    price = make_price(client)
    session = open_session(client, [{"price": price.id, "quantity": number} for number in range(1, 24)])
    shown = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["line_items"]}).line_items
    assert shown is not None
    assert (len(shown.data), shown.has_more) == (10, True)
    assert [item.quantity for item in shown.auto_paging_iter()] == list(range(1, 24))
    listed = client.v1.checkout.sessions.line_items.list(session.id, {"limit": 5, "expand": ["data.taxes"]})
    assert [item.quantity for item in listed.data] == [1, 2, 3, 4, 5]
    assert listed.data[0].taxes == []


@pytest.mark.parametrize(
    ("inclusive", "discount", "total", "tax"),
    [(True, 0, 3000, 479), (False, 0, 3570, 570), (True, 500, 2500, 399), (False, 500, 2975, 475)],
)
def test_discounts_and_taxes_of_the_lines_add_up(
    sandbox: SandboxServer, client: stripe.StripeClient, inclusive: bool, discount: int, total: int, tax: int
) -> None:
    rate = tax_rate(client, inclusive=inclusive)
    lines = [{"price": make_price(client, amount).id, "quantity": 1, "tax_rates": [rate]} for amount in (999, 2001)]
    session = open_session(client, lines)
    paid = sandbox.post(f"checkout/sessions/{session.id}/complete", discount=discount)
    items = client.v1.checkout.sessions.line_items.list(session.id).data
    assert paid["amount_total"] == total == sum(item.amount_total for item in items)
    assert paid["total_details"]["amount_discount"] == discount == sum(item.amount_discount for item in items)
    assert paid["total_details"]["amount_tax"] == sum(item.amount_tax for item in items)
    assert abs(paid["total_details"]["amount_tax"] - tax) <= 1  # each line is rounded by itself
    assert client.v1.payment_intents.retrieve(paid["payment_intent"]).amount == total


def test_a_payment_that_takes_days_is_told_when_it_has_come(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = open_session(client, [{"price": make_price(client).id, "quantity": 1}])
    assert sandbox.post(f"checkout/sessions/{session.id}/complete", later=True)["payment_status"] == "unpaid"
    assert event_types(client)[-1] == "checkout.session.completed"
    paid = sandbox.post(f"checkout/sessions/{session.id}/pay")
    assert (paid["payment_status"], paid["payment_intent"][:3]) == ("paid", "pi_")
    assert event_types(client)[-1] == "checkout.session.async_payment_succeeded"
    assert refusal_of(sandbox, f"checkout/sessions/{session.id}/pay") == 400


def test_a_session_is_paid_once(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = open_session(client, [{"price": make_price(client).id, "quantity": 1}])
    sandbox.post(f"checkout/sessions/{session.id}/complete")
    assert refusal_of(sandbox, f"checkout/sessions/{session.id}/complete") == 400
    assert len(client.v1.payment_intents.list().data) == 1


def test_a_session_can_only_authorise(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    data = {"capture_method": "manual", "metadata": {"order": "7"}}
    session = open_session(client, [{"price": make_price(client).id, "quantity": 1}], payment_intent_data=data)
    paid = sandbox.post(f"checkout/sessions/{session.id}/complete")
    intent = client.v1.payment_intents.retrieve(paid["payment_intent"]).to_dict()
    assert (intent["status"], intent["metadata"]) == ("requires_capture", {"order": "7"})


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "weather"},
        {"line_items": []},
        {"line_items": [{"price": "price_nobody", "quantity": 1}]},
        {"line_items": [{"quantity": 1}]},
        {"line_items": [{"price_data": {"currency": "eur", "unit_amount": 5, "product_data": {"name": "x", "colour": "red"}}}]},
        {"mode": "subscription"},
        {"customer": "cus_nobody"},
        {"colour": "red"},
    ],
)
def test_sessions_that_stripe_would_refuse_are_refused(client: stripe.StripeClient, change: dict[str, Any]) -> None:
    params: Any = {"mode": "payment", "line_items": [{"price": make_price(client).id, "quantity": 1}], **change}
    assert error_of(client.v1.checkout.sessions.create, params).http_status == 400
    assert client.v1.checkout.sessions.list().data == []


def test_a_price_can_be_made_on_the_way(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    data = {"currency": "eur", "unit_amount": 700, "product_data": {"name": "Lesson", "metadata": {"sku": "L1"}}}
    session = open_session(client, [{"price_data": data, "quantity": 1}])
    (item,) = client.v1.checkout.sessions.line_items.list(session.id, {"expand": ["data.price.product"]}).to_dict()["data"]
    assert (item["description"], item["price"]["product"]["metadata"]) == ("Lesson", {"sku": "L1"})


def subscribe(sandbox: SandboxServer, client: stripe.StripeClient, **price: Any) -> dict[str, Any]:
    """A year from Checkout, in the state of its session."""
    recurring = price.pop("recurring", YEAR)
    made = make_price(client, 12000, "Magazine", recurring=recurring)
    rate = tax_rate(client, percentage=7)
    session = open_session(client, [{"price": made.id, "quantity": 1, "tax_rates": [rate]}], mode="subscription", **price)
    paid: dict[str, Any] = sandbox.post(f"checkout/sessions/{session.id}/complete", email="eva@example.com", country="DE")
    return paid


def test_a_subscription_begins_with_a_paid_invoice_for_its_period(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = subscribe(sandbox, client, subscription_data={"metadata": {"plan": "gold"}})
    assert session["payment_intent"] is None
    running = client.v1.subscriptions.retrieve(session["subscription"], {"expand": ["latest_invoice"]}).to_dict()
    assert (running["status"], running["metadata"]) == ("active", {"plan": "gold"})
    invoice = client.v1.invoices.retrieve(session["invoice"], {"expand": ["payments"]}).to_dict()
    assert running["latest_invoice"]["id"] == invoice["id"]
    assert (invoice["status"], invoice["total"], invoice["billing_reason"]) == ("paid", 12000, "subscription_create")
    assert invoice["parent"]["subscription_details"] == {"metadata": {"plan": "gold"}, "subscription": running["id"]}
    (line,) = invoice["lines"]["data"]
    (item,) = running["items"]["data"]
    assert line["period"] == {"start": item["current_period_start"], "end": item["current_period_end"]}
    assert line["pricing"]["price_details"]["price"] == item["price"]["id"]
    assert line["parent"]["subscription_item_details"]["subscription_item"] == item["id"]
    start, end = (datetime.fromtimestamp(moment, UTC) for moment in (item["current_period_start"], item["current_period_end"]))
    assert (end.year - start.year, end.month, end.hour) == (1, start.month, start.hour)
    (tax,) = line["taxes"]
    assert (tax["amount"], tax["tax_behavior"], invoice["total_excluding_tax"]) == (785, "inclusive", 11215)
    assert client.v1.tax_rates.retrieve(tax["tax_rate_details"]["tax_rate"]).percentage == 7
    (payment,) = invoice["payments"]["data"]
    intent = client.v1.payment_intents.retrieve(payment["payment"]["payment_intent"])
    assert (intent.amount, intent.status, payment["status"]) == (12000, "succeeded", "paid")
    assert {"customer.subscription.created", "invoice.paid", "checkout.session.completed"} <= set(event_types(client))


def test_payments_of_an_invoice_come_only_when_asked_for(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = subscribe(sandbox, client)
    assert "payments" not in client.v1.invoices.retrieve(session["invoice"]).to_dict()
    (payment,) = client.v1.invoice_payments.list({"invoice": session["invoice"]}).data
    assert payment.amount_paid == 12000


@pytest.mark.parametrize(
    ("start", "interval", "count", "end"),
    [
        ("2026-01-31", "month", 1, "2026-02-28"),
        ("2028-01-31", "month", 1, "2028-02-29"),
        ("2026-12-15", "month", 1, "2027-01-15"),
        ("2028-02-29", "year", 1, "2029-02-28"),
        ("2026-11-30", "month", 15, "2028-02-29"),
        ("2026-12-30", "week", 2, "2027-01-13"),
        ("2026-12-30", "day", 3, "2027-01-02"),
    ],
)
def test_periods_end_where_the_calendar_says(start: str, interval: str, count: int, end: str) -> None:
    begins, ends = (int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()) for day in (start, end))
    assert end_of_period(begins, {"interval": interval, "interval_count": count}) == ends


def test_a_renewal_is_another_payment_for_the_next_period(start: Callable[..., SandboxServer], receiver: Receiver) -> None:
    server = start(webhook_url=receiver.url)
    client = client_of(server)
    session = subscribe(server, client)
    first = client.v1.invoices.retrieve(session["invoice"]).to_dict()
    renewal = server.post(f"subscriptions/{session['subscription']}/renew")
    assert renewal["lines"]["data"][0]["period"]["start"] == first["lines"]["data"][0]["period"]["end"]
    assert (renewal["billing_reason"], renewal["number"]) == ("subscription_cycle", first["number"][:-1] + "2")
    deliveries = receiver.wait_for_type("invoice.paid", count=2)
    assert [verified(delivery).data.object["id"] for delivery in deliveries] == [first["id"], renewal["id"]]
    receiver.wait_for_type("customer.subscription.updated")
    listed = client.v1.invoices.list({"subscription": session["subscription"]}).data
    assert [invoice.id for invoice in listed] == [renewal["id"], first["id"]]
    assert len(client.v1.payment_intents.list({"customer": renewal["customer"]}).data) == 2


def test_a_subscription_ends_at_once_without_giving_anything_back_and_only_once(
    sandbox: SandboxServer, client: stripe.StripeClient
) -> None:
    session = subscribe(sandbox, client)
    ended = client.v1.subscriptions.cancel(session["subscription"], {"prorate": False, "invoice_now": False})
    assert (ended.status, ended.ended_at is not None) == ("canceled", True)
    assert event_types(client)[-1] == "customer.subscription.deleted"
    assert client.v1.refunds.list().data == []
    assert len(client.v1.invoices.list().data) == 1
    error = error_of(client.v1.subscriptions.cancel, session["subscription"])
    assert (error.http_status, error.code) == (404, "resource_missing")
    assert client.v1.subscriptions.retrieve(session["subscription"]).status == "canceled"
    assert refusal_of(sandbox, f"subscriptions/{session['subscription']}/renew") == 404


def test_what_the_sandbox_cannot_do_when_a_subscription_ends_is_refused(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = subscribe(sandbox, client)
    assert error_of(client.v1.subscriptions.cancel, session["subscription"], {"prorate": True}).http_status == 400
    assert client.v1.subscriptions.retrieve(session["subscription"]).status == "active"


def test_a_subscription_can_end_with_its_period(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    session = subscribe(sandbox, client)
    sandbox.post(f"subscriptions/{session['subscription']}/cancel", at_period_end=True)
    running = client.v1.subscriptions.retrieve(session["subscription"]).to_dict()
    assert (running["status"], running["cancel_at_period_end"]) == ("active", True)
    assert running["cancel_at"] == running["items"]["data"][0]["current_period_end"]
    resumed = client.v1.subscriptions.update(session["subscription"], {"cancel_at_period_end": False, "metadata": {"a": "b"}}).to_dict()
    assert (resumed["cancel_at"], resumed["metadata"]) == (None, {"a": "b"})


def test_canceled_subscriptions_are_listed_only_when_asked_for(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    kept, ended = (subscribe(sandbox, client)["subscription"] for _ in range(2))
    client.v1.subscriptions.cancel(ended)
    assert [item.id for item in client.v1.subscriptions.list().data] == [kept]
    assert [item.id for item in client.v1.subscriptions.list({"status": "all"}).data] == [ended, kept]
    assert [item.id for item in client.v1.subscriptions.list({"status": "canceled"}).data] == [ended]


def test_a_subscription_can_begin_without_checkout(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"email": "eva@example.com", "address": {"country": "AT"}})
    price = make_price(client, 900, recurring={"interval": "month"})
    running = client.v1.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
    (invoice,) = client.v1.invoices.list({"customer": customer.id}).data
    assert (running.status, invoice.total, invoice.customer_email) == ("active", 900, "eva@example.com")
    one_time: Any = {"customer": customer.id, "items": [{"price": make_price(client).id}]}
    assert error_of(client.v1.subscriptions.create, one_time).http_status == 400


def paid_invoice(sandbox: SandboxServer, client: stripe.StripeClient) -> tuple[str, str]:
    """An invoice over 120 euros and its payment."""
    invoice = subscribe(sandbox, client)["invoice"]
    (payment,) = client.v1.invoice_payments.list({"invoice": invoice}).data
    return invoice, str(payment.payment.payment_intent)


def test_a_credit_note_links_a_refund_and_moves_no_money(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    invoice, intent = paid_invoice(sandbox, client)
    refund = client.v1.refunds.create({"payment_intent": intent, "amount": 5000})
    link: Any = {"invoice": invoice, "amount": 5000, "refunds": [{"refund": refund.id, "amount_refunded": 5000}]}
    note = client.v1.credit_notes.create(link).to_dict()
    assert (note["amount"], note["type"], note["refunds"][0]["refund"]) == (5000, "post_payment", refund.id)
    assert note["number"].endswith("-CN-01")
    assert len(client.v1.refunds.list().data) == 1
    assert client.v1.invoices.retrieve(invoice).post_payment_credit_notes_amount == 5000
    assert event_types(client)[-1] == "credit_note.created"
    assert error_of(client.v1.credit_notes.create, link).http_status == 400  # the refund is linked already


def test_a_refund_amount_on_a_credit_note_pays_again_as_it_does_at_stripe(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    invoice, intent = paid_invoice(sandbox, client)
    client.v1.credit_notes.create({"invoice": invoice, "amount": 5000, "refund_amount": 5000})
    (refund,) = client.v1.refunds.list({"payment_intent": intent}).data
    assert refund.amount == 5000
    too_much: Any = {"invoice": invoice, "amount": 7001, "refund_amount": 7001}
    assert error_of(client.v1.credit_notes.create, too_much).http_status == 400
    assert len(client.v1.refunds.list().data) == 1


def test_credit_notes_that_do_not_add_up_are_refused(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    invoice, intent = paid_invoice(sandbox, client)
    refund = client.v1.refunds.create({"payment_intent": intent, "amount": 500}).id
    foreign = client.v1.refunds.create({"payment_intent": paid_invoice(sandbox, client)[1], "amount": 500}).id
    failed = client.v1.refunds.create({"payment_intent": intent, "amount": 500}).id
    sandbox.post(f"refunds/{failed}/fail")
    for amount, links in (
        (501, [{"refund": refund, "amount_refunded": 500}]),
        (501, [{"refund": refund, "amount_refunded": 501}]),
        (500, [{"refund": foreign, "amount_refunded": 500}]),
        (500, [{"refund": failed, "amount_refunded": 500}]),
        (500, []),
        (12001, [{"refund": refund, "amount_refunded": 500}]),
    ):
        params: Any = {"invoice": invoice, "amount": amount, "refunds": links} if links else {"invoice": invoice, "amount": amount}
        assert error_of(client.v1.credit_notes.create, params).http_status == 400
    assert client.v1.credit_notes.list({"invoice": invoice}).data == []


def test_sales_can_be_laid_down_at_once_and_are_listed_in_pages(sandbox: SandboxServer, client: stripe.StripeClient) -> None:
    lines = [{"name": "E-book", "amount": 1190, "metadata": {"sku": "B"}, "tax_percent": 19, "discount": 100}]
    ids = sandbox.post("sales/bulk", count=7, lines=lines, email="eva@example.com")["ids"]
    assert [item.id for item in client.v1.checkout.sessions.list({"limit": 3}).auto_paging_iter()] == ids[::-1]
    older = client.v1.checkout.sessions.retrieve(ids[3])
    listed = client.v1.checkout.sessions.list({"starting_after": ids[3], "created": {"gte": older.created - 60}}).data
    assert [item.id for item in listed] == ids[2::-1]
    assert client.v1.checkout.sessions.list({"created": {"gt": older.created + 3600}}).data == []
    invoice = sandbox.post("sales", mode="invoice", lines=[{"amount": 500, "quantity": 2}, {"amount": 100, "tax_percent": 7}])
    assert (invoice["total"], invoice["parent"], [line["amount"] for line in invoice["lines"]["data"]]) == (1100, None, [1000, 100])
    subscribed = sandbox.post("sales", mode="subscription", interval="week", lines=[{"amount": 500}])
    assert client.v1.subscriptions.retrieve(subscribed["subscription"]).status == "active"
