"""Amounts of money as exact integers of minor units, and the arithmetic that never loses or invents one.

A minor unit is the smallest unit of a currency by ISO 4217: a cent of EUR, a whole JPY, a thousandth of KWD. Nothing here
uses floating point. Gateways that count differently convert in their adapter.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.numbers import NumberPattern, get_currency_symbol
from babel.numbers import format_decimal as babel_format_decimal
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from refund_plugin.errors import InvalidInput, UnknownCurrency

# ISO 4217, list one (active currencies people pay in; funds, metals and test codes are left out), by number of decimals.
_BY_EXPONENT = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE "
        "CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR "
        "KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB "
        "PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY "
        "TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG "
        # withdrawn since 2021: purchases of that time may still be refunded
        "ANG BGN CUC HRK SLL ZWL"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
}
# Far more than any amount of money has; Python refuses to make a number of more than 4300 digits.
_MOST_DIGITS = 50
EXPONENTS: dict[str, int] = {code: decimals for decimals, codes in _BY_EXPONENT.items() for code in codes.split()}


def exponent(currency: str) -> int:
    """Return how many decimals `currency` (ISO 4217, upper case) has.

    Raises:
        UnknownCurrency: not a code of the table.
    """
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(
            format_lazy(_("Unknown currency “{currency}”: use an ISO 4217 code such as EUR."), currency=currency), field="currency"
        ) from None


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` units (may be negative, as in a ledger) of `currency` (ISO 4217, upper case).

    Raises:
        UnknownCurrency: at creation, when the currency is not known.
        InvalidInput: when two currencies meet in one sum or comparison.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Return nothing of `currency`."""
        return cls(0, currency)

    @classmethod
    def from_decimal(cls, value: Decimal | int | str, currency: str) -> Money:
        """Read an amount in major units ("18.20"); exact, so it refuses what is finer than the currency.

        Raises:
            InvalidInput: not a finite number, longer than 50 digits, or more decimals than the currency has.
            UnknownCurrency: the currency is not known.
        """
        decimals = exponent(currency)
        try:
            amount = Decimal(value)
        except (InvalidOperation, ValueError):
            amount = Decimal("NaN")
        if not amount.is_finite() or len(amount.as_tuple().digits) > _MOST_DIGITS:
            raise InvalidInput(_("Write the amount as a number such as 18.20."), field="amount")
        sign, digits, scale = amount.as_tuple()
        # integers, not Decimal arithmetic: the context's precision would round long amounts silently
        shift = int(scale) + decimals
        if shift > 30:
            raise InvalidInput(_("This amount is too high."), field="amount")
        units = int("".join(map(str, digits)) or "0")
        minor, finer = (units * 10**shift, 0) if shift >= 0 else divmod(units, 10 ** min(-shift, len(digits) + 1))
        if finer:
            raise InvalidInput(
                format_lazy(
                    _("{currency} has {decimals} decimals; {amount} has more."), currency=currency, decimals=decimals, amount=value
                ),
                field="amount",
            )
        return cls(-minor if sign else minor, currency)

    @property
    def exponent(self) -> int:
        """How many decimals the currency has."""
        return EXPONENTS[self.currency]

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, with exactly the currency's decimals."""
        digits = tuple(int(digit) for digit in str(abs(self.minor)))
        return Decimal((int(self.minor < 0), digits, -self.exponent))

    def _minor_of(self, other: Money) -> int:
        if other.currency != self.currency:
            raise InvalidInput(
                format_lazy(_("{one} and {other} cannot be added or compared."), one=self.currency, other=other.currency),
                field="currency",
            )
        return other.minor

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._minor_of(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._minor_of(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._minor_of(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        return f"{self.decimal:f} {self.currency}"


def share_of(minor: int, numerator: int, denominator: int) -> int:
    """Return `minor` x `numerator` / `denominator`, rounded half up, in exact integers.

    All three are >= 0 and the denominator is above 0.
    """
    if minor < 0 or numerator < 0 or denominator <= 0:
        raise InvalidInput(_("A share needs an amount and parts that are not negative."))
    return (2 * minor * numerator + denominator) // (2 * denominator)


def allocate(total: int, weights: Sequence[int], step: int = 1) -> list[int]:
    """Split `total` minor units in proportion to `weights`, by the largest remainder.

    The parts sum exactly to `total`, are multiples of `step` and never negative; a weight of 0 gets 0. On equal remainders
    the earlier one wins, so the same input always splits the same way. With a step of 1 and a total of at most the weights'
    sum, no part exceeds its weight.

    Raises:
        InvalidInput: a negative total or weight, a total that is no multiple of `step`, or something to split over weights
            that are all 0 (money must not land where none was paid).
    """
    if total < 0 or step < 1 or any(weight < 0 for weight in weights):
        raise InvalidInput(_("An amount and its weights must not be negative."))
    if total % step:
        raise InvalidInput(format_lazy(_("The amount must be a multiple of {step} minor units."), step=step))
    if total == 0:
        return [0] * len(weights)
    weight_sum = sum(weights)
    if weight_sum == 0:
        raise InvalidInput(_("There is nothing to split the amount over."))
    steps = total // step
    parts = [steps * weight // weight_sum for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda index: (-(steps * weights[index] % weight_sum), index))
    for index in by_remainder[: steps - sum(parts)]:
        parts[index] += 1
    return [part * step for part in parts]


@lru_cache(maxsize=64)
def babel_locale(locale: str) -> Locale:
    """Return Babel's locale for a Django language code ("pt-br", "de_CH"); English when Babel does not know it."""
    tag = locale.replace("_", "-")
    while tag:
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            tag = tag.rpartition("-")[0]
    return Locale("en")


@lru_cache(maxsize=256)
def _currency_pattern(locale: Locale, currency: str) -> NumberPattern:
    pattern: NumberPattern = copy.copy(locale.currency_formats["standard"])
    # CLDR shows some currencies (IQD, ALL …) without decimals: a refund is shown to the last minor unit
    pattern.frac_prec = (EXPONENTS[currency],) * 2
    # CLDR's own rule for a symbol made of letters: a space between it and the number ("IQD 1,234.567")
    if get_currency_symbol(currency, locale)[-1].isalpha() and pattern.prefix[0].endswith("¤"):
        positive, negative = pattern.prefix
        pattern.prefix = (positive.replace("¤", "¤\xa0"), negative.replace("¤", "¤\xa0"))
    return pattern


def format_money(money: Money, locale: str) -> str:
    """Write an amount for people, in a Django language code's or locale's habit: "€18.20", "18,20 €", "¥1,200"."""
    babel = babel_locale(locale)
    pattern = _currency_pattern(babel, money.currency)
    return str(pattern.apply(money.decimal, babel, currency=money.currency, currency_digits=False))


def format_decimal(money: Money, locale: str) -> str:
    """Write an amount for people without its currency, to the last minor unit: "1,234.50"."""
    decimals = "." + "0" * money.exponent if money.exponent else ""
    return str(babel_format_decimal(money.decimal, format=f"#,##0{decimals}", locale=babel_locale(locale)))
