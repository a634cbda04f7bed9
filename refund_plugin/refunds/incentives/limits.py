"""How much one person may give a customer: `REFUND_PLUGIN["INCENTIVES"]`, else about 50 euro or 25 %, three times in 30 days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from refund_plugin.conf import settings
from refund_plugin.money import EXPONENTS, Money
from refund_plugin.refunds.brake.defaults import worth_about

DEFAULT_EUROS, DEFAULT_PERCENT, DEFAULT_PER_CUSTOMER = 50, 25, 3
WINDOW = timedelta(days=30)
MIN_DAYS, MAX_DAYS, DEFAULT_DAYS = 2, 730, 90  # how long one can be used; a store's tomorrow may be its server's today
KEYS = ("amount", "percent", "per_customer")


def most_amount(currency: str) -> Money:
    """Return the most that may be given at once in a currency."""
    configured = settings().incentives.get("amount")
    amounts: Mapping[str, int] = configured if isinstance(configured, Mapping) else {}
    for name in (currency, "*"):
        if name in amounts:
            return Money(amounts[name], currency)
    return worth_about(DEFAULT_EUROS, currency)


def most_percent() -> int:
    """Return the most whole percent that may be given off one order."""
    return _number("percent", DEFAULT_PERCENT)


def most_per_customer() -> int:
    """Return how many one customer may be given within `WINDOW`."""
    return _number("per_customer", DEFAULT_PER_CUSTOMER)


def problems(configured: Mapping[str, object]) -> list[str]:
    """Return what is wrong with `REFUND_PLUGIN["INCENTIVES"]`, each in a few words; empty when nothing is."""
    found = [f'"{key}" is not one of {", ".join(KEYS)}' for key in configured if key not in KEYS]
    amounts = configured.get("amount", {})
    if isinstance(amounts, Mapping):
        for currency, amount in amounts.items():
            if currency != "*" and currency not in EXPONENTS:
                found.append(f'"amount" names the unknown currency "{currency}"')
            if not _is_count(amount):
                found.append(f'"amount" of "{currency}" is no number of minor units')
    else:
        found.append('"amount" is not a dict of amounts by currency')
    percent = configured.get("percent", DEFAULT_PERCENT)
    if not (_is_count(percent) and percent <= 100):  # type: ignore[operator]
        found.append('"percent" is no whole number from 0 to 100')
    if not _is_count(configured.get("per_customer", DEFAULT_PER_CUSTOMER)):
        found.append('"per_customer" is no whole number')
    return found


def _number(key: str, default: int) -> int:
    value = settings().incentives.get(key, default)
    return value if isinstance(value, int) else default


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
