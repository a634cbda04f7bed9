"""Believable purchases and policies for tests, made through the same services a store uses."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.models import Purchase
from refund_plugin.orders.services import record_purchase
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.services import freeze_policy
from refund_plugin.rules import Clause, MoneyBack, NonRefundable, PolicyDocument, ProRated, Selector, UnusedOnly, dump_document
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store

NOW = datetime(2026, 3, 9, 13, 2, 11, tzinfo=UTC)
BOUGHT = NOW - timedelta(days=6)
MEMORY = {"GATEWAYS": {"main": {"kind": "memory"}}}

EBOOK = LineData(sku="EBOOK-1", name="The Slow Web", product_type="ebook", paid_minor=1820, tax_minor=119)
COURSE = LineData(
    sku="COURSE-1",
    name="Photo editing, a course",
    product_type="course",
    paid_minor=2987,
    tax_minor=477,
    units_granted=12,
    unit_name="lesson",
)
SALE = LineData(sku="SALE-1", name="Last-chance font", product_type="font", tags=("final-sale",), paid_minor=900)
LICENCE = LineData(sku="GRAIN-1", name="Grain Pack, plug-in licence", product_type="plugin", paid_minor=2400, quantity=3)

CLAUSES: tuple[Clause, ...] = (
    NonRefundable(anchor="final-sale", selector=Selector(tags=frozenset({"final-sale"})), reason="Sold at a final discount."),
    UnusedOnly(anchor="unused", window_days=30, selector=Selector(product_types=frozenset({"ebook"}))),
    ProRated(anchor="lessons", by="unit", selector=Selector(product_types=frozenset({"course"}))),
    MoneyBack(anchor="guarantee", window_days=30),
)

_numbers = itertools.count(5000)


def publish_policy(
    *, clauses: Sequence[Clause] = CLAUSES, store: Store | None = None, now: datetime = NOW - timedelta(days=365), limit: int | None = None
) -> PolicyVersion:
    """Freeze a policy and assign it to the store (the default one)."""
    document = PolicyDocument(clauses=tuple(clauses), auto_approve_limit={} if limit is None else {"EUR": limit})
    store = store or ensure_default_store()
    return freeze_policy(key=f"policy-{store.slug}", title="Refunds", document=dump_document(document), now=now, assign_to=store)


def make_purchase(
    *,
    lines: Sequence[LineData] = (EBOOK,),
    number: str = "",
    email: str = "ada@example.com",
    payments: Sequence[int] | None = None,
    purchased_at: datetime = BOUGHT,
    currency: str = "EUR",
    store: Store | None = None,
    user_id: object | None = None,
    captured: bool = True,
) -> Purchase:
    """Record a purchase whose payments (minor units each) exist at the gateway when that is the one in memory."""
    number = number or str(next(_numbers))
    amounts = list(payments) if payments is not None else [sum(line.paid_minor for line in lines)]
    data = PurchaseData(
        number=number,
        email=email,
        currency=currency,
        purchased_at=purchased_at,
        lines=tuple(lines),
        user_id=user_id,
        payments=tuple(
            PaymentData(
                gateway_payment_id=f"pi_{number}_{index}",
                captured_minor=amount,
                method="card",
                brand="visa",
                last4="4242",
                captured_at=purchased_at,
            )
            for index, amount in enumerate(amounts)
        ),
    )
    purchase, _recorded = record_purchase(store=store or ensure_default_store(), data=data, now=purchased_at)
    gateway = gateway_for(default_account())
    if isinstance(gateway, MemoryGateway) and captured:
        for payment in data.payments:
            gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, currency))
    return purchase


def line_with(line: LineData, **changes: object) -> LineData:
    """Return a variation of a line."""
    return replace(line, **changes)
