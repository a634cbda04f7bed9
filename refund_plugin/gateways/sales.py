"""Sales and subscriptions of a gateway that also keeps the order book; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from refund_plugin.gateways.answers import ListedRefund
from refund_plugin.money import Money

SaleKind = Literal["checkout_session", "invoice", "order"]


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
        metadata: kept with the purchase's line, such as the store's own id of it.
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
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SalePayment:
    """One payment of a sale; as in `PaymentState`.

    Attributes:
        has_history: whether something of it was refunded or disputed when the sale was read; None when the sale cannot tell, so
            that the payment's own gateway is asked.
        charge_id: another name of the payment, if the gateway has one.
        account: slug of the account that the payment belongs to, where that is not the one that keeps the order book.
        metadata: kept with the payment.
        refunds: what the order book told of its refunds along with the sale.
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
    has_history: bool | None = False
    charge_id: str = ""
    account: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    refunds: tuple[ListedRefund, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleUse:
    """How often a line was downloaded so far; each count is told once, so the same one again changes nothing.

    Attributes:
        line: `source_id` of the line.
        source: who counts, such as "saleor".
        since: when the first one can have been, UTC.
    """

    line: str
    source: str
    downloads: int
    since: datetime


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
        channel: where it was sold; else `metadata` may say it.
        kept: what is kept with the purchase, such as the store's own id of the order; `metadata` is not kept.
        uses: how often lines were downloaded, where the order book counts that.
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
    channel: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[SaleUse, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadableSale:
    """A sale that a listing has and that cannot be recorded, and why, in words for people; `is_nothing` when nothing was sold."""

    source_id: str
    reason: str
    is_nothing: bool = False


@dataclass(frozen=True, slots=True)
class SalePage:
    """One page of a listing, newest first: ids for `read_sale`; `cursor` asks for the next page and is "" on the last.

    Attributes:
        sales: the sales themselves, where the listing tells them whole; then `source_ids` is empty.
        expected: how many sales the whole listing has; None when the gateway does not count them.
    """

    source_ids: tuple[str, ...]
    cursor: str = ""
    sales: tuple[Sale | UnreadableSale, ...] = ()
    expected: int | None = None


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
