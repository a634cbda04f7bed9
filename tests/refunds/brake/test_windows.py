"""The sliding windows: nothing inside an hour or a day is forgotten, and what is older comes free again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.money import EXPONENTS
from refund_plugin.refunds.brake.defaults import default_ceiling, problems
from refund_plugin.refunds.brake.windows import SLOT_SECONDS, WINDOW_SECONDS, Ceiling, Per, Spent, spent_within, with_added

pytestmark = pytest.mark.database_independent

START = datetime(2026, 3, 9, 13, 2, 11, tzinfo=UTC)
payments = st.lists(st.tuples(st.integers(0, 4 * 86_400), st.integers(1, 10_000)), max_size=40)


@pytest.fixture(autouse=True)
def no_settings(settings):
    """Nothing is configured unless a test does."""
    settings.REFUND_PLUGIN = {}


def _added(paid: list[tuple[int, int]]) -> Spent:
    spent: Spent = {}
    for seconds, amount in paid:
        spent = with_added(spent, {"EUR": amount}, START + timedelta(seconds=seconds))
    return spent


@given(payments, st.sampled_from(list(Per)))
def test_a_window_has_all_that_is_within_it_and_nothing_older_than_one_slot_more(paid, per):
    paid = sorted(paid)
    end = START + timedelta(seconds=paid[-1][0] if paid else 0)
    ages = [(end - START).total_seconds() - seconds for seconds, _amount in paid]
    within = sum(amount for age, (_seconds, amount) in zip(ages, paid, strict=True) if age < WINDOW_SECONDS[per])
    at_most = sum(amount for age, (_seconds, amount) in zip(ages, paid, strict=True) if age < WINDOW_SECONDS[per] + SLOT_SECONDS[per])
    assert within <= spent_within(_added(paid), "EUR", per, end) <= at_most


@given(payments)
def test_what_is_remembered_does_not_grow_with_the_number_of_refunds(paid):
    spent = _added(sorted(paid))
    assert all(
        len(slots) <= WINDOW_SECONDS[Per(per)] // SLOT_SECONDS[Per(per)] + 1 for slots in spent.get("EUR", {}).values() for per in Per
    )


def test_one_currency_and_product_does_not_count_for_another():
    spent = with_added({}, {"EUR": 500, "EUR BOOK": 200}, START)
    assert [spent_within(spent, name, Per.HOUR, START) for name in ("EUR", "EUR BOOK", "USD", "EUR SONG")] == [500, 200, 0, 0]


def test_a_payment_of_a_clock_that_runs_ahead_counts():
    spent = with_added({}, {"EUR": 500}, START + timedelta(minutes=7))
    assert spent_within(spent, "EUR", Per.HOUR, START) == 500


def test_a_ceiling_survives_being_stored():
    ceiling = Ceiling("EUR", Per.DAY, 500, "BOOK 1")
    assert Ceiling.from_json(ceiling.as_json()) == ceiling


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_every_currency_has_a_default_ceiling_and_the_days_is_higher(currency):
    hour, day = default_ceiling(currency, Per.HOUR), default_ceiling(currency, Per.DAY)
    assert 0 < hour < day


def test_the_default_is_about_a_thousand_euro_an_hour_in_every_currency():
    assert [default_ceiling(currency, Per.HOUR) for currency in ("EUR", "JPY", "KWD", "HUF")] == [100_000, 100_000, 1_000_000, 100_000_000]


def test_the_settings_name_ceilings_and_lift_them(settings):
    settings.REFUND_PLUGIN = {"BRAKE": {"hour": {"EUR": 7, "*": None}}}
    assert [default_ceiling(currency, Per.HOUR) for currency in ("EUR", "USD")] == [7, None]
    assert default_ceiling("USD", Per.DAY) == 500_000


@pytest.mark.parametrize(
    ("configured", "told"),
    [
        ({}, 0),
        ({"mode": "suggest", "hour": {"EUR": 1, "*": None}, "day": {}}, 0),
        ({"mode": "always"}, 1),
        ({"minute": {}}, 1),
        ({"hour": 5}, 1),
        ({"hour": {"EURO": 5}}, 1),
        ({"day": {"EUR": 5.5}}, 1),
        ({"day": {"EUR": -1}}, 1),
    ],
)
def test_what_the_settings_cannot_mean_is_told(configured, told):
    assert len(problems(configured)) == told
