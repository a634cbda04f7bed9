"""Plain data that stores, imports and hosts hand to the orders room, and what it tells about use.

Amounts are minor units of the purchase's currency, after discounts, tax included. Moments are aware datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class LineData:
    """One line of a purchase.

    Attributes:
        nature: `content` or `service` (EU Directive 2011/83 treats digital content and digital services differently).
        paid_minor: for the whole line, not per unit.
        tax_minor: the part of `paid_minor` that is tax.
        term_start, term_end: of a subscription; both or none.
        units_granted: how many units (credits, lessons …) were bought, when units are counted.
        metadata: added to what is kept with the line.
    """

    sku: str
    name: str
    paid_minor: int
    product_type: str = ""
    categories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    nature: str = "content"
    quantity: int = 1
    tax_minor: int = 0
    tax_rate_percent: Decimal = Decimal(0)
    term_start: datetime | None = None
    term_end: datetime | None = None
    units_granted: int | None = None
    unit_name: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentData:
    """Money captured for a purchase.

    Attributes:
        gateway_payment_id: the gateway's name for it, such as Stripe's `pi_…`.
        account: slug of the gateway account; empty means the default one.
        livemode: None means the account's own mode.
        is_captured: False while the money is only authorised; None means captured, or as it is known already. This and the
            rest is told by gateways that keep the order book; what is left out changes nothing.
        settlement_minor, fee_minor: what reached the merchant's balance, and the gateway's fee, in `settlement_currency`.
        subscription_id, invoice_id: the gateway's own, of what it paid for.
        has_history: whether something of it was refunded or disputed before. None means that nobody knows: then the gateway
            is asked, unless the payment was captured just now.
        metadata: added to what is kept with the payment.
    """

    gateway_payment_id: str
    captured_minor: int
    account: str = ""
    livemode: bool | None = None
    method: str = ""
    brand: str = ""
    last4: str = ""
    captured_at: datetime | None = None
    is_captured: bool | None = None
    settlement_minor: int | None = None
    settlement_currency: str = ""
    fee_minor: int | None = None
    subscription_id: str = ""
    invoice_id: str = ""
    has_history: bool | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseData:
    """An order as a store knows it.

    Attributes:
        number: the order number people see; a leading "#" and spaces around it do not count.
        user_id: primary key of the host's user who may see this purchase when logged in, if there is one. Hosts give it only
            for a user they have identified: nothing is ever linked by an e-mail address alone. It can be told later, but a
            purchase never passes from one user to another.
        currency: ISO 4217.
        country: ISO 3166-1 alpha-2, or empty.
        metadata: added to what is kept with the purchase.
    """

    number: str
    email: str
    currency: str
    purchased_at: datetime
    lines: tuple[LineData, ...]
    payments: tuple[PaymentData, ...] = ()
    customer_name: str = ""
    user_id: object | None = None
    locale: str = ""
    buyer_kind: str = "unknown"
    country: str = ""
    channel: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


class Recorded(StrEnum):
    """What recording a purchase did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a line was used, summed over the access ledger.

    Attributes:
        share_viewed_percent: the highest share told by "viewed" and "streamed" facts, 0 to 100.
    """

    downloads: int = 0
    share_viewed_percent: int = 0
    activations: int = 0
    units_used: int = 0
    last_access_at: datetime | None = None


UsageByLine = Mapping[int, Usage]
