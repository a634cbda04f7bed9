"""Amounts as Stripe counts them (docs.stripe.com/currencies). Deliberately not the plugin's own table: this is the other side."""

from __future__ import annotations

from demo.sandbox.errors import ApiError


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NO_DECIMALS = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
_THREE_DECIMALS = _codes("bhd jod kwd omr tnd")
_SENT_TIMES_100 = _codes("isk ugx")  # no decimals, but two are sent, always 00
_TWO_DECIMALS = _codes(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop crc cve "
    "czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr kyd kzt lak lbp "
    "lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd "
    "rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah uyu uzs wst xcd yer zar zmw"
)
CURRENCIES = _NO_DECIMALS | _THREE_DECIMALS | _SENT_TIMES_100 | _TWO_DECIMALS

MAX_AMOUNT = 99_999_999
_MINIMUM_CHARGES = {
    "gbp": 30,
    "jpy": 50,
    "huf": 17500,
    "czk": 1500,
    "dkk": 250,
    "hkd": 400,
    "mxn": 1000,
    "nok": 300,
    "pln": 200,
    "sek": 300,
}
_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}


def check_currency(currency: str) -> None:
    """Refuse what is not a supported currency in lower case."""
    if currency not in CURRENCIES:
        known = ", ".join(sorted(CURRENCIES))
        raise ApiError(400, f"Invalid currency: {currency}. Stripe currently supports these currencies: {known}", param="currency")


def check_step(amount: int, currency: str) -> None:
    """Refuse digits that a currency cannot pay out."""
    step = 10 if currency in _THREE_DECIMALS else 100 if currency in _SENT_TIMES_100 else 1
    if amount % step:
        raise ApiError(
            400,
            f"Invalid amount: amounts in {currency.upper()} must be multiples of {step}.",
            code="parameter_invalid_integer",
            param="amount",
        )


def check_charge(amount: int, currency: str) -> None:
    """Refuse a payment that is too small or too large."""
    check_step(amount, currency)
    minimum = _MINIMUM_CHARGES.get(currency, 50)
    if amount < minimum:
        raise ApiError(400, f"Amount must be at least {display(minimum, currency)}", code="amount_too_small", param="amount", stored=True)
    if amount > MAX_AMOUNT:
        raise ApiError(
            400, f"Amount must be no more than {display(MAX_AMOUNT, currency)}", code="amount_too_large", param="amount", stored=True
        )


def display(amount: int, currency: str) -> str:
    """Write an amount for people: "$5.00", "¥500", "5.00 CHF"."""
    decimals = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    whole, part = divmod(amount, 10**decimals)
    number = f"{whole:,}.{part:0{decimals}d}" if decimals else f"{whole:,}"
    return f"{_SYMBOLS[currency]}{number}" if currency in _SYMBOLS else f"{number} {currency.upper()}"
