"""The ceilings of a store that set none: `REFUND_PLUGIN["BRAKE"]`, else about 1,000 euro an hour and 5,000 a day.

A brake that was never set must neither let a wrong policy pay everything overnight nor stop a small shop's first refund. So
the default is an amount of about the same worth in every currency.
"""

from __future__ import annotations

from collections.abc import Mapping

from refund_plugin.conf import settings
from refund_plugin.money import EXPONENTS, Money
from refund_plugin.refunds.brake.models import AutomaticMode
from refund_plugin.refunds.brake.windows import Per

DEFAULT_UNITS = {Per.HOUR: 1000, Per.DAY: 5000}  # of a currency worth about as much as a euro
# roughly how many units are worth a euro, in powers of ten; only the order of magnitude matters, so it need not follow the rates
_UNITS_PER_EURO = {
    10: "BOB BRL BWP CNY CZK DKK EGP GTQ HKD HNL MAD MDL MOP MVR MXN NAD NOK SEK SZL TRY TTD UAH UYU ZAR ZMW ZWG MYR PLN RON QAR SAR AED",
    100: (
        "AFN BDT BTN CUP CVE DOP DZD ETB GMD HTG INR ISK JMD JPY KES KGS LKR LRD MKD MUR MZN NIO NPR PHP RSD RUB SCR SRD SSP "
        "THB TWD VUV XPF"
    ),
    1000: (
        "ALL AMD AOA ARS BIF CDF CLP COP CRC DJF GYD HUF KMF KRW KZT MMK MWK NGN PKR RWF SDG SOS SLE TZS XAF XOF YER ZWL "
        "IQD KPW GNF MGA MNT PYG UGX UZS"
    ),
    10_000: "IDR IRR KHR LAK LBP SLL STN SYP VND VES",
}
_SCALE = {code: units for units, codes in _UNITS_PER_EURO.items() for code in codes.split()}


def default_ceiling(currency: str, per: Per) -> int | None:
    """Return the ceiling of all products together, in minor units; None when the settings lift it.

    Source of the rule: `REFUND_PLUGIN["BRAKE"]`, whose `hour` and `day` map currencies, or `*` for the others, to minor
    units or None.
    """
    configured = settings().brake.get(per.value)
    amounts: Mapping[str, int | None] = configured if isinstance(configured, Mapping) else {}
    for name in (currency, "*"):
        if name in amounts:
            return amounts[name]
    return worth_about(DEFAULT_UNITS[per], currency).minor


def worth_about(euros: int, currency: str) -> Money:
    """Return what is worth about so many euro in a currency: right to an order of magnitude."""
    return Money.from_decimal(euros * _SCALE.get(currency, 1), currency)


def default_mode() -> str:
    """Return the mode that a new store begins with."""
    return str(settings().brake.get("mode", AutomaticMode.AUTOMATIC))


def problems(configured: Mapping[str, object]) -> list[str]:
    """Return what is wrong with `REFUND_PLUGIN["BRAKE"]`, each in a few words; empty when nothing is."""
    found = [f'"{key}" is not one of mode, hour, day' for key in configured if key not in ("mode", *Per)]
    if configured.get("mode", AutomaticMode.AUTOMATIC) not in AutomaticMode.values:
        found.append(f'"mode" is not one of {", ".join(AutomaticMode.values)}')
    for per in Per:
        amounts = configured.get(per.value, {})
        if not isinstance(amounts, Mapping):
            found.append(f'"{per.value}" is not a dict of amounts by currency')
            continue
        for currency, amount in amounts.items():
            if currency != "*" and currency not in EXPONENTS:
                found.append(f'"{per.value}" names the unknown currency "{currency}"')
            if amount is not None and not (type(amount) is int and amount >= 0):
                found.append(f'"{per.value}" of "{currency}" is neither minor units nor None')
    return found
