"""Amounts, dates and times as people of a place write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from refund_plugin.localize import formatter_for
from refund_plugin.money import Money

MOMENT = datetime(2026, 3, 9, 23, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en-gb", "10 March 2026, 00:02"),
        ("de", "10. März 2026, 00:02"),
        ("xx-unknown", "March 10, 2026, 12:02\u202fAM"),
    ],
)
def test_a_moment_is_written_in_the_locale_and_the_stores_time_zone(locale, expected):
    assert formatter_for(timezone="Europe/Berlin", locale=locale).datetime(MOMENT) == expected


def test_money_has_the_currencys_decimals():
    formatter = formatter_for(timezone="UTC", locale="de")
    assert formatter.money(Money(1820, "EUR")) == "18,20\xa0€"
    assert formatter.money(Money(1200, "JPY")) == "1.200\xa0¥"
    assert formatter.money(Money(1234, "KWD")) == "1,234\xa0KWD"


def test_a_share_is_written_with_the_locales_sign():
    assert formatter_for(timezone="UTC", locale="de").percent(75) == "75\xa0%"
