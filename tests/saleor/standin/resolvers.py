"""What the API answers to a field: the permission first, then the value out of the world."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo

from tests.saleor.standin.permissions import FIELDS, METADATA, Caller, PermissionDenied
from tests.saleor.standin.world import ZERO, Money, Order, OrderLine, TransactionEvent, TransactionItem, World, global_id, taxed


@dataclass
class Context:
    """What a resolver may look at. `happened` collects the events that webhooks will tell about."""

    world: World
    caller: Caller
    version: str
    api_version: str = ""
    name: str = "Stand-in"
    host: str = ""
    happened: list[Any] = field(default_factory=list)
    requests: list[TransactionEvent] = field(default_factory=list)

    def format(self, error: GraphQLError) -> dict[str, Any]:
        """Write an error as Saleor does, with the name of the exception."""
        original = error.original_error or error
        return {**error.formatted, "extensions": {"exception": {"code": type(original).__name__}}}


def snake(name: str) -> str:
    """Turn `privateMetadata` into `private_metadata`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[a-zA-Z])(?=[0-9])", "_", name).lower()


def resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    """Answer any field."""
    context: Context = info.context
    key = f"{info.parent_type.name}.{info.field_name}"
    context.caller.require(FIELDS.get(key, ()))
    if info.field_name in METADATA_FIELDS:
        return _metadata(source, info.field_name, context, arguments)
    resolver = RESOLVERS.get(key)
    if resolver is not None:
        return resolver(source, context, **{snake(name): value for name, value in arguments.items()})
    if isinstance(source, dict):
        return source.get(info.field_name)
    return getattr(source, snake(info.field_name))


def resolve_type(value: Any, info: GraphQLResolveInfo, abstract: Any) -> str:
    """Name the type behind a union or an interface."""
    return value["__typename"] if isinstance(value, dict) else value.type_name


METADATA_FIELDS = ("metadata", "privateMetadata", "metafield", "privateMetafield", "metafields", "privateMetafields")


def _metadata(source: Any, name: str, context: Context, arguments: dict[str, Any]) -> Any:
    private = name.startswith("private")
    type_name = source["__typename"] if isinstance(source, dict) else source.type_name
    if private and source is not context.caller.app:
        context.caller.require(METADATA.get(type_name, ("MANAGE_SETTINGS",)))
    kept = "private_metadata" if private else "metadata"
    values: dict[str, str] = source.get(kept, {}) if isinstance(source, dict) else getattr(source, kept)
    if name in ("metafield", "privateMetafield"):
        return values.get(arguments["key"])
    if name in ("metafields", "privateMetafields"):
        keys = arguments.get("keys")
        return {key: value for key, value in values.items() if keys is None or key in keys}
    return [{"key": key, "value": value} for key, value in sorted(values.items())]


def connection(
    rows: list[Any], *, first: int | None = None, last: int | None = None, after: str | None = None, before: str | None = None
) -> dict[str, Any]:
    """Cut a page out of rows. Saleor refuses a page without a size, and more than a hundred rows."""
    if first is None and last is None:
        raise GraphQLError("You must provide a `first` or `last` value to properly paginate the connection.")
    if max(first or 0, last or 0) > 100:
        raise GraphQLError(f"Requesting {first or last} records on the connection exceeds the `first` limit of 100 records.")
    ids = [row.id if hasattr(row, "id") else row["id"] for row in rows]
    start = _position(ids, after) + 1 if after else 0
    stop = _position(ids, before) if before else len(rows)
    chosen = list(range(start, stop))
    page = chosen[:first] if first is not None else chosen[-(last or 0) :]
    edges = [{"cursor": global_id("Cursor", ids[index]), "node": rows[index]} for index in page]
    info = {
        "hasNextPage": bool(page) and page[-1] < len(rows) - 1,
        "hasPreviousPage": bool(page) and page[0] > 0,
        "startCursor": edges[0]["cursor"] if edges else None,
        "endCursor": edges[-1]["cursor"] if edges else None,
    }
    return {"edges": edges, "pageInfo": info, "totalCount": len(rows)}


def _position(ids: list[str], cursor: str) -> int:
    for index, each in enumerate(ids):
        if global_id("Cursor", each) == cursor:
            return index
    raise GraphQLError("Received cursor is invalid.")


def _order(source: Any, context: Context, id: str | None = None, **_: Any) -> Order | None:
    return context.world.orders.get(id or "")


def _orders(  # noqa: PLR0913
    source: Any,
    context: Context,
    *,
    filter: dict[str, Any] | None = None,
    where: dict[str, Any] | None = None,
    sort_by: dict[str, Any] | None = None,
    channel: str | None = None,
    search: str | None = None,
    **page: Any,
) -> dict[str, Any]:
    if filter and where:
        raise GraphQLError("Only one filtering argument (filter or where) can be specified.")
    rows = [order for order in context.world.orders.values() if not channel or order.channel["slug"] == channel]
    rows = [order for order in rows if _order_matches(order, filter or {}) and _order_matches(order, where or {})]
    if search:
        rows = [order for order in rows if search.lower() in f"{order.number} {order.user_email}".lower()]
    sort = sort_by or {"field": "CREATED_AT", "direction": "DESC"}
    keys = {"NUMBER": lambda order: int(order.number), "LAST_MODIFIED_AT": lambda order: (order.updated_at, order.id)}
    rows.sort(key=keys.get(sort["field"], lambda order: (order.created, order.id)), reverse=sort["direction"] == "DESC")
    return connection(rows, **page)


def _order_matches(order: Order, wanted: dict[str, Any]) -> bool:
    checks = {
        "ids": lambda value: order.id in value,
        "numbers": lambda value: order.number in value,
        "number": lambda value: _eq(int(order.number), value),
        "updatedAt": lambda value: _within(order.updated_at, value),
        "createdAt": lambda value: _within(order.created, value),
        "created": lambda value: _within(order.created.date(), value),
        "userEmail": lambda value: _eq(order.user_email, value),
        "customer": lambda value: value.lower() in order.user_email.lower(),
        "user": lambda value: order.user is not None and _eq(order.user.id, value),
        "channelId": lambda value: _eq(order.channel["id"], value),
        "channels": lambda value: order.channel["id"] in value,
        "chargeStatus": lambda value: _eq(order.charge_status, value) if isinstance(value, dict) else order.charge_status in value,
        "authorizeStatus": lambda value: _eq(order.authorize_status, value) if isinstance(value, dict) else order.authorize_status in value,
        "status": lambda value: _eq(order.status, value) if isinstance(value, dict) else order.status in value,
        "search": lambda value: value.lower() in f"{order.number} {order.user_email}".lower(),
        "metadata": lambda value: all(order.metadata.get(each["key"]) == each.get("value") for each in value),
        "AND": lambda value: all(_order_matches(order, each) for each in value),
        "OR": lambda value: any(_order_matches(order, each) for each in value),
    }
    return all(value is None or checks[name](value) for name, value in wanted.items())


def _eq(actual: Any, wanted: dict[str, Any]) -> bool:
    if wanted.get("range"):
        return _within(actual, wanted["range"])
    return actual == wanted["eq"] if wanted.get("eq") is not None else actual in (wanted.get("oneOf") or [actual])


def _within(actual: Any, wanted: dict[str, Any]) -> bool:
    return not (wanted.get("gte") is not None and actual < wanted["gte"]) and not (wanted.get("lte") is not None and actual > wanted["lte"])


def _app(source: Any, context: Context, id: str | None = None) -> Any:
    caller = context.caller
    if caller.app is not None and (not id or id == caller.app.id):
        return caller.app
    caller.require(("MANAGE_APPS",) if caller.app is not None else ("AUTHENTICATED_STAFF_USER", "AUTHENTICATED_APP"))
    return context.world.apps.get(id or "")


def _transaction(source: Any, context: Context, id: str | None = None, token: str | None = None) -> TransactionItem | None:
    return context.world.transactions.get(id or global_id("TransactionItem", token or ""))


def _shop(source: Any, context: Context) -> dict[str, Any]:
    return {
        "id": global_id("Shop", 1),
        "name": context.name,
        "version": context.api_version,
        "schemaVersion": context.version,
        "domain": {"host": context.host, "sslEnabled": False, "url": f"http://{context.host}/"},
        "permissions": [],
        "languages": [{"code": "EN", "language": "English"}],
        "channelCurrencies": sorted({channel["currencyCode"] for channel in context.world.channels.values()}),
    }


def _pages(
    source: Any, context: Context, *, filter: Any = None, where: Any = None, search: str | None = None, **page: Any
) -> dict[str, Any]:
    rows = [each for each in context.world.pages.values() if each.is_published or "MANAGE_PAGES" in context.caller.permissions]
    types = (filter or {}).get("pageTypes") or ((where or {}).get("pageType") or {}).get("oneOf")
    if (where or {}).get("pageType", {}).get("eq"):
        types = [where["pageType"]["eq"]]
    ids = (filter or {}).get("ids") or (where or {}).get("ids")
    rows = [each for each in rows if (not types or each.page_type.id in types) and (not ids or each.id in ids)]
    return connection(sorted(rows, key=lambda each: each.title), **{key: value for key, value in page.items() if key != "channel"})


def _page_types(source: Any, context: Context, *, filter: Any = None, **page: Any) -> dict[str, Any]:
    wanted = ((filter or {}).get("search") or "").lower()
    return connection([each for each in context.world.page_types.values() if wanted in f"{each.name} {each.slug}".lower()], **page)


def _page(source: Any, context: Context, id: str | None = None, slug: str | None = None) -> Any:
    return next((page for page in context.world.pages.values() if page.id == id or page.slug == slug), None)


def _user(source: Any, context: Context, id: str | None = None, email: str | None = None) -> Any:
    return next((user for user in context.world.users.values() if user.id == id or user.email == email), None)


def _customers(source: Any, context: Context, *, filter: Any = None, where: Any = None, search: Any = None, **page: Any) -> dict[str, Any]:
    wanted = search or (filter or {}).get("search") or ""
    emails = ((where or {}).get("email") or {}).get("oneOf") or [((where or {}).get("email") or {}).get("eq")]
    rows = [user for user in context.world.users.values() if not user.is_staff and wanted in user.email]
    return connection([user for user in rows if emails == [None] or user.email in emails], **page)


def _vouchers(source: Any, context: Context, *, filter: Any = None, channel: Any = None, **page: Any) -> dict[str, Any]:
    wanted = (filter or {}).get("search") or ""
    return connection([each for each in context.world.vouchers.values() if any(wanted in code for code in each.codes)], **page)


def _gift_cards(source: Any, context: Context, *, filter: Any = None, search: str | None = None, **page: Any) -> dict[str, Any]:
    wanted = search or (filter or {}).get("code") or ""
    return connection([each for each in context.world.gift_cards.values() if wanted in each.code], **page)


def _granted_total(order: Order, context: Context) -> Money:
    return Money(amount=sum((grant.amount_value for grant in order.granted_refunds), ZERO), currency=order.currency)


def _sum(name: str) -> Any:
    return lambda order, context: Money(amount=sum((getattr(item, name) for item in order.transactions), ZERO), currency=order.currency)


def _remaining_grant(order: Order, context: Context) -> Money:
    refunded = sum((item.refunded + item.refund_pending for item in order.transactions), ZERO)
    names = ("charged", "authorized", "refunded", "charge_pending", "authorize_pending", "refund_pending")
    processed = sum((getattr(item, name) for item in order.transactions for name in names), ZERO)
    already = max(refunded - (processed - order.total_gross), ZERO)
    return Money(amount=max(_granted_total(order, context).amount - already, ZERO), currency=order.currency)


def _order_total(order: Order, context: Context) -> Any:
    net = sum(
        (taxed(line.unit_gross * line.quantity, order.currency, line.tax_rate).net.amount for line in order.lines), order.shipping_gross
    )
    return {
        "currency": order.currency,
        "gross": _money(order, order.total_gross),
        "net": _money(order, net),
        "tax": _money(order, order.total_gross - net),
    }


def _undiscounted(order: Order, context: Context) -> Any:
    gross = sum((line.undiscounted_unit_gross * line.quantity for line in order.lines), order.shipping_gross)
    return taxed(gross, order.currency)


def _money(order: Order, amount: Decimal) -> Money:
    return Money(amount=amount, currency=order.currency)


def _line_price(name: str, whole: bool) -> Any:
    def price(line: OrderLine, context: Context) -> Any:
        return taxed(getattr(line, name) * (line.quantity if whole else 1), line.order.currency, line.tax_rate)

    return price


def _address(order: Order, context: Context) -> dict[str, Any]:
    country = {"code": order.billing_country, "country": order.billing_country}
    names = ("firstName", "lastName", "companyName", "streetAddress1", "streetAddress2", "city", "cityArea", "postalCode", "countryArea")
    return {"id": global_id("Address", order.pk), "country": country, **dict.fromkeys(names, "")}


def _digital(line: OrderLine, context: Context) -> Any:
    if line.downloads is None:
        return None
    url = f"http://{context.host}/digital-download/{line.digital_token}/"
    created = line.order.created
    values = {"created": created, "downloadNum": line.downloads, "url": url, "token": line.digital_token}
    return {"id": global_id("DigitalContentUrl", line.pk), **values}


def _event_author(event: TransactionEvent, context: Context) -> Any:
    return event.created_by


AMOUNTS = {
    "authorizedAmount": "authorized",
    "authorizePendingAmount": "authorize_pending",
    "chargedAmount": "charged",
    "chargePendingAmount": "charge_pending",
    "refundedAmount": "refunded",
    "refundPendingAmount": "refund_pending",
    "canceledAmount": "canceled",
    "cancelPendingAmount": "cancel_pending",
}

RESOLVERS: dict[str, Any] = {
    "Query.order": _order,
    "Query.orders": _orders,
    "Query.app": _app,
    "Query.shop": _shop,
    "Query.me": lambda source, context: context.caller.user,
    "Query.transaction": _transaction,
    "Query.refundSettings": lambda source, context: {"reasonReferenceType": context.world.refund_reason_type},
    "Query.pages": _pages,
    "Query.page": _page,
    "Query.pageTypes": _page_types,
    "Query.pageType": lambda source, context, id: context.world.page_types.get(id),
    "Query.user": _user,
    "Query.customers": _customers,
    "Query.vouchers": _vouchers,
    "Query.voucher": lambda source, context, id, **_: context.world.vouchers.get(id),
    "Query.giftCards": _gift_cards,
    "Query.giftCard": lambda source, context, id: context.world.gift_cards.get(id),
    "Query.channels": lambda source, context: list(context.world.channels.values()),
    "Query.channel": lambda source, context, id=None, slug=None: next(
        (each for each in context.world.channels.values() if each["id"] == id or each["slug"] == slug), None
    ),
    "App.permissions": lambda app, context: [{"code": code, "name": code} for code in app.permissions],
    "App.webhooks": lambda app, context: app.webhooks,
    "Webhook.asyncEvents": lambda hook, context: [{"eventType": name} for name in hook.events if not name.endswith("_REQUESTED")],
    "Webhook.syncEvents": lambda hook, context: [{"eventType": name} for name in hook.events if name.endswith("_REQUESTED")],
    "AppExtension.permissions": lambda extension, context: [{"code": code, "name": code} for code in extension.permissions],
    "User.orders": lambda user, context, **page: connection(
        [order for order in context.world.orders.values() if order.user is user], **page
    ),
    "User.userPermissions": lambda user, context: [{"code": code, "name": code} for code in user.permissions],
    "User.defaultBillingAddress": lambda user, context: None,
    "User.defaultShippingAddress": lambda user, context: None,
    "Order.total": _order_total,
    "Order.undiscountedTotal": _undiscounted,
    "Order.subtotal": lambda order, context: taxed(order.total_gross - order.shipping_gross, order.currency),
    "Order.shippingPrice": lambda order, context: taxed(order.shipping_gross, order.currency),
    "Order.billingAddress": _address,
    "Order.shippingAddress": lambda order, context: None,
    "Order.isPaid": lambda order, context: order.charge_status in ("FULL", "OVERCHARGED"),
    "Order.isShippingRequired": lambda order, context: any(line.is_shipping_required for line in order.lines),
    "Order.paymentStatus": lambda order, context: "FULLY_CHARGED" if order.charge_status == "FULL" else "NOT_CHARGED",
    "Order.statusDisplay": lambda order, context: order.status.capitalize(),
    "Order.origin": lambda order, context: "CHECKOUT",
    "Order.token": lambda order, context: order.pk,
    "Order.customerNote": lambda order, context: "",
    "Order.languageCode": lambda order, context: order.language_code.lower(),
    "Order.languageCodeEnum": lambda order, context: order.language_code,
    "Order.displayGrossPrices": lambda order, context: True,
    "Order.externalReference": lambda order, context: None,
    "Order.checkoutId": lambda order, context: None,
    "Order.voucher": lambda order, context: None,
    "Order.totalAuthorized": lambda order, context: _money(order, order.total_authorized_value),
    "Order.totalCharged": lambda order, context: _money(order, order.total_charged_value),
    "Order.totalBalance": lambda order, context: _money(
        order, order.total_charged_value - order.total_gross + _granted_total(order, context).amount
    ),
    "Order.totalCanceled": _sum("canceled"),
    "Order.totalRefunded": _sum("refunded"),
    "Order.totalRefundPending": _sum("refund_pending"),
    "Order.totalGrantedRefund": _granted_total,
    "Order.totalRemainingGrant": _remaining_grant,
    "OrderLine.productVariantId": lambda line, context: (line.variant or {}).get("id"),
    "OrderLine.quantityToFulfill": lambda line, context: line.quantity - line.quantity_fulfilled,
    "OrderLine.taxRate": lambda line, context: float(line.tax_rate),
    "OrderLine.taxClassName": lambda line, context: None,
    "OrderLine.unitPrice": _line_price("unit_gross", whole=False),
    "OrderLine.totalPrice": _line_price("unit_gross", whole=True),
    "OrderLine.undiscountedUnitPrice": _line_price("undiscounted_unit_gross", whole=False),
    "OrderLine.undiscountedTotalPrice": _line_price("undiscounted_unit_gross", whole=True),
    "OrderLine.unitDiscount": lambda line, context: _money(line.order, line.undiscounted_unit_gross - line.unit_gross),
    "OrderLine.unitDiscountReason": lambda line, context: None,
    "OrderLine.translatedProductName": lambda line, context: "",
    "OrderLine.translatedVariantName": lambda line, context: "",
    "OrderLine.digitalContentUrl": _digital,
    "TransactionItem.token": lambda item, context: item.pk,
    "TransactionItem.createdBy": lambda item, context: item.app or item.user,
    "TransactionItem.events": lambda item, context: sorted(item.events, key=lambda event: event.created_at, reverse=True),
    "TransactionItem.paymentMethodDetails": lambda item, context: None,
    "TransactionItem.reason": lambda item, context: None,
    "TransactionItem.reasonReference": lambda item, context: None,
    "TransactionEvent.createdBy": _event_author,
    "TransactionEvent.amount": lambda event, context: Money(amount=event.amount_value, currency=event.transaction.currency),
    "OrderGrantedRefund.amount": lambda grant, context: Money(amount=grant.amount_value, currency=grant.order.currency),
    "OrderGrantedRefund.transactionEvents": lambda grant, context: sorted(
        (event for item in grant.order.transactions for event in item.events if event.granted_refund is grant),
        key=lambda event: event.created_at,
        reverse=True,
    ),
    "Voucher.code": lambda voucher, context: voucher.codes[0] if voucher.codes else None,
    "Voucher.codes": lambda voucher, context, **page: connection(
        [{"id": global_id("VoucherCode", code), "code": code, "used": 0, "isActive": True} for code in voucher.codes], **page
    ),
    "Voucher.channelListings": lambda voucher, context: list(voucher.listings.values()),
    "GiftCard.initialBalance": lambda card, context: card.initial,
    "GiftCard.currentBalance": lambda card, context: card.current,
    "GiftCard.displayCode": lambda card, context: card.code[-4:],
    "GiftCard.last4CodeChars": lambda card, context: card.code[-4:],
    "GiftCard.isActive": lambda card, context: bool(card.values.get("isActive")),
    "GiftCard.expiryDate": lambda card, context: card.values.get("expiryDate"),
    "GiftCard.assignedToEmail": lambda card, context: card.assigned_to.email if card.assigned_to else None,
    "GiftCard.tags": lambda card, context: [{"id": global_id("GiftCardTag", tag), "name": tag} for tag in card.values.get("addTags") or []],
    "GiftCard.boughtInChannel": lambda card, context: None,
    "GiftCard.createdBy": lambda card, context: None,
    "GiftCard.createdByEmail": lambda card, context: None,
    "GiftCard.usedBy": lambda card, context: None,
    "GiftCard.usedByEmail": lambda card, context: None,
}
VOUCHER_VALUES = ("type", "name", "usageLimit", "startDate", "endDate", "discountValueType")
VOUCHER_SWITCHES = ("applyOncePerOrder", "applyOncePerCustomer", "singleUse", "onlyForStaff")


def _value(name: str, default: Any = None) -> Any:
    return lambda thing, context: thing.values.get(name, default)


def _transaction_amount(name: str) -> Any:
    return lambda item, context: Money(amount=getattr(item, name), currency=item.currency)


RESOLVERS |= {f"Voucher.{name}": _value(name) for name in VOUCHER_VALUES}
RESOLVERS |= {f"Voucher.{name}": _value(name, False) for name in VOUCHER_SWITCHES}
RESOLVERS |= {"Voucher.used": _value("used", 0), "Voucher.minSpent": _value("minSpent"), "Voucher.discountValue": _value("discountValue")}
RESOLVERS |= {f"TransactionItem.{field_name}": _transaction_amount(name) for field_name, name in AMOUNTS.items()}

__all__ = ["Context", "PermissionDenied", "connection", "resolve", "resolve_type", "snake"]
