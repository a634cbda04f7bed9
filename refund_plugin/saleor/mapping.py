"""From Saleor's JSON to `data.py`. Pure; what is missing or of another kind raises KeyError, TypeError or ValueError (see `api.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from refund_plugin.saleor.data import (
    AppData,
    ChannelData,
    DownloadsData,
    EventData,
    GiftCardData,
    GrantedLineData,
    GrantedRefundData,
    OrderData,
    OrderLineData,
    OrderMoneyData,
    PageTypeData,
    ReasonData,
    SoldOrderData,
    TransactionData,
    VoucherData,
    WebhookData,
)

Json = Mapping[str, Any]


def amount(money: Json) -> Decimal:
    """Read an amount in major units; a binary float was never exact, so it is refused."""
    return _number(money["amount"])


def _number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        raise TypeError("not an exact number")
    return Decimal(value)


def moment(text: str) -> datetime:
    """Read a moment; Saleor always writes its offset."""
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError("a moment without an offset")
    return read


def app(node: Json, shop: Json) -> AppData:
    """Read our App and the shop it is in."""
    return AppData(
        id=node["id"],
        identifier=node["identifier"] or "",
        name=node["name"] or "",
        is_active=node["isActive"] is not False,
        permissions=tuple(sorted(entry["code"] for entry in node["permissions"] or ())),
        version=shop["version"],
        shop_name=shop["name"],
    )


def webhook(node: Json) -> WebhookData:
    """Read a webhook."""
    events = [*node["asyncEvents"], *node["syncEvents"]]
    return WebhookData(
        id=node["id"],
        name=node["name"] or "",
        is_active=bool(node["isActive"]),
        target_url=node["targetUrl"],
        events=tuple(event["eventType"] for event in events),
        headers=webhook_headers(node),
    )


def webhook_headers(node: Json) -> dict[str, str]:
    """Read the headers of a webhook's own, which Saleor writes as JSON inside a text."""
    told = json.loads(node["customHeaders"] or "{}") or {}
    return {str(name).lower(): str(value) for name, value in told.items()}


def channel(node: Json) -> ChannelData:
    """Read a channel."""
    return ChannelData(id=node["id"], slug=node["slug"], name=node["name"], currency=node["currencyCode"], is_active=bool(node["isActive"]))


def event(node: Json) -> EventData:
    """Read an event of a transaction."""
    return EventData(
        id=node["id"],
        created=moment(node["createdAt"]),
        type=node["type"] or "",
        psp_reference=node["pspReference"],
        amount=amount(node["amount"]),
        currency=node["amount"]["currency"],
        message=node["message"],
        idempotency_key=node["idempotencyKey"] or "",
    )


def transaction(node: Json) -> TransactionData:
    """Read a transaction."""
    owner = node["createdBy"] or {}
    paid_with = node.get("paymentMethodDetails") or {}
    return TransactionData(
        id=node["id"],
        order_id=(node["order"] or {"id": ""})["id"],
        psp_reference=node["pspReference"],
        name=node["name"],
        message=node["message"],
        created=moment(node["createdAt"]),
        modified=moment(node["modifiedAt"]),
        currency=node["chargedAmount"]["currency"],
        authorized=amount(node["authorizedAmount"]),
        charged=amount(node["chargedAmount"]),
        charge_pending=amount(node["chargePendingAmount"]),
        refunded=amount(node["refundedAmount"]),
        refund_pending=amount(node["refundPendingAmount"]),
        canceled=amount(node["canceledAmount"]),
        cancel_pending=amount(node["cancelPendingAmount"]),
        app_id=owner["id"] if owner.get("__typename") == "App" else "",
        actions=tuple(node["actions"]),
        method=paid_with.get("name") or "",
        brand=paid_with.get("brand") or "",
        last4=paid_with.get("lastDigits") or "",
        events=tuple(event(entry) for entry in node["events"]),
    )


def reason(node: Json) -> ReasonData:
    """Read a reason's page."""
    return ReasonData(id=node["id"], slug=node["slug"], title=node["title"], is_published=node.get("isPublished", True))


def granted_refund(node: Json) -> GrantedRefundData:
    """Read a granted refund."""
    page = node.get("reasonReference")
    return GrantedRefundData(
        id=node["id"],
        created=moment(node["createdAt"]),
        updated=moment(node["updatedAt"]),
        amount=amount(node["amount"]),
        currency=node["amount"]["currency"],
        status=node["status"],
        reason=node["reason"] or "",
        reason_page=reason(page) if page else None,
        with_shipping=node["shippingCostsIncluded"],
        app_id=(node["app"] or {"id": ""})["id"],
        transaction_id=(node["transaction"] or {"id": ""})["id"],
        lines=tuple(_granted_line(line) for line in node["lines"] or ()),
        events=tuple(event(entry) for entry in node["transactionEvents"] or ()),
    )


def _granted_line(node: Json) -> GrantedLineData:
    return GrantedLineData(order_line_id=node["orderLine"]["id"], quantity=node["quantity"], reason=node["reason"] or "")


def order_money(node: Json) -> OrderMoneyData:
    """Read the money of an order."""
    total = node["total"]["gross"]
    return OrderMoneyData(
        id=node["id"],
        number=node["number"],
        status=node["status"],
        created=moment(node["created"]),
        updated_at=moment(node["updatedAt"]),
        currency=total["currency"],
        total_gross=amount(total),
        charged=amount(node["totalCharged"]),
        refunded=amount(node["totalRefunded"]),
        granted=amount(node["totalGrantedRefund"]),
        refund_pending=amount(node["totalRefundPending"]),
        transactions=tuple(transaction(entry) for entry in node["transactions"]),
        granted_refunds=tuple(granted_refund(entry) for entry in node["grantedRefunds"]),
        private_metadata=_metadata(node["privateMetafields"]),
    )


def order(node: Json) -> OrderData:
    """Read an order."""
    billing = node["billingAddress"] or {}
    country = (billing or node["shippingAddress"] or {}).get("country") or {"code": ""}
    total = node["total"]["gross"]
    return OrderData(
        id=node["id"],
        number=node["number"],
        status=node["status"],
        origin=node["origin"],
        charge_status=node["chargeStatus"],
        created=moment(node["created"]),
        updated_at=moment(node["updatedAt"]),
        user_id=(node["user"] or {"id": ""})["id"],
        user_email=node["userEmail"] or "",
        user_name=f"{billing.get('firstName') or ''} {billing.get('lastName') or ''}".strip(),
        company=(billing.get("companyName") or "").strip(),
        country=country["code"].upper(),
        language_code=node["languageCodeEnum"],
        channel_id=node["channel"]["id"],
        channel_slug=node["channel"]["slug"],
        currency=total["currency"],
        total_gross=amount(total),
        shipping_gross=amount(node["shippingPrice"]["gross"]),
        charged=amount(node["totalCharged"]),
        refunded=amount(node["totalRefunded"]),
        granted=amount(node["totalGrantedRefund"]),
        refund_pending=amount(node["totalRefundPending"]),
        discount=sum((amount(entry["amount"]) for entry in node["discounts"]), Decimal(0)),
        voucher_code=node["voucherCode"] or "",
        gift_cards_used=len(node["giftCards"]),
        external_reference=node["externalReference"] or "",
        lines=tuple(order_line(entry) for entry in node["lines"]),
        transactions=tuple(transaction(entry) for entry in node["transactions"]),
        granted_refunds=tuple(granted_refund(entry) for entry in node["grantedRefunds"]),
        metadata=_metadata(node["metafields"]),
        private_metadata=_metadata(node["privateMetafields"]),
    )


def order_line(node: Json) -> OrderLineData:
    """Read a line of an order; a variant that was deleted leaves what hangs on it empty."""
    variant = node["variant"] or {}
    product = variant.get("product") or {}
    kind = product.get("productType") or {}
    category = product.get("category")
    used = node.get("digitalContentUrl")
    return OrderLineData(
        id=node["id"],
        product_name=node["productName"],
        variant_name=node["variantName"],
        sku=node["productSku"] or "",
        variant_id=variant.get("id", ""),
        product_id=product.get("id", ""),
        product_slug=product.get("slug", ""),
        product_type_slug=kind.get("slug", ""),
        category_slugs=(category["slug"],) if category else (),
        collection_slugs=tuple(entry["slug"] for entry in product.get("collections") or ()),
        is_shipping_required=node["isShippingRequired"],
        is_gift=bool(node["isGift"]),
        quantity=node["quantity"],
        quantity_fulfilled=node["quantityFulfilled"],
        total_gross=amount(node["totalPrice"]["gross"]),
        total_net=amount(node["totalPrice"]["net"]),
        undiscounted_gross=amount(node["undiscountedTotalPrice"]["gross"]),
        tax_rate=_number(node["taxRate"]),
        metadata=_merged(kind.get("metafields"), product.get("metafields"), variant.get("metafields"), node["privateMetafields"]),
        downloads=_downloads(used) if used else None,
    )


def _downloads(node: Json) -> DownloadsData:
    return DownloadsData(id=node["id"], count=node["downloadNum"], created=moment(node["created"]))


def _metadata(values: Json | None) -> dict[str, str]:
    return {str(key): str(value) for key, value in (values or {}).items() if value is not None}


def _merged(*layers: Json | None) -> dict[str, str]:
    merged: dict[str, str] = {}
    for layer in layers:
        merged |= _metadata(layer)
    return merged


def sold_order(node: Json) -> SoldOrderData:
    """Read an order of a customer's history."""
    total = node["total"]["gross"]
    return SoldOrderData(
        id=node["id"],
        number=node["number"],
        status=node["status"],
        created=moment(node["created"]),
        channel_slug=node["channel"]["slug"],
        currency=total["currency"],
        total_gross=amount(total),
        charged=amount(node["totalCharged"]),
        refunded=amount(node["totalRefunded"]),
    )


def page_type(node: Json) -> PageTypeData:
    """Read a page type."""
    return PageTypeData(id=node["id"], name=node["name"], slug=node["slug"])


def voucher(node: Json) -> VoucherData:
    """Read a voucher."""
    listed: Iterable[Json] = node.get("channelListings") or ()
    return VoucherData(
        id=node["id"],
        code=node["code"] or "",
        name=node["name"] or "",
        end_date=moment(node["endDate"]) if node["endDate"] else None,
        channel_ids=tuple(entry["channel"]["id"] for entry in listed),
    )


def gift_card(node: Json) -> GiftCardData:
    """Read a gift card."""
    balance = node["currentBalance"]
    return GiftCardData(
        id=node["id"], code=node["code"], last4=node["last4CodeChars"], balance=amount(balance), currency=balance["currency"]
    )
