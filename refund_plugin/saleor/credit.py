"""Refund reasons, vouchers and gift cards; as in `api.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from refund_plugin.saleor import mapping
from refund_plugin.saleor.api import Caller, change, read_all, understood
from refund_plugin.saleor.data import GiftCardData, PageTypeData, ReasonData, RefundReasons, VoucherData
from refund_plugin.saleor.versions import Version

REASONS_SINCE = Version(3, 22)
_ASSIGNED_SINCE = Version(3, 23)


def read_refund_reasons(client: Caller) -> RefundReasons | None:
    """Read the pages that this Saleor offers as reasons; None before 3.22, and where no page type was chosen for them."""
    if client.version() < REASONS_SINCE:
        return None
    data = client.execute("RefundReasonType")
    found = understood("RefundReasonType", lambda: data["refundSettings"]["reasonReferenceType"])
    if not found:
        return None
    kind = understood("RefundReasonType", lambda: mapping.page_type(found))
    return RefundReasons(page_type=kind, pages=read_pages(client, kind.id))


def read_pages(client: Caller, page_type_id: str) -> tuple[ReasonData, ...]:
    """Read all pages of a page type."""
    nodes = list(read_all(client, "PagesOfType", "pages", pageType=page_type_id))
    return understood("PagesOfType", lambda: tuple(mapping.reason(node) for node in nodes))


def find_page_type(client: Caller, *, name: str) -> PageTypeData | None:
    """Find a page type by its exact name."""
    data = client.execute("PageTypeByName", search=name)
    found = understood("PageTypeByName", lambda: [mapping.page_type(edge["node"]) for edge in data["pageTypes"]["edges"]])
    return next((kind for kind in found if kind.name == name), None)


def create_page_type(client: Caller, *, name: str) -> PageTypeData:
    """Make a page type. Permission: MANAGE_PAGE_TYPES_AND_ATTRIBUTES."""
    return change(client, "PageTypeCreate", lambda done: mapping.page_type(done["pageType"]), input={"name": name})


def create_reason(client: Caller, *, page_type_id: str, title: str, slug: str) -> ReasonData:
    """Make a published page. Permission: MANAGE_PAGES.

    Raises:
        SaleorRefused: UNIQUE when there is a page with this slug.
    """
    given = {"pageType": page_type_id, "title": title, "slug": slug, "isPublished": True}
    return change(client, "PageCreate", lambda done: mapping.reason(done["page"]), input=given)


def choose_reason_type(client: Caller, *, page_type_id: str) -> PageTypeData:
    """Make the pages of a page type the reasons of refunds, for the whole shop. Permission: MANAGE_SETTINGS.

    Raises:
        SaleorVersionUnsupported: before 3.22.
    """
    return change(
        client,
        "RefundSettingsUpdate",
        lambda done: mapping.page_type(done["refundSettings"]["reasonReferenceType"]),
        input={"refundReasonReferenceType": page_type_id},
    )


def create_voucher(
    client: Caller,
    *,
    code: str,
    name: str,
    value_type: Literal["FIXED", "PERCENTAGE"],
    end_date: datetime | None = None,
    usage_limit: int = 1,
) -> VoucherData:
    """Make a voucher on the whole order that each customer uses once; good for nothing until it is listed in a channel.

    Args:
        code: chosen by the caller, so that a repeated call is refused instead of making another voucher.
    Raises:
        SaleorRefused: ALREADY_EXISTS when the code is taken.
    """
    given: dict[str, object] = {
        "addCodes": [code],
        "name": name,
        "type": "ENTIRE_ORDER",
        "discountValueType": value_type,
        "usageLimit": usage_limit,
        "singleUse": usage_limit == 1,
        "applyOncePerCustomer": True,
        "endDate": end_date,
    }
    return change(client, "VoucherCreate", _voucher, input=given)


def list_voucher(client: Caller, *, voucher_id: str, channel_id: str, value: Decimal) -> VoucherData:
    """Make a voucher good in a channel, for `value` (the channel's currency, or per cent); repeating it is harmless."""
    given = {"addChannels": [{"channelId": channel_id, "discountValue": value}]}
    return change(client, "VoucherChannelListingUpdate", _voucher, id=voucher_id, input=given)


def find_voucher(client: Caller, *, code: str) -> VoucherData | None:
    """Find a voucher by its exact code."""
    data = client.execute("VoucherByCode", code=code)
    found = understood("VoucherByCode", lambda: [mapping.voucher(edge["node"]) for edge in data["vouchers"]["edges"]])
    return next((voucher for voucher in found if voucher.code == code), None)


def create_gift_card(
    client: Caller,
    *,
    code: str,
    amount: Decimal,
    currency: str,
    note: str = "",
    assigned_to: str = "",
    expires_on: date | None = None,
) -> GiftCardData:
    """Make an active gift card; Saleor sends no mail for it.

    Args:
        code: chosen by the caller, so that a repeated call is refused instead of making another card.
        assigned_to: id of the customer's account; left out before 3.23.
    Raises:
        SaleorRefused: ALREADY_EXISTS or UNIQUE when the code is taken.
    """
    given: dict[str, object] = {
        "code": code,
        "balance": {"amount": amount, "currency": currency},
        "isActive": True,
        "note": note,
        "expiryDate": expires_on,
    }
    if assigned_to and client.version() >= _ASSIGNED_SINCE:
        given["assignedTo"] = assigned_to
    return change(client, "GiftCardCreate", lambda done: mapping.gift_card(done["giftCard"]), input=given)


def find_gift_card(client: Caller, *, code: str) -> GiftCardData | None:
    """Find a gift card by its exact code."""
    data = client.execute("GiftCardByCode", code=code)
    found = understood("GiftCardByCode", lambda: [mapping.gift_card(edge["node"]) for edge in data["giftCards"]["edges"]])
    return next((card for card in found if card.code == code), None)


def _voucher(done: Mapping[str, Any]) -> VoucherData:
    return mapping.voucher(done["voucher"])
