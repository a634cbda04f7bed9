"""Building what is sold: products and prices, Checkout sessions, invoices, subscriptions and credit notes.

As in `objects`, every field that the API has is there; what the sandbox has no use for is null.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demo.sandbox.objects import Object, new_id

MOST_EMBEDDED = 10  # a list inside an object holds its first page only


def _null(names: str) -> Object:
    return dict.fromkeys(names.split())


def head(kind: str, prefix: str, created: int, **given: Any) -> Object:
    """Return what most objects begin with."""
    return {"id": new_id(prefix), "object": kind, "created": created, "livemode": False, "metadata": {}, **given}


def listed(data: Sequence[Object], url: str) -> Object:
    """Return the first page of a list inside an object."""
    return {"object": "list", "data": list(data[:MOST_EMBEDDED]), "has_more": len(data) > MOST_EMBEDDED, "url": url}


def product(*, name: str, created: int, **given: Any) -> Object:
    """Return a product."""
    nulls = _null("default_price description package_dimensions shippable statement_descriptor tax_code unit_label url")
    lists: Object = {"active": True, "images": [], "marketing_features": [], "name": name, "type": "service", "updated": created}
    return head("product", "prod", created, **{**nulls, **lists, **given})


def price(*, of: str, unit_amount: int, currency: str, created: int, recurring: Object | None = None, **given: Any) -> Object:
    """Return a price of a product; with `recurring` (interval, interval_count) it is a subscription's."""
    if recurring is not None:
        recurring = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed", **recurring}
    return head(
        "price",
        "price",
        created,
        **_null("custom_unit_amount lookup_key nickname tiers_mode transform_quantity"),
        active=True,
        billing_scheme="per_unit",
        currency=currency,
        product=of,
        recurring=recurring,
        tax_behavior="unspecified",
        type="recurring" if recurring else "one_time",
        unit_amount=unit_amount,
        unit_amount_decimal=str(unit_amount),
        **given,
    )


def tax_rate(*, display_name: str, percentage: float, inclusive: bool, created: int, **given: Any) -> Object:
    """Return a tax rate."""
    nulls = _null("country description effective_percentage flat_amount jurisdiction jurisdiction_level state tax_type")
    known = {"active": True, "display_name": display_name, "inclusive": inclusive, "percentage": percentage, "rate_type": "percentage"}
    return head("tax_rate", "txr", created, **{**nulls, **known, **given})


def customer(*, created: int, **given: Any) -> Object:
    """Return a customer."""
    settings = _null("custom_fields default_payment_method footer rendering_options")
    nulls = _null("address currency default_source description discount email name phone shipping test_clock")
    known: Object = {"balance": 0, "delinquent": False, "invoice_settings": settings, "next_invoice_sequence": 1, "preferred_locales": []}
    return head(
        "customer", "cus", created, **{**nulls, **known, "invoice_prefix": secrets.token_hex(4).upper(), "tax_exempt": "none", **given}
    )


def address(country: str | None, **given: Any) -> Object:
    """Return an address of which mostly only the country is known."""
    return {**_null("city line1 line2 postal_code state"), "country": country, **given}


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a sale comes to, in the currency's smallest units.

    Attributes:
        price: the price object; None for an amount without a product.
        discount: off the whole line.
        rate: the tax rate object; None for no tax.
    """

    description: str
    quantity: int
    unit_amount: int
    currency: str
    price: Object | None = None
    discount: int = 0
    rate: Object | None = None

    @property
    def subtotal(self) -> int:
        """Before discount, and before a tax that is added."""
        return self.unit_amount * self.quantity

    @property
    def tax(self) -> int:
        """How much tax is in the total."""
        if self.rate is None:
            return 0
        base, percent = self.subtotal - self.discount, self.rate["percentage"]
        if self.rate["inclusive"]:
            return base - round(base * 100 / (100 + percent))
        return round(base * percent / 100)

    @property
    def total(self) -> int:
        """What is paid."""
        is_added = self.rate is not None and not self.rate["inclusive"]
        return self.subtotal - self.discount + (self.tax if is_added else 0)

    @property
    def taxable(self) -> int:
        """What the tax is counted from."""
        return self.total - self.tax


def checkout_item(line: Line) -> Object:
    """Return a line of a Checkout session, with the `taxes` and `discounts` that are only shown when asked for."""
    taxes = [{"amount": line.tax, "rate": line.rate, "taxability_reason": "standard_rated", "taxable_amount": line.taxable}]
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": line.discount,
        "amount_subtotal": line.subtotal,
        "amount_tax": line.tax,
        "amount_total": line.total,
        "currency": line.currency,
        "description": line.description,
        "metadata": None,
        "price": line.price,
        "quantity": line.quantity,
        "taxes": taxes if line.rate else [],
        "discounts": [{"amount": line.discount, "discount": None}] if line.discount else [],
    }


_SESSION_NULLS = """after_expiration allow_promotion_codes billing_address_collection cancel_url client_reference_id client_secret
collected_information consent consent_collection currency_conversion customer customer_account customer_creation customer_details
customer_email discounts integration_identifier invoice invoice_creation locale origin_context payment_intent payment_link
payment_method_configuration_details permissions phone_number_collection recovered_from saved_payment_method_options setup_intent
shipping_address_collection shipping_cost submit_type subscription ui_mode wallet_options"""


def checkout_session(*, mode: str, lines: Sequence[Line], created: int, **given: Any) -> Object:
    """Return an open Checkout session."""
    session_id = f"cs_test_{secrets.token_hex(24)}"
    body: Object = {
        **_null(_SESSION_NULLS),
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "custom_fields": [],
        "custom_text": _null("after_submit shipping_address submit terms_of_service_acceptance"),
        "expires_at": created + 24 * 3600,
        "managed_payments": {"enabled": False},
        "mode": mode,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "shipping_options": [],
        "status": "open",
        "success_url": None,
        "url": f"https://checkout.invalid/c/pay/{session_id}",
        **session_totals(lines),
    }
    return {**head("checkout.session", "cs", created), **body, **given, "id": session_id}


def session_totals(lines: Sequence[Line]) -> Object:
    """Return a session's sums."""
    return {
        "amount_subtotal": sum(line.subtotal for line in lines),
        "amount_total": sum(line.total for line in lines),
        "currency": lines[0].currency,
        "total_details": {
            "amount_discount": sum(line.discount for line in lines),
            "amount_shipping": 0,
            "amount_tax": sum(line.tax for line in lines),
        },
    }


def subscription_item(*, of: str, line: Line, created: int, period: tuple[int, int]) -> Object:
    """Return what is subscribed to, and for which period it was paid last."""
    price_object = line.price or {}
    recurring = price_object["recurring"]
    plan = {
        **_null("meter nickname tiers_mode transform_usage trial_period_days"),
        "id": price_object["id"],
        "object": "plan",
        "active": True,
        "amount": line.unit_amount,
        "amount_decimal": str(line.unit_amount),
        "billing_scheme": "per_unit",
        "created": price_object["created"],
        "currency": line.currency,
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": False,
        "metadata": {},
        "product": price_object["product"],
        "usage_type": "licensed",
    }
    return {
        "id": new_id("si"),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": created,
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "plan": plan,
        "price": price_object,
        "quantity": line.quantity,
        "subscription": of,
        "tax_rates": [line.rate] if line.rate else [],
    }


_SUBSCRIPTION_NULLS = """application application_fee_percent billing_cycle_anchor_config billing_thresholds cancel_at canceled_at
customer_account days_until_due default_payment_method default_source description ended_at latest_invoice
next_pending_invoice_item_invoice on_behalf_of pause_collection pending_invoice_item_interval pending_setup_intent pending_update
schedule test_clock transfer_data trial_end trial_start"""


def subscription(*, of: str, lines: Sequence[Line], created: int, period: tuple[int, int], **given: Any) -> Object:
    """Return a running subscription of a customer."""
    subscription_id = new_id("sub")
    items = [subscription_item(of=subscription_id, line=line, created=created, period=period) for line in lines]
    body: Object = {
        **_null(_SUBSCRIPTION_NULLS),
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": period[0],
        "billing_mode": {"flexible": {}, "type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": _null("comment feedback reason"),
        "collection_method": "charge_automatically",
        "currency": lines[0].currency,
        "customer": of,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {**_null("account_tax_ids custom_fields description footer"), "issuer": {"type": "self"}},
        "items": listed(items, f"/v1/subscription_items?subscription={subscription_id}"),
        "managed_payments": {"enabled": False},
        "payment_settings": {"payment_method_options": None, "payment_method_types": None, "save_default_payment_method": "off"},
        "start_date": period[0],
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }
    return {**head("subscription", "sub", created), **body, **given, "id": subscription_id}
