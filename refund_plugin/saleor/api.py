"""One typed function per thing that we ask of a Saleor; plain data in and out.

All raise `SaleorError` (see `errors.py`); an answer that is not what was asked for counts as none (`SaleorUnreachable`). Amounts
are `Decimal` in major units.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar

from refund_plugin.saleor import mapping
from refund_plugin.saleor.data import (
    AppData,
    ChannelData,
    CustomerData,
    GrantedRefundData,
    OrderData,
    OrderMoneyData,
    OrderMoneyPage,
    OrderPage,
    ReportedEvent,
    SoldOrderData,
    TransactionData,
    WebhookData,
)
from refund_plugin.saleor.errors import SaleorAnswerTooLong, SaleorCostExceeded, SaleorTokenInvalid, SaleorUnreachable
from refund_plugin.saleor.versions import Version

logger = logging.getLogger(__name__)

MAX_PAGE_SIZE = 100  # Saleor refuses more
MAX_MESSAGE_CHARACTERS = 512
FULL_PAGE_SIZE = 50
_REASON_PAGES = Version(3, 22)

EventType = Literal["REFUND_REQUEST", "REFUND_SUCCESS", "REFUND_FAILURE", "REFUND_REVERSE", "CANCEL_FAILURE", "CHARGE_FAILURE", "INFO"]
Read = TypeVar("Read")


class Caller(Protocol):
    """What these functions need of a client."""

    def execute(self, name: str, **variables: object) -> dict[str, Any]:
        """See `SaleorClient.execute`."""

    def version(self) -> Version:
        """See `SaleorClient.version`."""


def read_app(client: Caller) -> AppData:
    """Read who we are there, what we may do, and which version it is.

    Raises:
        SaleorTokenInvalid: we are nobody there.
    """
    data = client.execute("AppRead")
    if not data.get("app"):
        raise SaleorTokenInvalid("AppRead")
    return understood("AppRead", lambda: mapping.app(data["app"], data["shop"]))


def read_webhooks(client: Caller) -> tuple[WebhookData, ...]:
    """Read what Saleor delivers to us, and whether it still does."""
    data = client.execute("AppWebhooks")
    if not data.get("app"):
        raise SaleorTokenInvalid("AppWebhooks")
    return understood("AppWebhooks", lambda: tuple(mapping.webhook(node) for node in data["app"]["webhooks"] or ()))


def read_channels(client: Caller) -> tuple[ChannelData, ...]:
    """Read all sales channels."""
    data = client.execute("Channels")
    return understood("Channels", lambda: tuple(mapping.channel(node) for node in data["channels"] or ()))


def read_order(client: Caller, order_id: str, *, metadata_keys: Sequence[str] = ()) -> OrderData | None:
    """Read one order; None when there is none."""
    node = client.execute("OrderById", id=order_id, metadataKeys=list(metadata_keys)).get("order")
    return understood("OrderById", lambda: mapping.order(node)) if node else None


def read_orders_page(
    client: Caller,
    *,
    after: str = "",
    created_after: datetime | None = None,
    updated_after: datetime | None = None,
    page_size: int = FULL_PAGE_SIZE,
    newest_first: bool = True,
    metadata_keys: Sequence[str] = (),
) -> OrderPage:
    """Read one page of orders, whole: sorted by their last change when `updated_after` is given, else by their creation.

    Oldest first, an order that is placed or changed meanwhile comes later in the listing, so that none is missed.

    Args:
        after: cursor of the page before; "" for the first.
        page_size: at most 100; halved, and again, while a page costs this Saleor too much.
    """
    wanted = {"metadataKeys": list(metadata_keys), **_listing(created_after, updated_after, newest_first)}
    connection, size = _page(client, "OrdersPage", after, page_size, wanted)
    orders = understood("OrdersPage", lambda: tuple(mapping.order(edge["node"]) for edge in connection["edges"]))
    kept = tuple(order for order in orders if created_after is None or order.created >= created_after)
    return OrderPage(kept, _cursor("OrdersPage", connection), size, connection.get("totalCount"))


def iter_orders(
    client: Caller,
    *,
    after_cursor: str = "",
    created_after: datetime | None = None,
    updated_after: datetime | None = None,
    page_size: int = FULL_PAGE_SIZE,
    newest_first: bool = False,
    metadata_keys: Sequence[str] = (),
) -> Iterator[OrderPage]:
    """Read all orders page by page, holding one page at a time; arguments as of `read_orders_page`."""
    cursor = after_cursor
    while True:
        page = read_orders_page(
            client,
            after=cursor,
            created_after=created_after,
            updated_after=updated_after,
            page_size=page_size,
            newest_first=newest_first,
            metadata_keys=metadata_keys,
        )
        yield page
        cursor, page_size = page.cursor, page.page_size
        if not cursor:
            return


def read_order_money(client: Caller, order_id: str, *, metadata_keys: Sequence[str] = ()) -> OrderMoneyData | None:
    """Read the money of one order; None when there is no such order."""
    node = client.execute("OrderRefunds", id=order_id, metadataKeys=list(metadata_keys)).get("order")
    return understood("OrderRefunds", lambda: mapping.order_money(node)) if node else None


def read_order_money_page(
    client: Caller, *, after: str = "", updated_after: datetime | None = None, page_size: int = FULL_PAGE_SIZE
) -> OrderMoneyPage:
    """Read the money of one page of orders, newest first; arguments as of `read_orders_page`."""
    wanted = {"metadataKeys": [], **_listing(None, updated_after, newest_first=True)}
    connection, size = _page(client, "OrderRefundsPage", after, page_size, wanted)
    orders = understood("OrderRefundsPage", lambda: tuple(mapping.order_money(edge["node"]) for edge in connection["edges"]))
    return OrderMoneyPage(orders, _cursor("OrderRefundsPage", connection), size, connection.get("totalCount"))


def read_transaction(client: Caller, transaction_id: str) -> TransactionData | None:
    """Read one transaction; None when there is none."""
    node = client.execute("TransactionById", id=transaction_id).get("transaction")
    return understood("TransactionById", lambda: mapping.transaction(node)) if node else None


def read_transaction_money(
    client: Caller, transaction_id: str, *, metadata_keys: Sequence[str] = ()
) -> tuple[TransactionData, OrderMoneyData | None] | None:
    """Read one transaction and the money of its order, in one call; None when there is no such transaction."""
    node = client.execute("TransactionRefunds", id=transaction_id, metadataKeys=list(metadata_keys)).get("transaction")
    if not node:
        return None
    order = node.get("order")
    return understood("TransactionRefunds", lambda: (mapping.transaction(node), mapping.order_money(order) if order else None))


def read_customer(client: Caller, customer_id: str) -> CustomerData | None:
    """Read the e-mail address of a customer's account; None when there is none."""
    node = client.execute("CustomerById", id=customer_id).get("user")
    return understood("CustomerById", lambda: CustomerData(id=node["id"], email=node["email"])) if node else None


def iter_customer_orders(client: Caller, email: str, *, page_size: int = FULL_PAGE_SIZE) -> Iterator[SoldOrderData]:
    """Read the orders of an e-mail address, newest first, a page at a time.

    Raises:
        ValueError: not an address: Saleor would look for a name instead, and answer with other people's orders.
    """
    if email.count("@") != 1 or any(character.isspace() for character in email):
        raise ValueError("an e-mail address is needed")
    cursor = ""
    while True:
        connection, page_size = _page(client, "CustomerOrders", cursor, page_size, {"email": email})
        yield from _sold(connection)
        cursor = _cursor("CustomerOrders", connection)
        if not cursor:
            return


def _sold(connection: Mapping[str, Any]) -> tuple[SoldOrderData, ...]:
    return understood("CustomerOrders", lambda: tuple(mapping.sold_order(edge["node"]) for edge in connection["edges"]))


def grant_refund(
    client: Caller,
    *,
    order_id: str,
    transaction_id: str,
    amount: Decimal,
    reason: str,
    lines: Sequence[tuple[str, int]] = (),
    reason_page_id: str = "",
) -> GrantedRefundData:
    """Grant a refund; no money moves by it. Not safe to repeat: each call grants another one.

    Args:
        amount: above 0; Saleor would request the whole charge for a grant of nothing.
        lines: ids of order lines and their units.
        reason_page_id: of a refund reason; left out where the version has none (before 3.22).
    Raises:
        ValueError: an amount that is not above 0.
        SaleorRefused: with Saleor's code, such as AMOUNT_GREATER_THAN_AVAILABLE.
    """
    if amount <= 0:
        raise ValueError("a refund is of more than nothing")
    given: dict[str, object] = {
        "transactionId": transaction_id,
        "amount": amount,
        "reason": reason,
        "lines": [{"id": line_id, "quantity": quantity} for line_id, quantity in lines],
    }
    if reason_page_id and client.version() >= _REASON_PAGES:
        given["reasonReference"] = reason_page_id
    return change(client, "OrderGrantRefundCreate", lambda done: mapping.granted_refund(done["grantedRefund"]), id=order_id, input=given)


def update_granted_refund(client: Caller, *, granted_refund_id: str, reason: str) -> GrantedRefundData:
    """Change the words of a granted refund; repeating it is harmless."""
    given = {"reason": reason}
    return change(
        client, "OrderGrantRefundUpdate", lambda done: mapping.granted_refund(done["grantedRefund"]), id=granted_refund_id, input=given
    )


def request_granted_refund(client: Caller, *, granted_refund_id: str, transaction_id: str) -> TransactionData:
    """Ask the app that owns the transaction to pay a granted refund.

    Raises:
        SaleorRefused: REFUND_IS_PENDING or REFUND_ALREADY_PROCESSED when it was asked before,
            MISSING_TRANSACTION_ACTION_REQUEST_WEBHOOK when no app can pay it, AMOUNT_GREATER_THAN_AVAILABLE.
    """
    return change(
        client,
        "TransactionRequestRefundForGrantedRefund",
        lambda done: mapping.transaction(done["transaction"]),
        id=transaction_id,
        grantedRefundId=granted_refund_id,
    )


def request_cancel(client: Caller, *, transaction_id: str) -> TransactionData:
    """Ask the app that owns the transaction to release what was authorized and never charged."""
    return change(client, "TransactionRequestCancel", lambda done: mapping.transaction(done["transaction"]), id=transaction_id)


def report_transaction_event(
    client: Caller,
    *,
    transaction_id: str,
    event_type: EventType,
    psp_reference: str,
    amount: Decimal,
    message: str = "",
    external_url: str = "",
) -> ReportedEvent:
    """Tell what became of money of a transaction of ours; the same again is harmless (`already_processed`).

    No time is sent: one before the request leaves a granted refund pending for ever.

    Args:
        psp_reference: the same for all events of one refund.
        amount: always the one first told with this reference: another one turns a granted refund into a failed one.
        message: for staff; cut at 512 characters.
    Raises:
        SaleorRefused: INCORRECT_DETAILS for a reference that Saleor knows with another amount.
        SaleorPermissionDenied: HANDLE_PAYMENTS is missing, or the transaction is not ours.
    """
    return change(
        client,
        "TransactionEventReport",
        _reported,
        id=transaction_id,
        type=event_type,
        pspReference=psp_reference,
        amount=amount,
        message=message[:MAX_MESSAGE_CHARACTERS],
        externalUrl=external_url or None,
    )


def _reported(data: Mapping[str, Any]) -> ReportedEvent:
    event, transaction = data["transactionEvent"], data["transaction"]
    return ReportedEvent(
        already_processed=bool(data["alreadyProcessed"]),
        event=mapping.event(event) if event else None,
        transaction=mapping.transaction(transaction) if transaction else None,
    )


def update_metadata(client: Caller, *, object_id: str, values: Mapping[str, str], private: bool = False) -> None:
    """Write metadata of an object; other keys stay. Repeating it is harmless.

    Args:
        private: where staff and apps alone read it.
    """
    given = [{"key": key, "value": value} for key, value in values.items()]
    client.execute("UpdatePrivateMetadata" if private else "UpdateMetadata", id=object_id, input=given)


def change(client: Caller, operation: str, read: Callable[[Mapping[str, Any]], Read], **variables: object) -> Read:
    """Send a mutation of one field and return what `read` makes of its answer."""
    data = client.execute(operation, **variables)
    return understood(operation, lambda: read(next(iter(data.values()))), changed=True)


def understood(operation: str, read: Callable[[], Read], *, changed: bool = False) -> Read:
    """Return what `read` makes of an answer; an answer that is not what was asked for is as good as none.

    Args:
        changed: whether it is a mutation's answer, which then ran.
    """
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, StopIteration) as error:
        logger.warning("Saleor: the answer to %s is not what was asked for (%s)", operation, type(error).__name__)
        raise SaleorUnreachable(operation, maybe_executed=changed) from error


def read_all(client: Caller, operation: str, field: str, **variables: object) -> Iterator[Mapping[str, Any]]:
    """Read all nodes of a listing, a page at a time."""
    cursor, size = "", MAX_PAGE_SIZE
    while True:
        connection, size = _page(client, operation, cursor, size, variables, field=field)
        yield from understood(operation, lambda found=connection: [edge["node"] for edge in found["edges"]])  # type: ignore[misc]
        cursor = _cursor(operation, connection)
        if not cursor:
            return


def _page(
    client: Caller, operation: str, after: str, size: int, variables: Mapping[str, object], *, field: str = "orders"
) -> tuple[Mapping[str, Any], int]:
    """Read one page, a smaller one while Saleor finds it too dear or we too long; also return its size."""
    size = max(1, min(size, MAX_PAGE_SIZE))
    while True:
        try:
            data = client.execute(operation, first=size, after=after or None, **variables)
        except (SaleorCostExceeded, SaleorAnswerTooLong) as error:
            if size == 1:
                raise
            size //= 2
            logger.warning("Saleor: %s – going on with pages of %s", error, size)
        else:
            return _connection(operation, data.get(field)), size


def _connection(operation: str, found: object) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise SaleorUnreachable(operation)
    return found


def _cursor(operation: str, connection: Mapping[str, Any]) -> str:
    info = understood(operation, lambda: dict(connection["pageInfo"]))
    return str(info.get("endCursor") or "") if info.get("hasNextPage") else ""


def _listing(created_after: datetime | None, updated_after: datetime | None, newest_first: bool) -> dict[str, object]:
    chosen: dict[str, object] = {}
    if created_after is not None:
        # Saleor compares days, of its own time zone: the day before holds all of them, and what is older is left out by us
        chosen["created"] = {"gte": (created_after.astimezone(UTC) - timedelta(days=1)).date()}
    if updated_after is not None:
        chosen["updatedAt"] = {"gte": updated_after}
    sort = {"field": "CREATED_AT" if updated_after is None else "LAST_MODIFIED_AT", "direction": "DESC" if newest_first else "ASC"}
    return {"filter": chosen or None, "sortBy": sort}
