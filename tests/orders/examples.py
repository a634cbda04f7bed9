"""One believable order, and ways to vary it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from refund_plugin.orders.data import LineData, PaymentData, PurchaseData

NOW = datetime(2026, 3, 12, 13, 0, tzinfo=UTC)
BOUGHT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

EBOOK = LineData(
    sku="EBOOK-1",
    name="Letters to a Young Typographer",
    product_type="ebook",
    categories=("books", "design"),
    paid_minor=1820,
    tax_minor=119,
    tax_rate_percent=Decimal("7"),
)
COURSE = LineData(
    sku="COURSE-1", name="Grids in twelve lessons", nature="service", paid_minor=9000, quantity=3, units_granted=12, unit_name="lesson"
)
PAYMENT = PaymentData(gateway_payment_id="pi_1042", captured_minor=10820, method="card", brand="visa", last4="4242")


def order(number: str = "1042", **changes: object) -> PurchaseData:
    """Return order 1042 of ada@example.com, or a variation; another number pays with a payment of its own."""
    data = PurchaseData(
        number=number,
        email="ada@example.com",
        customer_name="Ada",
        currency="EUR",
        purchased_at=BOUGHT,
        buyer_kind="consumer",
        country="DE",
        channel="web",
        lines=(EBOOK, COURSE),
        payments=(replace(PAYMENT, gateway_payment_id=f"pi_{number}"),),
    )
    return replace(data, **changes)
