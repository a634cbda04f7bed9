"""What the API answers to a field: the permission first, then the value out of the world."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from graphql import GraphQLResolveInfo

from tests.saleor.standin import listing
from tests.saleor.standin.context import Context
from tests.saleor.standin.permissions import FIELDS, METADATA
from tests.saleor.standin.webhook_mutations import told_headers
from tests.saleor.standin.world import ZERO, Money, Order, OrderLine, TransactionEvent, TransactionItem, global_id, taxed


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


def _order(source: Any, context: Context, id: str | None = None, **_: Any) -> Order | None:
    return context.world.orders.get(id or "")


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
    "Query.orders": listing.orders,
    "Query.app": _app,
    "Query.shop": _shop,
    "Query.me": lambda source, context: context.caller.user,
    "Query.transaction": _transaction,
    "Query.refundSettings": lambda source, context: {"reasonReferenceType": context.world.refund_reason_type},
    "Query.pages": listing.pages,
    "Query.page": listing.page_by,
    "Query.pageTypes": listing.page_types,
    "Query.pageType": lambda source, context, id: context.world.page_types.get(id),
    "Query.user": listing.user_by,
    "Query.customers": listing.customers,
    "Query.vouchers": listing.vouchers,
    "Query.voucher": lambda source, context, id, **_: context.world.vouchers.get(id),
    "Query.giftCards": listing.gift_cards,
    "Query.giftCard": lambda source, context, id: context.world.gift_cards.get(id),
    "Query.channels": lambda source, context: list(context.world.channels.values()),
    "Query.channel": lambda source, context, id=None, slug=None: next(
        (each for each in context.world.channels.values() if each["id"] == id or each["slug"] == slug), None
    ),
    "App.permissions": lambda app, context: [{"code": code, "name": code} for code in app.permissions],
    "App.webhooks": lambda app, context: app.webhooks,
    "Webhook.customHeaders": told_headers,
    "Webhook.asyncEvents": lambda hook, context: [{"eventType": name} for name in hook.events if not name.endswith("_REQUESTED")],
    "Webhook.syncEvents": lambda hook, context: [{"eventType": name} for name in hook.events if name.endswith("_REQUESTED")],
    "AppExtension.permissions": lambda extension, context: [{"code": code, "name": code} for code in extension.permissions],
    "User.orders": lambda user, context, **page: listing.connection(
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
    "Voucher.codes": lambda voucher, context, **page: listing.connection(
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
