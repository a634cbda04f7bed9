"""Who may read and do what, and the words in which Saleor refuses. Read in the descriptions of its published schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.saleor.standin.world import App, User

if TYPE_CHECKING:
    from collections.abc import Iterable

ANYBODY_KNOWN = ("AUTHENTICATED_STAFF_USER", "AUTHENTICATED_APP")

# One of these is enough.
FIELDS: dict[str, tuple[str, ...]] = {
    "Query.orders": ("MANAGE_ORDERS",),
    "Query.transaction": ("HANDLE_PAYMENTS", "MANAGE_ORDERS"),
    "Query.user": ("MANAGE_STAFF", "MANAGE_USERS", "MANAGE_ORDERS"),
    "Query.customers": ("MANAGE_ORDERS", "MANAGE_USERS"),
    "Query.giftCard": ("MANAGE_GIFT_CARD",),
    "Query.giftCards": ("MANAGE_GIFT_CARD",),
    "Query.voucher": ("MANAGE_DISCOUNTS",),
    "Query.vouchers": ("MANAGE_DISCOUNTS",),
    "Query.channels": ANYBODY_KNOWN,
    "Shop.version": ANYBODY_KNOWN,
    "Shop.channelCurrencies": ANYBODY_KNOWN,
    "Channel.name": ANYBODY_KNOWN,
    "Channel.isActive": ANYBODY_KNOWN,
    "Channel.currencyCode": ANYBODY_KNOWN,
    "App.webhooks": ("MANAGE_APPS", "AUTHENTICATED_APP"),
    "Order.user": ("MANAGE_USERS", "MANAGE_ORDERS", "HANDLE_PAYMENTS", "OWNER"),
    "Order.billingAddress": ("MANAGE_ORDERS", "OWNER"),
    "Order.shippingAddress": ("MANAGE_ORDERS", "OWNER"),
    "Order.transactions": ("MANAGE_ORDERS", "HANDLE_PAYMENTS"),
    "Order.userEmail": ("MANAGE_ORDERS", "OWNER"),
    "Order.grantedRefunds": ("MANAGE_ORDERS",),
    "Order.totalGrantedRefund": ("MANAGE_ORDERS",),
    "Order.totalRefundPending": ("MANAGE_ORDERS",),
    "Order.totalRemainingGrant": ("MANAGE_ORDERS",),
    "OrderDiscount.reason": ("MANAGE_ORDERS",),
    "OrderGrantedRefund.user": ("MANAGE_USERS", "MANAGE_STAFF", "OWNER"),
    "PageType.hasPages": ("MANAGE_PAGES", "MANAGE_PAGE_TYPES_AND_ATTRIBUTES"),
    "User.orders": ("MANAGE_STAFF", "OWNER"),
    "GiftCard.code": ("MANAGE_GIFT_CARD", "OWNER"),
    "GiftCard.assignedTo": ("MANAGE_USERS", "OWNER"),
    "GiftCard.assignedToEmail": ("MANAGE_GIFT_CARD", "OWNER"),
    "GiftCard.createdByEmail": ("MANAGE_USERS", "OWNER"),
    "Voucher.channelListings": ("MANAGE_DISCOUNTS",),
    "Mutation.orderGrantRefundCreate": ("MANAGE_ORDERS",),
    "Mutation.orderGrantRefundUpdate": ("MANAGE_ORDERS",),
    "Mutation.transactionRequestRefundForGrantedRefund": ("HANDLE_PAYMENTS",),
    "Mutation.transactionRequestAction": ("HANDLE_PAYMENTS",),
    "Mutation.transactionUpdate": ("HANDLE_PAYMENTS",),
    "Mutation.transactionCreate": ("HANDLE_PAYMENTS",),
    "Mutation.transactionEventReport": ("HANDLE_PAYMENTS",),
    "Mutation.voucherCreate": ("MANAGE_DISCOUNTS",),
    "Mutation.voucherChannelListingUpdate": ("MANAGE_DISCOUNTS",),
    "Mutation.giftCardCreate": ("MANAGE_GIFT_CARD",),
    "Mutation.pageCreate": ("MANAGE_PAGES",),
    "Mutation.pageTypeCreate": ("MANAGE_PAGE_TYPES_AND_ATTRIBUTES",),
    "Mutation.refundSettingsUpdate": ("MANAGE_SETTINGS",),
    "Mutation.webhookUpdate": ("MANAGE_APPS", "AUTHENTICATED_APP"),
}

# Reading private metadata, and writing either kind.
METADATA: dict[str, tuple[str, ...]] = {
    "Order": ("MANAGE_ORDERS",),
    "OrderLine": ("MANAGE_ORDERS",),
    "TransactionItem": ("HANDLE_PAYMENTS",),
    "Page": ("MANAGE_PAGES",),
    "PageType": ("MANAGE_PAGE_TYPES_AND_ATTRIBUTES",),
    "User": ("MANAGE_USERS",),
    "Voucher": ("MANAGE_DISCOUNTS",),
    "GiftCard": ("MANAGE_GIFT_CARD",),
    "App": ("MANAGE_APPS",),
    "Product": ("MANAGE_PRODUCTS",),
}


class PermissionDenied(Exception):
    """The caller lacks every one of the permissions; the message names them as Saleor's does."""

    def __init__(self, permissions: Iterable[str]) -> None:
        super().__init__(f"To access this path, you need one of the following permissions: {', '.join(permissions)}")


@dataclass(frozen=True)
class Caller:
    """Who calls: an app by its token, a member of the staff, or nobody."""

    app: App | None = None
    user: User | None = None

    @property
    def permissions(self) -> list[str]:
        """What the caller may."""
        if self.app is not None:
            return [*self.app.permissions, "AUTHENTICATED_APP"]
        if self.user is not None and self.user.is_staff:
            return [*self.user.permissions, "AUTHENTICATED_STAFF_USER"]
        return []

    def require(self, permissions: tuple[str, ...]) -> None:
        """Go on with one of the permissions.

        Raises:
            PermissionDenied: the caller has none of them.
        """
        if permissions and not set(permissions) & set(self.permissions):
            raise PermissionDenied(permissions)


def may_report(caller: Caller, owner_identifier: str, owner_user: User | None) -> bool:
    """Whether the caller may say what happened to a transaction: its owner, or anybody when it has none."""
    if not owner_identifier and owner_user is None:
        return True
    if caller.app is not None:
        return caller.app.identifier == owner_identifier
    return owner_user is not None and caller.user is not None
