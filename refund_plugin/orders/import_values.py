"""Read an order from plain values, as JSON or CSV give them. What the values mean is checked by `orders.validation`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, Required
from refund_plugin.money import Money
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData

PURCHASE_FIELDS = (
    "number",
    "email",
    "customer_name",
    "user_id",
    "locale",
    "currency",
    "purchased_at",
    "buyer_kind",
    "country",
    "channel",
)
LINE_FIELDS = (
    "sku",
    "name",
    "product_type",
    "categories",
    "tags",
    "nature",
    "quantity",
    "paid",
    "paid_minor",
    "tax",
    "tax_minor",
    "tax_rate_percent",
    "term_start",
    "term_end",
    "units_granted",
    "unit_name",
)
PAYMENT_FIELDS = (
    "gateway_payment_id",
    "account",
    "captured",
    "captured_minor",
    "livemode",
    "method",
    "brand",
    "last4",
    "captured_at",
)
Values = Mapping[str, Any]


def purchase_data(values: object, *, zone: ZoneInfo) -> PurchaseData:
    """Read an order from plain values, as JSON or CSV gives them.

    Raises:
        InvalidInput: a value of another type, or a name that the format does not know; `field` is its path.
    """
    order = _object(values, (*PURCHASE_FIELDS, "lines", "payments"), "")
    currency = _word(order, "currency").upper()
    return PurchaseData(
        number=_word(order, "number"),
        email=_word(order, "email"),
        customer_name=_word(order, "customer_name"),
        user_id=order.get("user_id"),
        locale=_word(order, "locale"),
        currency=currency,
        purchased_at=_moment(order, "purchased_at", zone) or _missing("purchased_at"),
        buyer_kind=_word(order, "buyer_kind") or "unknown",
        country=_word(order, "country"),
        channel=_word(order, "channel"),
        lines=tuple(_line(item, f"lines.{index}.", currency, zone) for index, item in enumerate(_list(order, "lines"))),
        payments=tuple(_payment(item, f"payments.{index}.", currency, zone) for index, item in enumerate(_list(order, "payments"))),
    )


def _line(item: object, path: str, currency: str, zone: ZoneInfo) -> LineData:
    values = _object(item, LINE_FIELDS, path)
    quantity = _whole(values, "quantity", path)
    return LineData(
        sku=_word(values, "sku", path),
        name=_word(values, "name", path),
        product_type=_word(values, "product_type", path),
        categories=_words(values, "categories", path),
        tags=_words(values, "tags", path),
        nature=_word(values, "nature", path) or "content",
        quantity=1 if quantity is None else quantity,
        paid_minor=_amount(values, "paid", path, currency, required=True),
        tax_minor=_amount(values, "tax", path, currency),
        tax_rate_percent=_decimal(values, "tax_rate_percent", path),
        term_start=_moment(values, "term_start", zone, path),
        term_end=_moment(values, "term_end", zone, path),
        units_granted=_whole(values, "units_granted", path),
        unit_name=_word(values, "unit_name", path),
    )


def _payment(item: object, path: str, currency: str, zone: ZoneInfo) -> PaymentData:
    values = _object(item, PAYMENT_FIELDS, path)
    return PaymentData(
        gateway_payment_id=_word(values, "gateway_payment_id", path),
        account=_word(values, "account", path),
        captured_minor=_amount(values, "captured", path, currency, required=True),
        livemode=_flag(values, "livemode", path),
        method=_word(values, "method", path),
        brand=_word(values, "brand", path),
        last4=_word(values, "last4", path),
        captured_at=_moment(values, "captured_at", zone, path),
    )


def _missing(field: str) -> datetime:
    raise Required(field=field)


def _object(value: object, known: tuple[str, ...], path: str) -> Values:
    if not isinstance(value, dict):
        raise InvalidInput(_("An object with named values was expected here."), field=path.rstrip(".") or None)
    for name in value:
        if name not in known:
            raise InvalidInput(
                _("Unknown name “%(name)s”. Known: %(known)s.") % {"name": name[:60], "known": ", ".join(known)}, field=f"{path}{name[:60]}"
            )
    return value


def _list(values: Values, name: str) -> list[object]:
    value = values.get(name) or []
    if not isinstance(value, list):
        raise InvalidInput(_("A list was expected here."), field=name)
    return value


def _word(values: Values, name: str, path: str = "") -> str:
    value = values.get(name)
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # an order number or a SKU written as a number
    if not isinstance(value, str):
        raise InvalidInput(_("A text was expected here."), field=f"{path}{name}")
    return value


def _words(values: Values, name: str, path: str) -> tuple[str, ...]:
    value = values.get(name) or []
    if isinstance(value, str):
        value = value.split("|")
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise InvalidInput(_("A list of texts was expected here, or one text with “|” between them."), field=f"{path}{name}")
    return tuple(word.strip() for word in value if word.strip())


def _whole(values: Values, name: str, path: str) -> int | None:
    value = values.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise InvalidInput(_("A whole number was expected here."), field=f"{path}{name}")


def _decimal(values: Values, name: str, path: str) -> Decimal:
    value = values.get(name)
    if value in (None, ""):
        return Decimal(0)
    if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool):
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and abs(number.adjusted()) < 10:
            return number
    raise InvalidInput(_("A number such as 19 or 8.1 was expected here."), field=f"{path}{name}")


def _amount(values: Values, name: str, path: str, currency: str, *, required: bool = False) -> int:
    """Read an amount told in major units ("18.20") or, under the name with `_minor`, in minor ones (1820); exactly one."""
    major, minor = values.get(name), _whole(values, f"{name}_minor", path)
    if major in (None, ""):
        if minor is None and required:
            raise Required(_("Write the amount as %(name)s, such as 18.20.") % {"name": name}, field=f"{path}{name}")
        return minor or 0
    if minor is not None:
        raise InvalidInput(_("Write the amount once: as %(name)s or as %(name)s_minor.") % {"name": name}, field=f"{path}{name}")
    if not isinstance(major, (str, int, Decimal)) or isinstance(major, bool):
        raise InvalidInput(_("Write the amount as a number such as 18.20."), field=f"{path}{name}")
    if not currency:
        raise Required(field="currency")
    try:
        return Money.from_decimal(major, currency).minor
    except InvalidInput as error:
        raise type(error)(error.message, field="currency" if error.field == "currency" else f"{path}{name}") from None


def _flag(values: Values, name: str, path: str) -> bool | None:
    value = values.get(name)
    if value in (None, ""):
        return None
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    raise InvalidInput(_("Write true or false."), field=f"{path}{name}")


def _moment(values: Values, name: str, zone: ZoneInfo, path: str = "") -> datetime | None:
    value = values.get(name)
    if value in (None, ""):
        return None
    try:
        moment = datetime.fromisoformat(str(value).strip()) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise InvalidInput(_("Write the time like 2026-03-12T14:02:00+01:00."), field=f"{path}{name}")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
