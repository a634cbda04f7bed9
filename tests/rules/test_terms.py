"""Pro-rating by calendar months, and by whichever of time and use is better for the customer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.rules import MoneyBack, Outcome, ProRated, Reason, UnusedOnly, describe_clause, evaluate, explain_line, lint
from refund_plugin.rules.terms import add_months
from tests.rules.building import BERLIN, ENGLISH, at, line, policy

MONTHS = policy(ProRated(anchor="m", by="month"))
BEST = policy(ProRated(anchor="b", by="best"))
DAYS = policy(ProRated(anchor="d", by="day"))
UNITS = policy(ProRated(anchor="u", by="unit"))


def term(start: str, end: str, asked: str, zone: str = BERLIN, **values):
    """Return a line of 12,000 minor units for a term, asked about at `asked`; times where the customer is."""
    moments = {"term_start": at(start, zone), "term_end": at(end, zone), "purchased_at": at(start, zone), "now": at(asked, zone)}
    return line(**({"paid_minor": 12_000, "timezone": zone} | moments | values))


def left(document, facts):
    result = evaluate(document, facts).conditions[0]
    return result.fact_value, result.needed


def test_a_12_month_plan_for_120_00_canceled_after_3_months_gives_9_twelfths_which_is_90_00():
    verdict = evaluate(MONTHS, term("2026-01-15", "2027-01-15", "2026-04-15T23:59:59"))
    assert (verdict.amount_minor, verdict.conditions[0].fact_value, verdict.conditions[0].needed) == (9_000, 9, 12)


def test_a_day_later_the_4th_month_has_begun_and_it_gives_8_twelfths_which_is_80_00():
    assert evaluate(MONTHS, term("2026-01-15", "2027-01-15", "2026-04-16T00:00")).amount_minor == 8_000


@pytest.mark.parametrize(("currency", "paid", "back"), [("JPY", 1_201, 901), ("EUR", 2_987, 2_240), ("KWD", 10_001, 7_501)])
def test_9_twelfths_of_1201_yen_are_901_of_29_87_euro_22_40_and_of_10_001_dinar_7_501(currency, paid, back):
    facts = term("2026-01-15", "2027-01-15", "2026-04-15", currency=currency, paid_minor=paid)
    assert evaluate(MONTHS, facts).amount_minor == back


@pytest.mark.parametrize(
    ("start", "end", "asked", "expected"),
    [
        ("2026-01-15", "2027-01-15", "2026-01-15T23:00", (12, 12)),  # on the first day nothing has been used
        ("2026-01-15", "2027-01-15", "2026-01-16", (11, 12)),
        ("2026-01-15", "2027-01-15", "2026-01-01", (12, 12)),  # bought in advance
        ("2026-01-15", "2027-01-15", "2026-12-15", (1, 12)),
        ("2026-01-15", "2027-01-15", "2026-12-16", (0, 12)),
        ("2028-01-31", "2029-01-31", "2028-02-29", (11, 12)),  # the second month begins on the last day of a leap February
        ("2028-01-31", "2029-01-31", "2028-03-01", (10, 12)),
        ("2027-01-31", "2028-01-31", "2027-02-28", (11, 12)),  # and on the 28th of any other
        ("2027-01-31", "2028-01-31", "2027-03-01", (10, 12)),
        ("2027-01-31", "2028-01-31", "2027-03-31", (10, 12)),  # the third on the 31st again, not on the 28th
        ("2027-01-31", "2028-01-31", "2027-04-01", (9, 12)),
        ("2028-02-29", "2029-02-28", "2028-03-29", (11, 12)),
        ("2028-02-29", "2029-02-28", "2028-03-30", (10, 12)),
        ("2026-01-31", "2026-02-28", "2026-01-31", (1, 1)),  # one month, though it has 28 days
        ("2026-01-31", "2026-03-01", "2026-01-31", (1, 1)),  # a day too long, as a time zone makes it
        ("2026-01-15", "2026-04-25", "2026-01-15", (4, 4)),  # three months and ten days count as four
        ("2026-01-15", "2026-01-22", "2026-01-15", (1, 1)),  # a week counts as a month
    ],
)
def test_months_are_counted_on_the_calendar(start, end, asked, expected):
    assert left(MONTHS, term(start, end, asked)) == expected


@pytest.mark.parametrize(("zone", "months"), [("Pacific/Kiritimati", 10), (BERLIN, 11), ("America/Los_Angeles", 11)])
def test_a_month_begins_at_midnight_where_the_customer_is(zone, months):
    # 14:00 UTC on 15 February is already the 16th in Kiritimati; the term itself begins at noon where the customer is
    facts = term("2026-01-15T12:00", "2027-01-15T12:00", "2026-02-15T12:00", zone, now=at("2026-02-15T14:00"))
    assert left(MONTHS, facts) == (months, 12)


def test_a_month_is_not_shortened_when_clocks_go_forward():
    assert left(MONTHS, term("2026-02-28T23:30", "2026-04-28T23:30", "2026-03-28T23:59:59")) == (1, 2)
    assert left(MONTHS, term("2026-03-28T23:30", "2026-05-28T23:30", "2026-03-29T00:00")) == (1, 2)


def test_the_right_by_months_ends_with_the_day_on_which_the_last_month_begins():
    facts = term("2026-01-15", "2027-01-15", "2026-04-15")
    assert evaluate(MONTHS, facts).ask_until == at("2026-12-15T23:59:59", BERLIN)
    late = term("2026-01-15", "2027-01-15", "2026-12-16")
    assert evaluate(MONTHS, late).reason is Reason.CONDITIONS_MISSED
    said = explain_line(evaluate(MONTHS, late), MONTHS, late, ENGLISH).sentence
    assert said.endswith("gives back whole months, and the last one began on 15 December.")
    over = term("2026-01-15", "2027-01-15", "2027-02-01")
    assert explain_line(evaluate(MONTHS, over), MONTHS, over, ENGLISH).sentence.endswith("the time you paid for ended on 14 January.")


def test_tomorrow_costs_a_month_only_where_a_month_begins():
    assert evaluate(MONTHS, term("2026-01-15", "2027-01-15", "2026-04-15")).next_amount_minor == 8_000
    assert evaluate(MONTHS, term("2026-01-15", "2027-01-15", "2026-04-16")).next_amount_minor is None


def test_months_left_are_told_in_words():
    facts = term("2026-01-15", "2027-01-15", "2026-04-15")
    said = explain_line(evaluate(MONTHS, facts), MONTHS, facts, ENGLISH)
    assert said.sentence == "You have 9 of 12 months left, so the clause “Pay for what you use” gives you 90.00 EUR back."
    assert said.hint == "Tomorrow it would be 80.00 EUR."
    assert said.facts == (("Left", "9 of 12 months"),)
    assert describe_clause(MONTHS.clauses[0], ENGLISH).summary == "You get back the price of every month that has not begun."


def test_a_lifetime_that_ends_with_the_calendar_is_counted_too():
    facts = term("2026-01-31", "9999-12-31", "2026-03-02")
    months, whole = left(MONTHS, facts)
    assert whole - months == 2


HALF_OF_THE_DAYS = {"start": "2026-01-01", "end": "2026-03-02", "asked": "2026-01-31"}  # 30 of 60


@pytest.mark.parametrize(
    ("used", "back", "name"),
    [(2, 9_600, "left_unit"), (5, 6_000, "left_day"), (9, 6_000, "left_day"), (None, 6_000, "left_day")],
)
def test_of_30_60ths_of_the_days_and_8_or_1_tenths_of_the_lessons_the_greater_share_comes_back(used, back, name):
    verdict = evaluate(BEST, term(**HALF_OF_THE_DAYS, units_granted=10, units_used=used))
    assert (verdict.amount_minor, verdict.conditions[0].name) == (back, name)


def test_units_alone_are_enough_and_nothing_known_goes_to_a_person():
    assert evaluate(BEST, line(paid_minor=1000, units_granted=4, units_used=1)).amount_minor == 750
    verdict = evaluate(BEST, line())
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.FACT_MISSING)


@pytest.mark.parametrize(
    ("used", "sentence"),
    [(2, "You have 8 of 10 units left, so"), (9, "You have 30 of 60 days left, so"), (0, "You have used nothing of it, so")],
)
def test_what_was_better_is_said(used, sentence):
    facts = term(**HALF_OF_THE_DAYS, units_granted=10, units_used=used)
    said = explain_line(evaluate(BEST, facts), BEST, facts, ENGLISH)
    assert said.sentence.startswith(sentence)


def test_the_right_ends_with_the_term_unless_units_are_left():
    facts = term(**HALF_OF_THE_DAYS, units_granted=10, units_used=9)
    assert evaluate(BEST, facts).ask_until is None
    assert evaluate(BEST, term(**HALF_OF_THE_DAYS)).ask_until == at("2026-03-01T23:59:59", BERLIN)
    over = term("2026-01-01", "2026-03-02", "2026-03-02", units_granted=10, units_used=10)
    assert evaluate(BEST, over).outcome is Outcome.DECLINE


FEE = ProRated(anchor="f", by="unit", fee_minor=500, minimum_minor=600, currency="EUR")


@pytest.mark.parametrize(("used", "back"), [(0, 11_500), (3, 8_500), (10, 1_500), (11, 0), (12, 0)])
def test_of_12_units_for_120_00_a_fee_of_5_00_is_kept_and_less_than_6_00_is_not_paid_out(used, back):
    assert evaluate(policy(FEE), line(paid_minor=12_000, units_granted=12, units_used=used)).amount_minor == back


def test_a_fee_is_kept_once_however_a_line_of_3_is_asked_back_and_95_00_is_95_00():
    whole = line(paid_minor=30_000, quantity=3, asked_quantity=3, units_granted=3, units_used=2)
    assert evaluate(policy(FEE), whole).amount_minor == 9_500  # 300.00 x 1 / 3 - 5.00
    first = replace(whole, asked_quantity=1)
    rest = replace(whole, asked_quantity=2, refunded_quantity=1, refunded_minor=2_833)
    assert [evaluate(policy(FEE), facts).amount_minor for facts in (first, rest)] == [2_833, 6_667]


def test_in_steps_of_1_00_a_fee_of_2_50_leaves_7_00_of_10_00():
    clause = ProRated(anchor="f", by="unit", fee_minor=250, currency="EUR")
    verdict = evaluate(policy(clause), line(paid_minor=1_000, units_granted=1, units_used=0), 100)
    assert (verdict.amount_minor, verdict.full) == (700, False)  # 7.50, rounded down to the step


def test_a_fee_in_another_currency_goes_to_a_person():
    facts = line(currency="JPY", paid_minor=12_000, units_granted=12, units_used=3)
    verdict = evaluate(policy(FEE), facts)
    assert (verdict.outcome, verdict.reason, verdict.amount_minor) == (Outcome.REVIEW, Reason.FACT_MISSING, 0)


def test_a_fee_and_the_least_amount_are_told():
    assert describe_clause(FEE, ENGLISH).summary.endswith("A fee of 5.00 EUR is kept. Less than 6.00 EUR is not paid out.")
    facts = line(paid_minor=12_000, units_granted=12, units_used=11)
    said = explain_line(evaluate(policy(FEE), facts), policy(FEE), facts, ENGLISH)
    assert said.sentence.endswith("what is left is too little to be paid out.")
    assert said.facts[-1] == ("Amounts in the currency of the purchase", "EUR")


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"fee_minor": -1, "currency": "EUR"}, "amount_negative"),
        ({"minimum_minor": -1, "currency": "EUR"}, "amount_negative"),
        ({"fee_minor": 5}, "currency_missing"),
        ({"minimum_minor": 5, "currency": "EURO"}, "currency_missing"),
    ],
)
def test_the_linter_names_amounts_that_make_no_sense(values, code):
    clause = ProRated(anchor="c", **values)
    assert ("error", code) in [(finding.severity, finding.code) for finding in lint(policy(clause))]
    assert describe_clause(clause, ENGLISH).summary


starts = st.dates(date(2024, 1, 1), date(2029, 12, 31))


@given(starts, st.integers(0, 60))
def test_a_later_month_begins_on_the_same_day_or_on_the_last_of_a_shorter_month(start, months):
    day = add_months(start, months)
    assert (day.year * 12 + day.month) - (start.year * 12 + start.month) == months
    assert day.day == start.day or (day + timedelta(days=1)).day == 1


@st.composite
def terms(draw):
    zone = draw(st.sampled_from(["UTC", BERLIN, "America/Los_Angeles", "Pacific/Kiritimati", "Africa/Cairo"]))
    start = draw(starts)
    months = draw(st.integers(1, 36))
    day = draw(st.integers(-5, 1_200))
    used = draw(st.integers(0, 12))
    hour = draw(st.integers(0, 23))
    return term(
        start.isoformat(),
        add_months(start, months).isoformat(),
        f"{(start + timedelta(days=day)).isoformat()}T{hour:02}:30",
        zone,
        units_granted=10,
        units_used=used,
        purchased_at=at("2023-01-01"),
    ), (start, months, start + timedelta(days=day))


@given(terms())
def test_months_left_are_those_that_begin_on_the_day_of_asking_or_later(made):
    facts, (start, months, today) = made
    assert left(MONTHS, facts) == (sum(add_months(start, number) >= today for number in range(months)), months)


@given(terms())
def test_the_better_of_two_is_the_greater_amount(made):
    facts, _values = made
    amounts = [evaluate(document, facts).amount_minor for document in (DAYS, UNITS)]
    assert evaluate(BEST, facts).amount_minor == max(amounts)


EVERY_KIND = st.sampled_from(
    [
        *(ProRated(anchor="c", by=by) for by in ("day", "second", "unit", "month", "best")),
        ProRated(anchor="c", by="month", fee_percent=10, window_days=90),
        MoneyBack(anchor="c", window_days=400),
        UnusedOnly(anchor="c", window_days=30, percent=50),
    ]
)


@given(EVERY_KIND, terms(), st.integers(0, 200 * 86_400))
def test_asking_later_never_gives_more(clause, made, seconds):
    facts, _values = made
    later = replace(facts, now=facts.now + timedelta(seconds=seconds))
    assert evaluate(policy(clause), later).amount_minor <= evaluate(policy(clause), facts).amount_minor


@given(st.sampled_from([MONTHS, BEST]), terms())
def test_the_amount_told_for_tomorrow_is_what_comes_back_tomorrow(document, made):
    facts = replace(made[0], timezone="UTC")
    told = evaluate(document, facts).next_amount_minor
    if told is not None and facts.now >= facts.term_start:
        assert evaluate(document, replace(facts, now=facts.now + timedelta(days=1))).amount_minor == told
