"""Pages of a Saleor's orders, as sales, as refunds and as disputes.

Saleor lists neither refunds nor transactions by themselves, so the orders that changed are read with their money. A page of orders may
hold more refunds than a page of refunds, so the cursor of a page is Saleor's own and how many of its refunds were told.
"""

from __future__ import annotations

from datetime import datetime

from refund_plugin.gateways import saleor_orders
from refund_plugin.gateways.answers import BookEntry, BookPage, ListedRefund, RefundPage
from refund_plugin.gateways.facts import DisputePage
from refund_plugin.gateways.saleor_refunds import disputes_of, listed, movements_of, requested
from refund_plugin.gateways.sales import SalePage
from refund_plugin.money import Money
from refund_plugin.saleor import api
from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.data import OrderMoneyData, TransactionData


class SaleorListing:
    """Reads a Saleor's orders page by page; a page that cost Saleor too much makes the next ones smaller.

    All raise `SaleorError`.
    """

    def __init__(self, client: SaleorClient, rules: saleor_orders.Rules) -> None:
        self._client, self._rules = client, rules
        self._sizes = {"sales": api.FULL_PAGE_SIZE, "money": api.MAX_PAGE_SIZE}

    def sales(self, *, created_after: datetime | None, cursor: str) -> SalePage:
        """Read one page of orders as sales, newest first."""
        page = api.read_orders_page(
            self._client, after=cursor, created_after=created_after, page_size=self._sizes["sales"], metadata_keys=self._rules.keys
        )
        self._sizes["sales"] = page.page_size
        told = tuple(saleor_orders.sale_of(order, self._rules) for order in page.orders)
        return SalePage((), page.cursor, sales=told, expected=page.total)

    def refunds(self, *, created_after: datetime | None, cursor: str, limit: int) -> RefundPage:
        """Read one page of refunds at other payment apps, the orders that changed last first."""
        offset, after = _place(cursor)
        orders, following = self._money(created_after, after)
        found = [item for order in orders for item in listed_of(order, self._rules)]
        return _part(found, created_after=created_after, offset=offset, limit=limit, after=after, following=following)

    def disputes(self, *, created_after: datetime | None, cursor: str) -> DisputePage:
        """Read what banks took back, one page of orders at a time."""
        orders, following = self._money(created_after, cursor)
        found = [item for order in orders for transaction in others(order, self._rules) for item in disputes_of(transaction)]
        return DisputePage(tuple(item for item in found if created_after is None or item.created >= created_after), following)

    def books(self, *, changed_after: datetime | None, cursor: str) -> BookPage:
        """Read what Saleor believes of the payments that our App owns, one page of orders at a time."""
        orders, following = self._money(changed_after, cursor)
        found = [
            BookEntry(
                name=transaction.id,
                account=self._rules.payment_account,
                gateway_payment_id=transaction.psp_reference,
                refunded=Money.from_decimal(transaction.refunded + transaction.refund_pending, transaction.currency),
            )
            for order in orders
            for transaction in order.transactions
            if self._rules.owns(transaction) and transaction.psp_reference
        ]
        return BookPage(tuple(found), following)

    def _money(self, created_after: datetime | None, after: str) -> tuple[tuple[OrderMoneyData, ...], str]:
        page = api.read_order_money_page(self._client, after=after, updated_after=created_after, page_size=self._sizes["money"])
        self._sizes["money"] = page.page_size
        return page.orders, page.cursor


def others(order: OrderMoneyData, rules: saleor_orders.Rules) -> list[TransactionData]:
    """Return the transactions of an order that our App does not own."""
    return [transaction for transaction in order.transactions if not transaction.app_id or transaction.app_id != rules.app_id]


def listed_of(order: OrderMoneyData, rules: saleor_orders.Rules) -> list[ListedRefund]:
    """Return the refunds of an order at other payment apps."""
    return [
        listed(movement, transaction=transaction)
        for transaction in others(order, rules)
        for movement in requested(movements_of(transaction, order.granted_refunds))
    ]


def of_payment(
    transaction: TransactionData, order: OrderMoneyData, *, created_after: datetime | None, cursor: str, limit: int
) -> RefundPage:
    """Return one page of the refunds of one payment."""
    found = [listed(movement, transaction=transaction) for movement in requested(movements_of(transaction, order.granted_refunds))]
    return _part(found, created_after=created_after, offset=_place(cursor)[0], limit=limit, after="", following="")


def _part(found: list[ListedRefund], *, created_after: datetime | None, offset: int, limit: int, after: str, following: str) -> RefundPage:
    """Return the next `limit` refunds of a page of orders, newest first; `following` is behind all of them."""
    whole_second = created_after.replace(microsecond=0) if created_after else None
    wanted = [item for item in found if whole_second is None or item.created >= whole_second]
    wanted.sort(key=lambda item: item.created, reverse=True)
    end = offset + max(1, min(limit, 100))
    if end < len(wanted):
        return RefundPage(tuple(wanted[offset:end]), f"{end}|{after}")
    return RefundPage(tuple(wanted[offset:end]), f"0|{following}" if following else "")


def _place(cursor: str) -> tuple[int, str]:
    offset, _separator, after = cursor.partition("|")
    return int(offset or 0), after
