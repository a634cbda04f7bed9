"""Metadata, vouchers, gift cards and the kind of pages that are reasons."""

from __future__ import annotations

import secrets
from typing import Any

from tests.saleor.standin.context import Context
from tests.saleor.standin.permissions import METADATA
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.world import GiftCard, Money, Page, PageType, Voucher

MIN_CODE, MAX_CODE = 8, 16  # of a gift card's

METADATA_EVENTS = {
    "TransactionItem": "TRANSACTION_ITEM_METADATA_UPDATED",
    "Order": "ORDER_METADATA_UPDATED",
    "User": "CUSTOMER_METADATA_UPDATED",
}


def _owner_of_metadata(context: Context, id: str) -> Any:
    thing = context.world.things().get(id)
    if thing is None:
        raise Refusal("id", f"Couldn't resolve to a node: {id}", "NOT_FOUND")
    if thing is not context.caller.app:
        context.caller.require(METADATA.get(thing.type_name, ("MANAGE_SETTINGS",)))
    return thing


def _changer(attribute: str, *, delete: bool) -> Any:
    def change(
        source: Any, context: Context, *, id: str, input: list[dict[str, str]] | None = None, keys: list[str] | None = None
    ) -> dict[str, Any]:
        thing = _owner_of_metadata(context, id)
        if any(not each["key"].strip() for each in input or []):
            raise Refusal("input", "Metadata key cannot be empty.", "REQUIRED")
        values: dict[str, str] = getattr(thing, attribute)
        if delete:
            for key in keys or []:
                values.pop(key, None)
        else:
            values |= {each["key"]: each["value"] for each in input or []}
        if thing.type_name in METADATA_EVENTS:
            context.happened.append((METADATA_EVENTS[thing.type_name], thing))
        return {"item": thing}

    return change


update_metadata = _changer("metadata", delete=False)
update_private_metadata = _changer("private_metadata", delete=False)
delete_metadata = _changer("metadata", delete=True)
delete_private_metadata = _changer("private_metadata", delete=True)


def _promo_codes(context: Context) -> set[str]:
    """Return the codes of all vouchers and gift cards: no two of them share one."""
    vouchers = {code for voucher in context.world.vouchers.values() for code in voucher.codes}
    return vouchers | {card.code for card in context.world.gift_cards.values()}


def create_voucher(source: Any, context: Context, *, input: dict[str, Any]) -> dict[str, Any]:
    """voucherCreate: no voucher and no gift card of the shop has its codes yet."""
    codes = [*(input.get("addCodes") or []), *([input["code"]] if input.get("code") else [])]
    if not codes:
        raise Refusal("codes", "At least one code is required.", "REQUIRED")
    if clash := sorted(_promo_codes(context) & set(codes)):
        raise Refusal("codes", "Promo code already exists.", "ALREADY_EXISTS", voucherCodes=clash)
    if input.get("usageLimit") and input.get("singleUse") and input["usageLimit"] < len(codes):
        raise Refusal("usageLimit", "Usage limit is lower than the number of codes.", "INVALID")
    voucher = Voucher(id=context.world.next_id("Voucher"), values={"type": "ENTIRE_ORDER", **input}, codes=codes)
    voucher.values.setdefault("startDate", context.world.clock.now())
    voucher.values.setdefault("discountValueType", "FIXED")
    context.world.vouchers[voucher.id] = voucher
    return {"voucher": voucher}


def list_voucher(source: Any, context: Context, *, id: str, input: dict[str, Any]) -> dict[str, Any]:
    """voucherChannelListingUpdate: makes a voucher worth something in a channel."""
    voucher = context.world.vouchers.get(id)
    if voucher is None:
        raise Refusal("id", f"Couldn't resolve to a node: {id}", "NOT_FOUND")
    for each in input.get("addChannels") or []:
        channel = next((known for known in context.world.channels.values() if known["id"] == each["channelId"]), None)
        if channel is None:
            raise Refusal("addChannels", f"Couldn't resolve to a node: {each['channelId']}", "NOT_FOUND", channels=[each["channelId"]])
        if each.get("discountValue") is None and channel["id"] not in voucher.listings:
            raise Refusal("discountValue", "Value is required for all channels.", "REQUIRED", channels=[channel["id"]])
        currency = channel["currencyCode"]
        voucher.listings[channel["id"]] = {
            "id": context.world.next_id("VoucherChannelListing"),
            "channel": channel,
            "currency": currency,
            "discountValue": float(each["discountValue"]),
            "minSpent": Money(amount=each["minAmountSpent"], currency=currency) if each.get("minAmountSpent") else None,
        }
    for channel_id in input.get("removeChannels") or []:
        voucher.listings.pop(channel_id, None)
    return {"voucher": voucher}


def create_gift_card(source: Any, context: Context, *, input: dict[str, Any]) -> dict[str, Any]:
    """giftCardCreate: the code is made here unless it is given; it has 8 to 16 characters, and no card or voucher has it yet."""
    code = input.get("code") or "-".join(secrets.token_hex(2).upper() for _ in range(3))
    if code in _promo_codes(context):
        raise Refusal("code", "Promo code already exists.", "ALREADY_EXISTS")
    if len(code) < MIN_CODE:
        raise Refusal("code", f"Ensure this value has at least {MIN_CODE} characters (it has {len(code)}).", "INVALID")
    if len(code) > MAX_CODE:
        raise Refusal("code", f"Ensure this value has at most {MAX_CODE} characters (it has {len(code)}).", "INVALID")
    if input.get("expiryDate") and input["expiryDate"] <= context.world.clock.now().date():
        raise Refusal("expiryDate", "Expiry date must be in the future.", "INVALID")
    if input["balance"]["amount"] <= 0:
        raise Refusal("balance", "Balance amount have to be greater than 0.", "INVALID")
    if input.get("userEmail") and not input.get("channel"):
        raise Refusal("channel", "Channel slug must be specified when user_email is provided.", "REQUIRED")
    owner = context.world.users.get(input.get("assignedTo") or "")
    if input.get("assignedTo") and owner is None:
        raise Refusal("assignedTo", f"Couldn't resolve to a node: {input['assignedTo']}", "NOT_FOUND")
    amounts = {"amount": input["balance"]["amount"], "currency": input["balance"]["currency"]}
    card = GiftCard(
        id=context.world.next_id("GiftCard"),
        code=code,
        initial=Money(**amounts),
        current=Money(**amounts),
        created=context.world.clock.now(),
        values=input,
        app=context.caller.app,
        assigned_to=owner,
        metadata={each["key"]: each["value"] for each in input.get("metadata") or []},
        private_metadata={each["key"]: each["value"] for each in input.get("privateMetadata") or []},
    )
    context.world.gift_cards[card.id] = card
    return {"giftCard": card}


def update_refund_settings(source: Any, context: Context, *, input: dict[str, Any]) -> dict[str, Any]:
    """refundSettingsUpdate: choose the kind of pages that are reasons of refunds."""
    wanted = input.get("refundReasonReferenceType")
    if wanted not in context.world.page_types:
        raise Refusal("refundReasonReferenceType", f"Couldn't resolve to a node: {wanted}", "INVALID")
    context.world.refund_reason_type = context.world.page_types[wanted]
    return {"refundSettings": {"reasonReferenceType": context.world.refund_reason_type}}


def create_page_type(source: Any, context: Context, *, input: dict[str, Any]) -> dict[str, Any]:
    """pageTypeCreate: a kind of pages; its slug is made of its name and is new."""
    slug = input.get("slug") or str(input["name"]).lower().replace(" ", "-")
    taken = {each.slug for each in context.world.page_types.values()}
    number = 2
    while slug in taken:
        slug, number = f"{slug}-{number}", number + 1
    page_type = PageType(id=context.world.next_id("PageType"), name=input["name"], slug=slug)
    context.world.page_types[page_type.id] = page_type
    return {"pageType": page_type}


def create_page(source: Any, context: Context, *, input: dict[str, Any]) -> dict[str, Any]:
    """pageCreate: a page of a kind; an own slug must be new."""
    page_type = context.world.page_types.get(input["pageType"])
    if page_type is None:
        raise Refusal("pageType", f"Couldn't resolve to a node: {input['pageType']}", "NOT_FOUND")
    slug = input.get("slug") or str(input.get("title") or "").lower().replace(" ", "-")
    if any(page.slug == slug for page in context.world.pages.values()):
        raise Refusal("slug", "Page with this Slug already exists.", "UNIQUE")
    page = Page(id=context.world.next_id("Page"), title=input.get("title") or "", slug=slug, page_type=page_type)
    page.is_published, page.created = bool(input.get("isPublished")), context.world.clock.now()
    context.world.pages[page.id] = page
    return {"page": page}
