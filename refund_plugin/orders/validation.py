"""Checks of purchase data, before anything is written. Every message says what was expected; `field` is a path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, Required, UnknownCurrency
from refund_plugin.money import exponent
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.models import BuyerKind, Nature
from refund_plugin.orders.queries import clean_email, clean_number

# far above any order, and exact in every JSON reader
MAX_MINOR = 2**53 - 1
MAX_LINES = 1000
MAX_PAYMENTS = 100
MAX_QUANTITY = 1_000_000
CLOCK_SLACK = timedelta(days=1)


def check_purchase(data: PurchaseData, *, now: datetime) -> PurchaseData:
    """Return `data` in the form it is stored in (number, address, codes in one spelling).

    Raises:
        InvalidInput: a value cannot be used; `field` names it, such as `lines.0.quantity`.
    """
    number = _text(clean_number(data.number), "number", 64, required=True)
    email = _text(clean_email(data.email), "email", 254, required=True)
    try:
        validate_email(email)
    except ValidationError:
        raise InvalidInput(_("Write the e-mail address like name@example.com."), field="email") from None
    currency = _text(data.currency.strip().upper(), "currency", 3, required=True)
    try:
        exponent(currency)
    except UnknownCurrency as error:
        raise UnknownCurrency(error.message, field="currency") from None
    country = data.country.strip().upper()
    if country and not re.fullmatch("[A-Z]{2}", country):
        raise InvalidInput(_("Write the country as two letters, such as DE."), field="country")
    _moment(data.purchased_at, "purchased_at")
    if data.purchased_at > now + CLOCK_SLACK:
        raise InvalidInput(_("The day of the purchase lies in the future."), field="purchased_at")
    if not data.lines:
        raise Required(_("A purchase needs at least one line."), field="lines")
    if len(data.lines) > MAX_LINES:
        raise InvalidInput(_("A purchase can have at most %(count)d lines.") % {"count": MAX_LINES}, field="lines")
    if len(data.payments) > MAX_PAYMENTS:
        raise InvalidInput(_("A purchase can have at most %(count)d payments.") % {"count": MAX_PAYMENTS}, field="payments")
    payments = tuple(_checked_payment(payment, f"payments.{index}") for index, payment in enumerate(data.payments))
    names = [(payment.account, payment.gateway_payment_id) for payment in payments]
    if len(set(names)) < len(names):
        raise InvalidInput(_("The same payment is listed twice."), field="payments")
    return replace(
        data,
        number=number,
        email=email,
        currency=currency,
        country=country,
        buyer_kind=_choice(data.buyer_kind or BuyerKind.UNKNOWN, "buyer_kind", BuyerKind.values),
        customer_name=_text(data.customer_name, "customer_name", 200),
        locale=_text(data.locale, "locale", 20),
        channel=_text(data.channel, "channel", 64),
        lines=tuple(_checked_line(line, f"lines.{index}") for index, line in enumerate(data.lines)),
        payments=payments,
    )


def _checked_line(line: LineData, path: str) -> LineData:
    paid = _whole(line.paid_minor, f"{path}.paid", 0, MAX_MINOR)
    if _whole(line.tax_minor, f"{path}.tax", 0, MAX_MINOR) > paid:
        raise InvalidInput(_("The tax is part of what was paid, so it cannot be more."), field=f"{path}.tax")
    rate = line.tax_rate_percent
    if not rate.is_finite() or not 0 <= rate < 1000 or rate != round(rate, 3):
        raise InvalidInput(_("Write the tax rate in percent, such as 19 or 8.1."), field=f"{path}.tax_rate_percent")
    _whole(line.quantity, f"{path}.quantity", 1, MAX_QUANTITY)
    if (line.term_start is None) != (line.term_end is None):
        raise Required(_("A term needs a start and an end."), field=f"{path}.term_{'start' if line.term_start is None else 'end'}")
    if line.term_start is not None and line.term_end is not None:
        _moment(line.term_start, f"{path}.term_start")
        _moment(line.term_end, f"{path}.term_end")
        if line.term_end <= line.term_start:
            raise InvalidInput(_("The term ends before it starts."), field=f"{path}.term_end")
    if line.units_granted is not None:
        _whole(line.units_granted, f"{path}.units_granted", 1, 2**31 - 1)
    return replace(
        line,
        sku=_text(line.sku, f"{path}.sku", 120, required=True),
        name=_text(line.name, f"{path}.name", 300) or line.sku.strip(),
        product_type=_text(line.product_type, f"{path}.product_type", 120),
        categories=_words(line.categories, f"{path}.categories"),
        tags=_words(line.tags, f"{path}.tags"),
        nature=_choice(line.nature or Nature.CONTENT, f"{path}.nature", Nature.values),
        tax_rate_percent=round(rate, 3) + Decimal(0),
        unit_name=_text(line.unit_name, f"{path}.unit_name", 40),
    )


def _checked_payment(payment: PaymentData, path: str) -> PaymentData:
    _whole(payment.captured_minor, f"{path}.captured", 0, MAX_MINOR)
    if payment.captured_at is not None:
        _moment(payment.captured_at, f"{path}.captured_at")
    for name in ("settlement_minor", "fee_minor"):
        if getattr(payment, name) is not None:
            _whole(getattr(payment, name), f"{path}.{name}", 0, MAX_MINOR)
    return replace(
        payment,
        gateway_payment_id=_text(payment.gateway_payment_id, f"{path}.gateway_payment_id", 255, required=True),
        account=_text(payment.account, f"{path}.account", 50),
        method=_text(payment.method, f"{path}.method", 40),
        brand=_text(payment.brand, f"{path}.brand", 40),
        last4=_text(payment.last4, f"{path}.last4", 4),
        settlement_currency=_text(payment.settlement_currency, f"{path}.settlement_currency", 3).upper(),
        subscription_id=_text(payment.subscription_id, f"{path}.subscription_id", 255),
        invoice_id=_text(payment.invoice_id, f"{path}.invoice_id", 255),
    )


def _text(value: str, field: str, longest: int, *, required: bool = False) -> str:
    text = value.strip()
    if required and not text:
        raise Required(field=field)
    if len(text) > longest:
        raise InvalidInput(_("Use at most %(count)d characters.") % {"count": longest}, field=field)
    # control characters, and halves of surrogate pairs, which no database stores
    if any(character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(_("This has characters that cannot be printed."), field=field)
    return text


def _words(values: Iterable[str], field: str) -> tuple[str, ...]:
    return tuple(word for word in (_text(value, field, 120) for value in values) if word)


def _choice(value: str, field: str, choices: list[str]) -> str:
    if value not in choices:
        raise InvalidInput(_("Use one of: %(choices)s.") % {"choices": ", ".join(choices)}, field=field)
    return str(value)


def _whole(value: int, field: str, lowest: int, highest: int) -> int:
    if not lowest <= value <= highest:
        raise InvalidInput(_("Use a whole number from %(lowest)d to %(highest)d.") % {"lowest": lowest, "highest": highest}, field=field)
    return value


def _moment(value: datetime, field: str) -> None:
    if value.tzinfo is None:
        raise InvalidInput(_("Add the time zone, such as 2026-03-12T14:02:00+01:00."), field=field)
    if not 1990 <= value.year <= 9000:
        raise InvalidInput(_("This year cannot be right."), field=field)
