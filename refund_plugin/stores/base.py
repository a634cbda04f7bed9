"""The contract of a store's adapter: what the refund rooms ask of the system that holds the orders. Plain data in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from refund_plugin.money import Money


class StoreUnavailable(Exception):
    """The store did not confirm; it is asked again later. The message is for staff.

    Attributes:
        retry_after_seconds: when to come back, if the store said so or it is known: then nothing is wrong yet. None: as usual.
    """

    def __init__(self, message: str = "", *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class StoreSilent(StoreUnavailable):
    """Nobody answers there, or they want to be left alone: nothing else need be tried at that store now."""


class StoreRefused(StoreUnavailable):
    """The store understood and said no: a person must look, and asking again soon would change nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAccess:
    """What a customer may use of one line of a purchase, as a whole: telling it again changes nothing.

    Attributes:
        line_id: primary key of the purchase line.
        quantity: units bought.
        frozen: units that may not be used while their money is on its way back.
        revoked: units that were given back for good.
        version: rises with every change; a store that was told a higher one before may ignore this.
        store_line_id: the store's own name of the line; empty where it told none.
        downloads: how often it was downloaded, by our own record.
    """

    store: str
    purchase_number: str
    line_id: int
    sku: str
    name: str
    quantity: int
    frozen: int
    revoked: int
    version: int
    store_line_id: str = ""
    downloads: int = 0

    @property
    def usable(self) -> int:
        """Units that may be used."""
        return max(0, self.quantity - self.frozen - self.revoked)


class RefundStands(StrEnum):
    """How a refund stands, as far as a store needs to know."""

    UNDER_WAY = "under_way"
    REFUNDED = "refunded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundTold:
    """How a refund stands, as a whole: telling it again changes nothing.

    Attributes:
        reference: what it is called in the store's books, for life; never used for another amount.
        store_payment_id: the store's own name of the payment.
        asked_by_store: the store asked for it, so it may know the reference from our answer; else it began here.
        answer_under_way: it asked a moment ago, and may not have read our answer yet.
        gateway_refund_id: the gateway's name of the money's movement, such as Stripe's `re_…`; empty before it has one.
        note: what else people should read beside it; empty for nothing.
        url: where staff see the case; empty when there is none.
    """

    store: str
    purchase_number: str
    reference: UUID
    store_payment_id: str
    amount: Money
    stands: RefundStands
    asked_by_store: bool = False
    answer_under_way: bool = False
    gateway_refund_id: str = ""
    note: str = ""
    url: str = ""


class CreditKind(StrEnum):
    """What a store can issue that customers pay with."""

    GIFT_CARD = "gift_card"
    VOUCHER = "voucher"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditTold:
    """What a store is to issue, once for a code: telling it again changes nothing.

    Attributes:
        code: chosen by us, for this one alone; nobody guesses it.
        worth: an amount, or whole percent off one order, which only a voucher can be.
        name: what the store's staff find it by: the request's reference.
        channel: the store's own name of the part that the purchase was made in; "" where it has none.
        store_customer_id: the store's own id of the customer; "" where it is not known.
        ends_at: UTC; the last moment in which it can be used. None for what lasts.
        timezone: IANA name of the store's, for stores that only know days.
    """

    store: str
    kind: CreditKind
    code: str = field(repr=False)
    worth: Money | int
    currency: str
    name: str
    channel: str = ""
    store_customer_id: str = ""
    ends_at: datetime | None = None
    timezone: str


class StoreAdapter(Protocol):
    """One kind of store."""

    def keeps_access(self) -> bool:
        """Tell whether there is anybody to tell about access."""

    def set_access(self, access: LineAccess) -> None:
        """Freeze, revoke and give back units, so that the line stands as described. May be called again with the same data.

        The whole state is told instead of its changes, because an answer may be lost: "freeze one more" cannot be repeated.

        Raises:
            StoreUnavailable: not confirmed; ask again.
        """

    def shows_use(self) -> bool:
        """Tell whether `set_access` is also to be called when something was used, or a record of use was corrected."""

    def keeps_refunds(self) -> bool:
        """Tell whether the store has books of its own that must follow ours."""

    def set_refund(self, refund: RefundTold) -> None:
        """Bring the store's books in line with a refund. May be called again with the same data.

        Raises:
            StoreUnavailable: not confirmed; ask again.
            StoreRefused: a person must look.
        """

    def incentive_kind(self, store: str) -> CreditKind | None:
        """Return what the store (by slug) issues to customers besides refunds; None when nothing."""

    def issue_credit(self, credit: CreditTold) -> None:
        """Issue a gift card or a voucher, unless it was issued before. May be called again with the same data.

        Raises:
            StoreUnavailable: nobody knows whether it is there; ask again.
            StoreRefused: it is not there, and a person must look.
        """
