"""What Saleor knows, as plain data: amounts are `Decimal` in major units, moments are aware, ids are Saleor's global ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AppData:
    """Our App as Saleor has it; `version` is Saleor's, `permissions` what it granted."""

    id: str
    identifier: str
    name: str
    is_active: bool
    permissions: tuple[str, ...]
    version: str
    shop_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookData:
    """A webhook that Saleor keeps for our App.

    Attributes:
        events: names such as ORDER_FULLY_PAID.
        headers: its own ones, which Saleor sends along with each delivery; names in lower case, as Saleor keeps them.
    """

    id: str
    name: str
    is_active: bool
    target_url: str
    events: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelData:
    """A sales channel; `currency` is ISO 4217."""

    id: str
    slug: str
    name: str
    currency: str
    is_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EventData:
    """An event of a transaction; `type` is a word such as REFUND_SUCCESS, "" when Saleor kept none."""

    id: str
    created: datetime
    type: str
    psp_reference: str
    amount: Decimal
    currency: str
    message: str
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionData:
    """A payment.

    Attributes:
        psp_reference: the name that the gateway gave to the payment.
        app_id: of the app that owns it; "" when staff made it by hand or the app is gone.
        method, brand, last4: what was paid with; "" before 3.22 and when not told.
    """

    id: str
    order_id: str
    psp_reference: str
    name: str
    message: str
    created: datetime
    modified: datetime
    currency: str
    authorized: Decimal
    charged: Decimal
    charge_pending: Decimal
    refunded: Decimal
    refund_pending: Decimal
    canceled: Decimal
    cancel_pending: Decimal
    app_id: str
    actions: tuple[str, ...]
    method: str
    brand: str
    last4: str
    events: tuple[EventData, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonData:
    """A reason for refunds: a page of the page type that Saleor's refund settings name."""

    id: str
    slug: str
    title: str
    is_published: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedLineData:
    """Units of an order line that a refund was granted for."""

    order_line_id: str
    quantity: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedRefundData:
    """A refund that was granted; `status` is NONE, PENDING, SUCCESS or FAILURE, as Saleor derives it from `events`."""

    id: str
    created: datetime
    updated: datetime
    amount: Decimal
    currency: str
    status: str
    reason: str
    reason_page: ReasonData | None
    with_shipping: bool
    app_id: str
    transaction_id: str
    lines: tuple[GrantedLineData, ...]
    events: tuple[EventData, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderMoneyData:
    """The money of an order; `refunded` is what Saleor believes came back, `refund_pending` what is on its way."""

    id: str
    number: str
    status: str
    created: datetime
    updated_at: datetime
    currency: str
    total_gross: Decimal
    charged: Decimal
    refunded: Decimal
    granted: Decimal
    refund_pending: Decimal
    transactions: tuple[TransactionData, ...]
    granted_refunds: tuple[GrantedRefundData, ...]
    private_metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadsData:
    """What Saleor up to 3.22 knows of the use of a digital line."""

    id: str
    count: int
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLineData:
    """A line of an order.

    Attributes:
        total_gross, total_net: of all units, after all discounts of line and order.
        undiscounted_gross: of all units, before any discount.
        tax_rate: a fraction, such as 0.23.
        metadata: of the keys asked for; the line's own private values win over its variant's, product's and product type's public ones.
            A line's public metadata is left out: buyers write it.
        downloads: None where the version knows of none, and for a line that is not digital content.
    """

    id: str
    product_name: str
    variant_name: str
    sku: str
    variant_id: str
    product_id: str
    product_slug: str
    product_type_slug: str
    category_slugs: tuple[str, ...]
    collection_slugs: tuple[str, ...]
    is_shipping_required: bool
    is_gift: bool
    quantity: int
    quantity_fulfilled: int
    total_gross: Decimal
    total_net: Decimal
    undiscounted_gross: Decimal
    tax_rate: Decimal
    metadata: Mapping[str, str] = field(default_factory=dict)
    downloads: DownloadsData | None = None

    @property
    def download_count(self) -> int | None:
        """Return how often it was downloaded; None where Saleor does not say."""
        return self.downloads.count if self.downloads else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderData:
    """An order, whole.

    Attributes:
        user_id: of the customer's account; "" for a guest.
        country: of the billing address, else of the shipping address: ISO 3166, upper case; "" when there is neither.
        company: as written in the billing address; says nothing about a tax number.
        language_code: as Saleor writes it, such as EN_US.
        discount: of the whole order together, in the order's currency.
        metadata, private_metadata: of the keys asked for.
    """

    id: str
    number: str
    status: str
    origin: str
    charge_status: str
    created: datetime
    updated_at: datetime
    user_id: str
    user_email: str = field(repr=False)
    user_name: str = field(repr=False)
    company: str = field(repr=False)
    country: str
    language_code: str
    channel_id: str
    channel_slug: str
    currency: str
    total_gross: Decimal
    shipping_gross: Decimal
    charged: Decimal
    refunded: Decimal
    granted: Decimal
    refund_pending: Decimal
    discount: Decimal
    voucher_code: str
    gift_cards_used: int
    external_reference: str
    lines: tuple[OrderLineData, ...]
    transactions: tuple[TransactionData, ...]
    granted_refunds: tuple[GrantedRefundData, ...]
    metadata: Mapping[str, str] = field(default_factory=dict)
    private_metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_company(self) -> bool:
        """Return whether a company was written into the billing address."""
        return bool(self.company)

    @property
    def has_legacy_payments(self) -> bool:
        """Return whether it was paid through the payments API that Saleor replaced: then there is no transaction to refund."""
        return not self.transactions and self.charged > 0


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of orders; `cursor` asks for the next one and is "" on the last.

    Attributes:
        page_size: that was asked for at last; smaller than wanted when a full page cost this Saleor too much.
        total: of all pages; None when Saleor does not count.
    """

    orders: tuple[OrderData, ...]
    cursor: str
    page_size: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class OrderMoneyPage:
    """As `OrderPage`, with the money alone."""

    orders: tuple[OrderMoneyData, ...]
    cursor: str
    page_size: int
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldOrderData:
    """An order in a customer's history."""

    id: str
    number: str
    status: str
    created: datetime
    channel_slug: str
    currency: str
    total_gross: Decimal
    charged: Decimal
    refunded: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerData:
    """A customer's account."""

    id: str
    email: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedEvent:
    """What Saleor did with an event we told: `already_processed` when it knew the same event before."""

    already_processed: bool
    event: EventData | None
    transaction: TransactionData | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTypeData:
    """A page type."""

    id: str
    name: str
    slug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReasons:
    """The page type of the reasons, and all its pages."""

    page_type: PageTypeData
    pages: tuple[ReasonData, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoucherData:
    """A voucher; it is good in the channels of `channel_ids` alone."""

    id: str
    code: str = field(repr=False)
    name: str
    end_date: datetime | None
    channel_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardData:
    """A gift card with what is left on it."""

    id: str
    code: str = field(repr=False)
    last4: str
    balance: Decimal
    currency: str
