"""What is bought at a Saleor becomes a purchase here, whatever order its events come in, and what is refunded there is known here."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from refund_plugin import clock
from refund_plugin.gateways.services import account_slugs, gateway_for
from refund_plugin.orders.models import AccessEvent, Payment, Purchase
from refund_plugin.orders.queries import purchase_of_saleor_order, usage_of
from refund_plugin.refunds.models import Refund, RefundOrigin
from refund_plugin.webhooks.models import InboxState, WebhookEvent
from tests.saleor.orders.shop import Shop
from tests.saleor.standin.traps import Fault

pytestmark = pytest.mark.django_db


def test_a_paid_order_is_recorded_with_what_was_bought_and_paid(shop: Shop) -> None:
    customer = shop.saleor.add_user("ada@example.com")
    ebook = {"name": "Herons", "sku": "HERON", "price": "12.00", "quantity": 2, "tax_rate": "0.2", "collections": ("birds",)}
    told = {"refunds.units": "3", "refunds.unit_name": "reads", "refunds.nature": "service", "refunds.tags": "new, signed"}
    order, transaction = shop.sell({**ebook, "product_metadata": told}, email="Ada@example.com", user=customer)
    shop.hear()

    purchase = shop.purchase(order)
    assert (purchase.number, purchase.customer.email, purchase.currency) == (order.number, "ada@example.com", "EUR")
    assert (purchase.channel, purchase.country, purchase.purchased_at) == ("default-channel", "DE", order.created)
    assert purchase.metadata | {"sale": ""} == {"saleor_order": order.id, "saleor_customer": customer.id, "sale": ""}
    assert purchase_of_saleor_order(store=shop.store, order_id=order.id) == purchase
    (line,) = purchase.lines.all()
    assert (line.name, line.sku, line.quantity, line.product_type) == ("Herons (PDF)", "HERON", 2, "digital")
    assert (line.paid_minor, line.tax_minor, line.tax_rate_percent) == (2400, 400, 20)
    assert (line.units_granted, line.unit_name, line.nature) == (6, "reads", "service")
    assert (line.categories, line.tags) == (["books"], ["birds", "new", "signed"])
    assert line.metadata == {"saleor_line": order.lines[0].id}
    payment = shop.payment(order)
    assert (payment.account.slug, payment.livemode, payment.gateway_payment_id) == ("paper-heron", True, transaction.id)
    assert (payment.captured_minor, payment.is_captured, payment.history_due_at) == (2400, True, None)
    assert payment.metadata == {"saleor_transaction": transaction.id}


def test_a_payment_of_our_own_app_belongs_to_the_account_where_its_money_is(shop: Shop) -> None:
    order, transaction = shop.sell(ours="pi_1")
    shop.hear()
    payment = shop.payment(order)
    assert (payment.account.slug, payment.gateway_payment_id) == ("main", "pi_1")
    assert payment.metadata == {"saleor_transaction": transaction.id}


def test_an_installed_saleor_is_an_account_and_its_own_order_book_until_the_app_is_removed(shop: Shop) -> None:
    assert account_slugs() == ["main", "paper-heron"]
    first = gateway_for(shop.account)
    assert gateway_for(shop.account) is first
    shop.saleor.uninstall(shop.app)
    shop.saleor.work()
    assert account_slugs() == ["main"]


@pytest.mark.parametrize(
    ("options", "line", "is_digital"),
    [
        ({}, {}, True),
        ({}, {"shipping": True}, False),
        ({}, {"shipping": True, "private_metadata": {"refunds.digital": "yes"}}, True),
        ({}, {"private_metadata": {"refunds.digital": "no"}}, False),
        ({"product_types": ["ebook"]}, {"type": "ebook"}, True),
        ({"product_types": ["ebook"]}, {"type": "voucher"}, False),
        ({"product_types": ["ebook"]}, {"type": "ebook", "shipping": True}, False),
        ({"metadata": {"kind": "digital"}}, {"private_metadata": {"kind": "digital"}}, True),
        ({"metadata": {"kind": "digital"}}, {"product_metadata": {"kind": "digital"}}, True),
        ({"metadata": {"kind": "digital"}}, {"product_metadata": {"kind": "digital"}, "private_metadata": {"kind": "print"}}, False),
        ({"metadata": {"kind": ""}}, {"private_metadata": {"kind": "anything"}}, True),
        ({"metadata": {"kind": ""}}, {}, False),
    ],
)
def test_which_lines_are_digital(shop: Shop, settings: Any, options: dict[str, Any], line: dict[str, Any], is_digital: bool) -> None:
    address = shop.saleor.api_url
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {address: {**settings.REFUND_PLUGIN["SALEOR"][address], **options}}}
    order, _transaction = shop.sell({"sku": "ASKED", **line})
    shop.hear()
    assert Purchase.objects.filter(metadata__saleor_order=order.id).exists() is is_digital
    assert shop.waiting() == []


def test_what_a_buyer_writes_on_a_line_makes_nothing_digital_and_grants_nothing(shop: Shop) -> None:
    # anybody may write a checkout line's metadata, and Saleor copies it to the order's line
    told = {
        "refunds.digital": "yes",
        "refunds.nature": "service",
        "refunds.units": "9",
        "refunds.product_type": "free",
        "refunds.tags": "free",
    }
    order, _transaction = shop.sell(
        {"price": "10.00", "metadata": told}, {"price": "15.00", "shipping": True, "sku": "MUG", "metadata": told}
    )
    shop.hear()
    (line,) = shop.purchase(order).lines.all()
    assert (line.paid_minor, line.nature, line.units_granted, line.product_type, line.tags) == (1000, "content", None, "digital", [])


def test_things_that_are_shipped_are_left_out_and_the_payment_is_whole(shop: Shop) -> None:
    order, _transaction = shop.sell({"price": "10.00"}, {"price": "15.00", "shipping": True, "sku": "MUG"})
    shop.hear()
    assert [line.paid_minor for line in shop.purchase(order).lines.all()] == [1000]
    assert shop.payment(order).captured_minor == 2500


@pytest.mark.parametrize(("currency", "price", "minor"), [("JPY", "1200", 1200), ("KWD", "12.345", 12345)])
def test_amounts_are_exact_in_every_currency(shop: Shop, currency: str, price: str, minor: int) -> None:
    shop.saleor.add_channel(currency.lower(), currency)
    order, _transaction = shop.sell({"price": price}, channel=currency.lower())
    shop.hear()
    assert (shop.payment(order).captured_minor, shop.purchase(order).lines.get().paid_minor) == (minor, minor)


@pytest.mark.parametrize("seed", range(4))
def test_events_in_any_order_and_twice_end_in_the_same_record(shop: Shop, seed: int) -> None:
    order, transaction = shop.sell({"price": "30.00"})
    shop.saleor.refund_at_once(transaction, "10.00")
    shop.saleor.work()
    for _time in range(2):
        for event in ("ORDER_UPDATED", "ORDER_FULLY_PAID", "ORDER_REFUNDED", "ORDER_UPDATED"):
            shop.saleor.tell(event, order)
    shop.hear(Random(seed).choice)
    shop.hear()
    payment = shop.payment(order)
    assert (payment.gone_minor, payment.held_minor, payment.over_minor, payment.unallocated_minor) == (1000, 0, 0, 1000)
    assert (Purchase.objects.count(), Payment.objects.count(), Refund.objects.count()) == (1, 1, 1)
    assert set(WebhookEvent.objects.values_list("state", flat=True)) == {InboxState.DONE}


def test_a_refund_made_in_saleor_by_staff_counts_here_and_pays_nothing(shop: Shop) -> None:
    order, transaction = shop.sell({"price": "30.00"})
    shop.hear()
    shop.saleor.other.default = "async"
    grant = shop.saleor.grant(order, transaction, "12.00")
    shop.saleor.send_refund(grant)
    shop.hear()
    shop.saleor.tell("ORDER_UPDATED", order)
    shop.hear()
    (refund,) = Refund.objects.all()
    assert (refund.origin, refund.state, refund.amount_minor) == (RefundOrigin.EXTERNAL, "pending", 1200)
    assert refund.gateway_refund_id == f"{transaction.id}:{grant.id}"
    shop.saleor.settle_other()
    shop.hear()
    refund.refresh_from_db()
    assert refund.state == "succeeded"
    assert (shop.payment(order).gone_minor, shop.saleor.other.paid_for(transaction.id)) == (1200, Decimal("12.00"))


def test_a_canceled_order_keeps_its_record_because_its_money_is_still_there(shop: Shop) -> None:
    order, _transaction = shop.sell({"price": "30.00"})
    shop.hear()
    shop.saleor.cancel(order)
    shop.hear()
    assert (shop.payment(order).captured_minor, shop.payment(order).gone_minor) == (3000, 0)


def test_downloads_that_saleor_counted_are_use_until_the_version_that_counts_none(shop: Shop, saleor_version: str) -> None:
    order, _transaction = shop.sell({"price": "30.00", "downloads": 2})
    shop.hear()
    line = shop.purchase(order).lines.get()
    counts = saleor_version == "3.22"
    assert usage_of([line])[line.pk].downloads == (2 if counts else 0)
    for downloads in (5, 5, 3):
        order.lines[0].downloads = downloads
        shop.saleor.tell("ORDER_UPDATED", order)
        shop.hear()
    assert usage_of([line])[line.pk].downloads == (5 if counts else 0)
    assert list(AccessEvent.objects.values_list("amount", "source")) == ([(2, "saleor"), (3, "saleor")] if counts else [])


def test_an_order_that_is_paid_otherwise_later_stays_one_purchase(shop: Shop) -> None:
    order, first = shop.sell({"price": "30.00"})
    shop.hear()
    shop.saleor.refund_at_once(first)
    shop.hear()
    shop.saleor.pay(order, amount="30.00")
    shop.hear()
    assert Purchase.objects.count() == 1


def test_an_event_of_an_order_that_cannot_be_read_now_is_applied_later(shop: Shop) -> None:
    order, _transaction = shop.sell({"price": "30.00"})
    shop.saleor.traps.add(Fault("502", operation="OrderById", times=1))
    shop.hear()
    assert not Purchase.objects.exists() or shop.purchase(order)
    with clock.travel(timedelta(minutes=10)):
        WebhookEvent.objects.filter(state=InboxState.WAITING).update(due_at=clock.database_now())
        shop.hear()
    assert shop.payment(order).captured_minor == 3000
    assert shop.waiting() == []
