"""Sales and subscriptions of a gateway that also keeps the order book; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from refund_plugin.money import Money

SaleKind = Literal["checkout_session", "invoice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleLine:
    """One line of a sale.

    Attributes:
        paid: for all units, after discounts, tax included.
        tax: within `paid`.
        tax_rate_percent: of the net amount.
        term_start, term_end: of a subscription's period, UTC; None for what is bought once.
        units_granted: for all units; None for what is not counted.
        nature: "content", "service", or "" when the gateway does not say.
    """

    source_id: str
    name: str
    sku: str
    quantity: int
    paid: Money
    tax: Money
    tax_rate_percent: Decimal = Decimal(0)
    term_start: datetime | None = None
    term_end: datetime | None = None
    units_granted: int | None = None
    unit_name: str = ""
    product_type: str = ""
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    nature: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SalePayment:
    """One payment of a sale; as in `PaymentState`.

    Attributes:
        has_history: whether something of it was refunded or disputed when the sale was read.
        charge_id: another name of the payment, if the gateway has one.
    """

    gateway_payment_id: str
    captured: Money
    is_captured: bool
    method: str = ""
    brand: str = ""
    last4: str = ""
    paid_at: datetime | None = None
    settlement: Money | None = None
    fee: Money | None = None
    has_history: bool = False
    charge_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One sale; its lines add up to its total, without shipping.

    Attributes:
        source_id: the gateway's id of it.
        number: for people; the source id when the gateway gave none.
        country: ISO 3166, upper case; "" when unknown.
        locale: a language code; "" when unknown.
        buyer_kind: "business" when a tax number was given, else "unknown".
        invoice_id: of the invoice it is on, to which credit notes belong.
    """

    source_id: str
    kind: SaleKind
    number: str
    email: str
    name: str
    country: str
    currency: str
    purchased_at: datetime
    lines: tuple[SaleLine, ...]
    payments: tuple[SalePayment, ...]
    locale: str = ""
    subscription_id: str = ""
    invoice_id: str = ""
    buyer_kind: Literal["business", "unknown"] = "unknown"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SalePage:
    """One page of a listing, newest first: ids for `read_sale`; `cursor` asks for the next page and is "" on the last."""

    source_ids: tuple[str, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """A subscription as its gateway has it.

    Attributes:
        status: the gateway's own word.
        is_ended: it will never renew again, and its access ended too.
        current_period_end: until when it is paid, UTC.
    """

    subscription_id: str
    status: str
    is_ended: bool
    canceled_at: datetime | None = None
    current_period_end: datetime | None = None
    cancel_at_period_end: bool = False


@dataclass(frozen=True, slots=True)
class CreditNote:
    """A credit note that the gateway recorded; it moves no money."""

    credit_note_id: str
    number: str
