"""Money is exact: nothing is lost, invented or mixed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import InvalidInput, UnknownCurrency
from refund_plugin.money import EXPONENTS, Money, allocate, exponent, format_decimal, format_money, share_of

currencies = st.sampled_from(["JPY", "EUR", "KWD"])
minors = st.integers(min_value=-(10**40), max_value=10**40)


@pytest.mark.parametrize(("currency", "decimals"), [("JPY", 0), ("ISK", 0), ("EUR", 2), ("HUF", 2), ("KWD", 3), ("IQD", 3)])
def test_exponents_follow_iso_4217(currency, decimals):
    assert exponent(currency) == decimals


def test_every_currency_is_listed_once_as_three_capitals():
    assert all(len(code) == 3 and code.isupper() for code in EXPONENTS)
    assert len(EXPONENTS) > 150


@pytest.mark.parametrize("currency", ["XYZ", "eur", "", "EURO"])
def test_an_unknown_currency_is_refused_with_its_name(currency):
    with pytest.raises(UnknownCurrency) as caught:
        Money(1, currency)
    assert f"“{currency}”" in str(caught.value)
    assert caught.value.field == "currency"


@given(minors, currencies)
def test_an_amount_survives_the_way_to_decimal_and_back(minor, currency):
    money = Money(minor, currency)
    assert Money.from_decimal(money.decimal, currency) == money
    assert Money.from_decimal(str(money).split()[0], currency) == money


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("18.20", "EUR", 1820),
        ("18.2", "EUR", 1820),
        ("18.2000", "EUR", 1820),
        ("1200", "JPY", 1200),
        ("1.234", "KWD", 1234),
        ("-0.01", "EUR", -1),
    ],
)
def test_amounts_are_read_in_major_units(text, currency, minor):
    assert Money.from_decimal(text, currency).minor == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("18.205", "EUR"),
        ("1.5", "JPY"),
        ("0.0001", "KWD"),
        ("ten", "EUR"),
        ("NaN", "EUR"),
        ("Infinity", "EUR"),
        ("1e-99999", "EUR"),
        ("1e9999", "EUR"),
        ("9" * 5000, "EUR"),
        ("0." + "9" * 5000, "EUR"),
    ],
)
def test_an_amount_that_is_no_number_or_too_fine_is_refused(text, currency):
    with pytest.raises(InvalidInput):
        Money.from_decimal(text, currency)


def test_money_prints_all_its_decimals():
    assert [str(Money(1820, "EUR")), str(Money(1200, "JPY")), str(Money(-5, "KWD"))] == ["18.20 EUR", "1200 JPY", "-0.005 KWD"]


def test_sums_and_comparisons_keep_to_one_currency():
    assert Money(5, "EUR") + Money(7, "EUR") - Money(2, "EUR") == Money(10, "EUR")
    assert Money.zero("EUR") < Money(1, "EUR") <= Money(1, "EUR")
    assert Money(2, "EUR") > Money(1, "EUR") >= Money(1, "EUR")
    assert not Money.zero("EUR") and -Money(1, "EUR") == Money(-1, "EUR")
    for mix in (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a >= b):
        with pytest.raises(InvalidInput):
            mix(Money(1, "EUR"), Money(1, "USD"))


weights = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=20).filter(any)


@given(st.integers(min_value=0, max_value=10**12), weights, st.sampled_from([1, 5, 100]))
def test_allocated_parts_sum_exactly_and_stay_within_one_step_of_their_share(steps, parts_by, step):
    total = steps * step
    parts = allocate(total, parts_by, step)
    assert sum(parts) == total
    for part, weight in zip(parts, parts_by, strict=True):
        assert part >= 0 and part % step == 0
        assert abs(part * sum(parts_by) - total * weight) < step * sum(parts_by)


@given(weights, st.data())
def test_no_part_exceeds_what_was_paid_when_the_total_does_not(parts_by, data):
    total = data.draw(st.integers(min_value=0, max_value=sum(parts_by)))
    assert all(part <= weight for part, weight in zip(allocate(total, parts_by), parts_by, strict=True))


def test_the_remainder_goes_to_the_largest_fraction_then_to_the_earlier_line():
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(10, [1, 2, 4]) == [1, 3, 6]
    assert allocate(0, [0, 0]) == [0, 0]
    assert allocate(1000, [1, 1, 1], step=100) == [400, 300, 300]


@pytest.mark.parametrize(("total", "parts_by", "step"), [(1, [0, 0], 1), (-1, [1], 1), (1, [-1, 2], 1), (150, [1], 100), (1, [], 1)])
def test_an_allocation_that_could_not_add_up_is_refused(total, parts_by, step):
    with pytest.raises(InvalidInput):
        allocate(total, parts_by, step)


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_share_is_the_nearest_minor_unit_half_up(minor, numerator, denominator):
    exact = Decimal(minor * numerator) * 2
    share = share_of(minor, numerator, denominator)
    assert exact - denominator < 2 * share * denominator <= exact + denominator


def test_a_share_of_half_a_unit_rounds_up():
    assert [share_of(1, 1, 2), share_of(100, 1, 3), share_of(200, 1, 3), share_of(7, 0, 5)] == [1, 33, 67, 0]
    with pytest.raises(InvalidInput):
        share_of(1, 1, 0)


@pytest.mark.parametrize(
    ("money", "locale", "text"),
    [
        (Money(1820, "EUR"), "en", "€18.20"),
        (Money(1820, "EUR"), "de", "18,20\xa0€"),
        (Money(1820, "EUR"), "de-at", "€\xa018,20"),
        (Money(1200, "JPY"), "en-us", "¥1,200"),
        (Money(1234567, "IQD"), "en", "IQD\xa01,234.567"),
        (Money(1820, "EUR"), "xx-unknown", "€18.20"),
        (Money(1820, "EUR"), "fr-xx", "18,20\xa0€"),
    ],
)
def test_amounts_are_written_in_the_readers_habit_to_the_last_minor_unit(money, locale, text):
    assert format_money(money, locale) == text


def test_amounts_can_be_written_without_their_currency():
    assert format_decimal(Money(123450, "EUR"), "en") == "1,234.50"
    assert format_decimal(Money(123450, "EUR"), "de") == "1.234,50"
    assert format_decimal(Money(123450, "JPY"), "en") == "123,450"
