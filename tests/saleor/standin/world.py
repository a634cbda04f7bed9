"""What the stand-in remembers: apps, orders, transactions, granted refunds, pages, vouchers and gift cards."""

from __future__ import annotations

import base64
import itertools
import threading
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.saleor.standin.clock import Clock

ZERO = Decimal(0)


def global_id(type_name: str, pk: object) -> str:
    """Make an id as Saleor's API writes it: base64 of `Type:key`."""
    return base64.b64encode(f"{type_name}:{pk}".encode()).decode()


def from_global_id(value: str) -> tuple[str, str]:
    """Split an id of the API into type and key; both empty when it is none."""
    try:
        name, _, pk = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, pk


@dataclass(eq=False, kw_only=True)
class Thing:
    """Anything with an id and metadata."""

    id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    private_metadata: dict[str, str] = field(default_factory=dict)

    @property
    def type_name(self) -> str:
        """The name of its GraphQL type."""
        return type(self).__name__

    @property
    def pk(self) -> str:
        """The key inside its id."""
        return from_global_id(self.id)[1]


@dataclass(eq=False, kw_only=True)
class Money:
    """An amount of a currency."""

    amount: Decimal
    currency: str

    @property
    def fractional_amount(self) -> int:
        """In the currency's smallest unit."""
        return int(self.amount.scaleb(self.fraction_digits))

    @property
    def fraction_digits(self) -> int:
        """How many digits follow the point."""
        return {"JPY": 0, "KWD": 3}.get(self.currency, 2)


@dataclass(eq=False, kw_only=True)
class TaxedMoney:
    """A price with and without tax."""

    net: Money
    gross: Money

    @property
    def currency(self) -> str:
        """Of both."""
        return self.gross.currency

    @property
    def tax(self) -> Money:
        """The difference."""
        return Money(amount=self.gross.amount - self.net.amount, currency=self.currency)


def taxed(gross: Decimal, currency: str, tax_rate: Decimal = ZERO) -> TaxedMoney:
    """Split a gross price by a tax rate (0.19 for 19 %)."""
    cent = Decimal(1).scaleb(-Money(amount=ZERO, currency=currency).fraction_digits)
    net = (gross / (1 + tax_rate)).quantize(cent)
    return TaxedMoney(net=Money(amount=net, currency=currency), gross=Money(amount=gross, currency=currency))


@dataclass(eq=False, kw_only=True)
class Webhook(Thing):
    """What an app wants to be told about, and where."""

    app: App
    name: str
    target_url: str
    query: str
    events: list[str]
    is_active: bool = True
    custom_headers: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True)
class AppExtension(Thing):
    """A place in the dashboard."""

    label: str
    url: str
    mount: str
    target: str
    options: dict[str, Any]
    permissions: list[str]


@dataclass(eq=False, kw_only=True)
class App(Thing):
    """An installed app; `tokens` are what it may call the API with."""

    identifier: str
    name: str
    permissions: list[str]
    version: str = "1.0"
    manifest_url: str = ""
    app_url: str = ""
    audience: str = ""
    type: str = "THIRDPARTY"
    is_active: bool = True
    created: datetime | None = None
    breaker_state: str = "CLOSED"
    tokens: set[str] = field(default_factory=set, repr=False)
    webhooks: list[Webhook] = field(default_factory=list)
    extensions: list[AppExtension] = field(default_factory=list)


@dataclass(eq=False, kw_only=True)
class User(Thing):
    """A customer or a member of the staff."""

    email: str
    first_name: str = ""
    last_name: str = ""
    is_staff: bool = False
    is_active: bool = True
    language_code: str = "EN"
    permissions: list[str] = field(default_factory=list)
    date_joined: datetime | None = None
    external_reference: str | None = None


@dataclass(eq=False, kw_only=True)
class OrderLine(Thing):
    """One product of an order. Prices are after discounts; `undiscounted` before them."""

    order: Order
    product_name: str
    variant_name: str
    product_sku: str
    quantity: int
    unit_gross: Decimal
    undiscounted_unit_gross: Decimal
    tax_rate: Decimal
    is_shipping_required: bool
    variant: dict[str, Any] | None
    quantity_fulfilled: int = 0
    downloads: int | None = None
    digital_token: str = field(default_factory=lambda: str(uuid.uuid4()))
    voucher_code: str | None = None
    is_gift: bool = False


@dataclass(eq=False, kw_only=True)
class TransactionEvent:
    """What happened to a transaction. A request counts only once the app has answered with a reference."""

    id: str
    transaction: TransactionItem
    type: str
    amount_value: Decimal
    created_at: datetime
    psp_reference: str = ""
    message: str = ""
    external_url: str = ""
    idempotency_key: str | None = None
    include_in_calculations: bool = False
    app_identifier: str = ""
    granted_refund: OrderGrantedRefund | None = None
    reason_reference: Page | None = None
    created_by: App | User | None = None


@dataclass(eq=False, kw_only=True)
class TransactionItem(Thing):
    """A payment of an order; only its owner may report what happens to it."""

    order: Order
    name: str
    psp_reference: str
    currency: str
    app: App | None
    app_identifier: str
    created_at: datetime
    modified_at: datetime
    message: str = ""
    external_url: str = ""
    actions: list[str] = field(default_factory=list)
    events: list[TransactionEvent] = field(default_factory=list)
    user: User | None = None
    authorized: Decimal = ZERO
    charged: Decimal = ZERO
    refunded: Decimal = ZERO
    canceled: Decimal = ZERO
    authorize_pending: Decimal = ZERO
    charge_pending: Decimal = ZERO
    refund_pending: Decimal = ZERO
    cancel_pending: Decimal = ZERO


@dataclass(eq=False, kw_only=True)
class GrantedLine:
    """How many of a line a granted refund takes back."""

    id: str
    order_line: OrderLine
    quantity: int
    reason: str | None = None
    reason_reference: Page | None = None


@dataclass(eq=False, kw_only=True)
class OrderGrantedRefund:
    """What the shop promised to give back; its status follows the last event of its refund."""

    id: str
    order: Order
    amount_value: Decimal
    reason: str
    created_at: datetime
    updated_at: datetime
    lines: list[GrantedLine] = field(default_factory=list)
    transaction: TransactionItem | None = None
    reason_reference: Page | None = None
    app: App | None = None
    user: User | None = None
    shipping_costs_included: bool = False
    status: str = "NONE"


@dataclass(eq=False, kw_only=True)
class Order(Thing):
    """An order with its money."""

    number: str
    currency: str
    user_email: str
    created: datetime
    updated_at: datetime
    channel: dict[str, Any]
    status: str = "UNFULFILLED"
    user: User | None = None
    billing_country: str = "DE"
    language_code: str = "EN"
    lines: list[OrderLine] = field(default_factory=list)
    transactions: list[TransactionItem] = field(default_factory=list)
    granted_refunds: list[OrderGrantedRefund] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    discounts: list[dict[str, Any]] = field(default_factory=list)
    voucher_code: str | None = None
    gift_cards: list[GiftCard] = field(default_factory=list)
    shipping_gross: Decimal = ZERO
    charge_status: str = "NONE"
    authorize_status: str = "NONE"
    total_charged_value: Decimal = ZERO
    total_authorized_value: Decimal = ZERO

    @property
    def total_gross(self) -> Decimal:
        """What the customer pays."""
        return sum((line.unit_gross * line.quantity for line in self.lines), ZERO) + self.shipping_gross


@dataclass(eq=False, kw_only=True)
class PageType(Thing):
    """A kind of pages ("Models"), such as the reasons of refunds."""

    name: str
    slug: str


@dataclass(eq=False, kw_only=True)
class Page(Thing):
    """A page, for instance one reason of a refund."""

    title: str
    slug: str
    page_type: PageType
    is_published: bool = True
    created: datetime | None = None
    published_at: datetime | None = None


@dataclass(eq=False, kw_only=True)
class Voucher(Thing):
    """A voucher; its code is invalid in every channel that does not list it."""

    values: dict[str, Any]
    codes: list[str]
    listings: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True)
class GiftCard(Thing):
    """A gift card with its balance."""

    code: str
    initial: Money
    current: Money
    created: datetime
    values: dict[str, Any] = field(default_factory=dict)
    app: App | None = None
    assigned_to: User | None = None


class World:
    """All of it. `lock` is held while an operation reads or changes it, never while a request is under way."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.numbers = itertools.count(1)
        self.apps: dict[str, App] = {}
        self.users: dict[str, User] = {}
        self.orders: dict[str, Order] = {}
        self.transactions: dict[str, TransactionItem] = {}
        self.granted_refunds: dict[str, OrderGrantedRefund] = {}
        self.order_lines: dict[str, OrderLine] = {}
        self.pages: dict[str, Page] = {}
        self.page_types: dict[str, PageType] = {}
        self.vouchers: dict[str, Voucher] = {}
        self.gift_cards: dict[str, GiftCard] = {}
        self.products: dict[str, Thing] = {}
        self.refund_reason_type: PageType | None = None
        self.channels: dict[str, dict[str, Any]] = {}

    def next_id(self, type_name: str) -> str:
        """Make an id out of a number that was never used."""
        return global_id(type_name, next(self.numbers))

    def things(self) -> dict[str, Any]:
        """Everything that carries metadata, by id."""
        tables = (self.apps, self.users, self.orders, self.transactions, self.order_lines, self.pages, self.page_types)
        more = (self.vouchers, self.gift_cards, self.products)
        return {key: thing for table in (*tables, *more) for key, thing in table.items()}

    def app_of_token(self, token: str) -> App | None:
        """Find the app that a token belongs to."""
        return next((app for app in self.apps.values() if app.is_active and token in app.tokens), None) if token else None
