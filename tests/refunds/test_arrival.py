"""When the customer's bank usually shows the money: in working days, from the day it was sent, where the store is."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.orders.models import Payment
from refund_plugin.refunds.arrival import arrival_text, expected_arrival, working_days_after
from refund_plugin.refunds.models import Refund

FRIDAY_NIGHT = datetime(2026, 3, 6, 23, 30, tzinfo=UTC)


def sent(state: str = "succeeded", method: str = "card", at: datetime | None = FRIDAY_NIGHT) -> Refund:
    return Refund(state=state, payment=Payment(method=method), first_sent_at=at)


def test_a_card_takes_five_to_ten_working_days():
    arrival = expected_arrival(sent(), timezone="UTC")
    assert arrival is not None
    assert (arrival.earliest, arrival.latest) == (date(2026, 3, 13), date(2026, 3, 20))
    assert arrival_text(sent()) == "banks usually show it within 5 to 10 working days"


def test_a_bank_account_takes_three_to_five():
    arrival = expected_arrival(sent(method="sepa_debit"), timezone="UTC")
    assert arrival is not None
    assert (arrival.earliest, arrival.latest) == (date(2026, 3, 11), date(2026, 3, 13))


def test_what_is_not_known_takes_as_long_as_a_card():
    assert expected_arrival(sent(method="barter"), timezone="UTC") == expected_arrival(sent(), timezone="UTC")


def test_the_day_of_sending_is_the_stores_own():
    arrival = expected_arrival(sent(at=datetime(2026, 3, 8, 16, tzinfo=UTC)), timezone="Asia/Tokyo")
    assert arrival is not None
    assert arrival.earliest == date(2026, 3, 16)  # it is Monday there already


@pytest.mark.parametrize("state", ["reserved", "processing", "unknown", "failed", "canceled"])
def test_nothing_is_promised_for_money_that_has_surely_not_left(state):
    assert expected_arrival(sent(state), timezone="UTC") is None


@given(day=st.dates(date(2000, 1, 1), date(2100, 1, 1)), count=st.integers(1, 40))
def test_so_many_working_days_lie_between(day, count):
    after = working_days_after(day, count)
    between = [date.fromordinal(number) for number in range(day.toordinal() + 1, after.toordinal() + 1)]
    assert sum(one.weekday() < 5 for one in between) == count
    assert after.weekday() < 5
