"""Where the shop meets its payment provider and the refund plugin: what was paid, what was bought, what was used."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

import stripe
from dateutil.relativedelta import relativedelta
from django.conf import settings

from demo.shop.models import LockedCopies, ProductPage, ProductType
from refund_plugin.money import Money, share_of
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.models import AccessKind, Purchase, PurchaseLine
from refund_plugin.orders.queries import usage_of
from refund_plugin.orders.services import record_purchase
from refund_plugin.stores.services import ensure_default_store

ACCOUNT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """Who buys; `user_id` only when they are logged in."""

    email: str
    name: str = ""
    country: str = ""
    user_id: int | None = None


class PaymentDeclined(Exception):
    """The provider did not take the payment; the message is its own."""


def line_of(product: ProductPage, *, bought_at: datetime, quantity: int = 1) -> LineData:
    """Describe one product of an order to the plugin."""
    paid_minor = Money.from_decimal(product.price, product.currency).minor * quantity
    rate = product.tax_rate_percent
    term_end = bought_at + relativedelta(months=product.term_months) if product.term_months else None
    return LineData(
        sku=product.sku,
        name=product.title,
        product_type=product.product_type,
        tags=tuple(product.tags),
        nature="service" if product.is_service else "content",
        quantity=quantity,
        paid_minor=paid_minor,
        tax_minor=share_of(paid_minor, int(rate * 100), int((100 + rate) * 100)),
        tax_rate_percent=rate,
        term_start=bought_at if term_end else None,
        term_end=term_end,
        units_granted=product.lessons,
        unit_name="lesson" if product.lessons else "",
    )


def place_order(product: ProductPage, buyer: Buyer, *, now: datetime) -> Purchase:
    """Take the payment, then record the purchase.

    Raises:
        PaymentDeclined: nothing was taken or recorded.
    """
    line = line_of(product, bought_at=now)
    number = f"PH-{secrets.token_hex(3).upper()}"
    account = settings.REFUND_PLUGIN["GATEWAYS"][ACCOUNT]
    client = stripe.StripeClient(account["api_key"], base_addresses={"api": account["api_base"]}, max_network_retries=2)
    try:
        intent = client.v1.payment_intents.create(
            {
                "amount": line.paid_minor,
                "currency": product.currency.lower(),
                "payment_method": "pm_card_visa",
                "confirm": True,
                "metadata": {"order": number},
            },
            {"idempotency_key": f"order-{number}"},
        )
    except stripe.StripeError as error:
        raise PaymentDeclined(error.user_message or str(error)) from error
    payment = PaymentData(
        gateway_payment_id=intent.id,
        captured_minor=line.paid_minor,
        account=ACCOUNT,
        method="card",
        brand="visa",
        last4="4242",
        captured_at=now,
    )
    return record_order(number=number, buyer=buyer, currency=product.currency, lines=(line,), payments=(payment,), bought_at=now, now=now)


def record_order(
    *,
    number: str,
    buyer: Buyer,
    currency: str,
    lines: tuple[LineData, ...],
    payments: tuple[PaymentData, ...],
    bought_at: datetime,
    now: datetime,
) -> Purchase:
    """Tell the plugin about an order; telling it again changes nothing."""
    data = PurchaseData(
        number=number,
        email=buyer.email,
        customer_name=buyer.name,
        user_id=buyer.user_id,
        country=buyer.country,
        buyer_kind="consumer",
        currency=currency,
        purchased_at=bought_at,
        lines=lines,
        payments=payments,
    )
    return record_purchase(store=ensure_default_store(), data=data, now=now)[0]


@dataclass(frozen=True, slots=True)
class LibraryItem:
    """A bought thing as the library shows it. `used` and `of` count lessons; `frozen` and `revoked` count copies."""

    line: PurchaseLine
    product: ProductPage | None
    used: int
    of: int | None
    frozen: int = 0
    revoked: int = 0

    @property
    def locked(self) -> str:
        """Why it cannot be opened; empty when it can."""
        if self.frozen + self.revoked < self.line.quantity:
            return ""
        return "refund under way" if self.frozen else "given back"

    @property
    def action(self) -> str:
        """What the button says."""
        match self.line.product_type:
            case ProductType.COURSE:
                return "All lessons seen" if self.of is not None and self.used >= self.of else f"Watch lesson {self.used + 1}"
            case ProductType.PLUGIN:
                return "Activate the licence"
            case ProductType.SUBSCRIPTION:
                return "Read"
            case _:
                return "Download"

    @property
    def finished(self) -> bool:
        """There is nothing more to open."""
        return self.of is not None and self.used >= self.of


def library_items(purchases: list[Purchase]) -> list[LibraryItem]:
    """Return every line of the purchases with how far it was used and whether it is locked, in three queries."""
    lines = [line for purchase in purchases for line in purchase.lines.all()]
    usage = usage_of(lines)
    products = {product.sku: product for product in ProductPage.objects.filter(sku__in={line.sku for line in lines})}
    locked = LockedCopies.objects.in_bulk([line.pk for line in lines])
    items = []
    for line in lines:
        lock = locked.get(line.pk)
        copies = (lock.frozen, lock.revoked) if lock else (0, 0)
        items.append(LibraryItem(line, products.get(line.sku), usage[line.pk].units_used, line.units_granted, *copies))
    return items


def open_line(item: LibraryItem, *, now: datetime) -> None:
    """Record that the customer used what they bought."""
    line = item.line
    match line.product_type:
        case ProductType.COURSE:
            lesson = item.used + 1
            record_access(line=line, kind=AccessKind.CONSUMED, source_id=f"lesson-{lesson}", occurred_at=now)
        case ProductType.PLUGIN:
            record_access(line=line, kind=AccessKind.ACTIVATED, source_id=f"activation-{secrets.token_hex(8)}", occurred_at=now)
        case ProductType.SUBSCRIPTION:
            record_access(line=line, kind=AccessKind.STREAMED, amount=0, source_id=f"visit-{now:%Y-%m-%d}", occurred_at=now)
        case _:
            record_access(line=line, kind=AccessKind.DOWNLOADED, source_id=f"download-{secrets.token_hex(8)}", occurred_at=now)
