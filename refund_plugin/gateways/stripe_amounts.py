"""How Stripe counts money, where it differs from ISO 4217."""

from __future__ import annotations

from refund_plugin.errors import UnknownCurrency
from refund_plugin.money import Money, exponent

# Stripe's decimals where they are not two. ISK and UGX have no decimals but are sent times 100, so they are "two" here.
# Source: docs.stripe.com/currencies, zero-decimal currencies, three-decimal currencies, special cases.
_NO_DECIMALS = frozenset(["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"])
_THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])


def _stripe_decimals(currency: str) -> int:
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def _shift(amount: int, decimals: int) -> int:
    return int(amount * 10**decimals) if decimals >= 0 else int(amount // 10**-decimals)


def to_stripe_amount(money: Money) -> int:
    """Return `money` in Stripe's unit for its currency.

    Raises:
        ValueError: not a multiple of the gateway's step; amounts are made in steps, so this is a defect of the caller.
    """
    if money.minor % smallest_step(money.currency):
        raise ValueError(f"{money} is not a multiple of {smallest_step(money.currency)} minor units")
    return _shift(money.minor, _stripe_decimals(money.currency) - exponent(money.currency))


def from_stripe_amount(amount: int, currency: str) -> Money | None:
    """Return Stripe's `amount` as Money; None when our minor units cannot hold it or the currency is not known."""
    try:
        shift = exponent(currency.upper()) - _stripe_decimals(currency.upper())
    except UnknownCurrency:
        return None
    if shift < 0 and amount % 10**-shift:
        return None
    return Money(_shift(amount, shift), currency.upper())


def smallest_step(currency: str) -> int:
    """Return the step, in our minor units: 10 for three-decimal currencies, whose last digit Stripe wants to be 0."""
    if currency in _THREE_DECIMALS:
        return 10
    return int(10 ** max(0, exponent(currency) - _stripe_decimals(currency)))


def read_amount(amount: int, currency: str) -> Money:
    """Return Stripe's `amount` as Money.

    Raises:
        ValueError: our minor units cannot hold it, or the currency is not known.
    """
    money = from_stripe_amount(amount, currency)
    if money is None:
        raise ValueError(f"{amount} {currency} cannot be read")
    return money
