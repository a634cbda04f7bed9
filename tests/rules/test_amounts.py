"""Amounts add up, are never negative and never above what was paid."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import InvalidInput, QuantityTooHigh
from refund_plugin.rules import MoneyBack, Outcome, ProRated, Reason, evaluate
from tests.rules.building import BERLIN, at, line, policy

currencies = st.sampled_from(["JPY", "EUR", "KWD"])
steps = st.sampled_from([1, 10, 100])


@st.composite
def clauses(draw):
    if draw(st.booleans()):
        return MoneyBack(anchor="c", window_days=30, percent=draw(st.integers(1, 100)))
    return ProRated(
        anchor="c",
        by=draw(st.sampled_from(["day", "second", "unit", "month", "best"])),
        percent=draw(st.integers(1, 100)),
        fee_percent=draw(st.integers(0, 99)),
        **draw(st.sampled_from([{}, {"fee_minor": 250, "currency": "EUR"}, {"fee_minor": 7, "minimum_minor": 900, "currency": "EUR"}])),
    )


@st.composite
def lines(draw):
    quantity = draw(st.integers(1, 50))
    paid = draw(st.integers(1, 10**9))
    refunded_quantity = draw(st.integers(0, quantity - 1))
    start = at("2026-03-03T10:00", BERLIN)
    granted = draw(st.integers(1, 1000))
    return line(
        currency=draw(currencies),
        paid_minor=paid,
        quantity=quantity,
        refunded_quantity=refunded_quantity,
        refunded_minor=draw(st.integers(0, paid)) if refunded_quantity else 0,
        asked_quantity=draw(st.integers(1, quantity - refunded_quantity)),
        term_start=start,
        term_end=start + timedelta(seconds=draw(st.integers(1, 3 * 365 * 86_400))),
        units_granted=granted,
        units_used=draw(st.integers(0, granted + 5)),
    )


@given(clauses(), lines(), steps)
def test_an_amount_is_never_negative_nor_above_what_is_left_and_always_a_multiple_of_the_step(clause, facts, step):
    verdict = evaluate(policy(clause), facts, step)
    assert 0 <= verdict.amount_minor <= max(0, facts.paid_minor - facts.refunded_minor)
    assert verdict.amount_minor % step == 0
    # a fee in another currency leaves it to a person
    assert (verdict.amount_minor > 0) == (verdict.outcome is Outcome.APPROVE)


@given(clauses(), lines(), steps, st.data())
def test_repeated_partial_refunds_sum_to_the_one_for_the_whole_line(clause, facts, step, data):
    def ask(asked, refunded_quantity, refunded_minor):
        values = {name: getattr(facts, name) for name in facts.as_json()}
        values |= {"asked_quantity": asked, "refunded_quantity": refunded_quantity, "refunded_minor": refunded_minor}
        return evaluate(policy(clause), line(**values), step).amount_minor

    whole = ask(facts.quantity, 0, 0)
    gone_units, gone = 0, 0
    while gone_units < facts.quantity:
        asked = data.draw(st.integers(1, facts.quantity - gone_units))
        # an amount that rounds to nothing is declined, so it stays due with the next units
        amount = ask(asked, gone_units, gone)
        gone_units, gone = gone_units + asked, gone + amount
        if gone >= facts.paid_minor:
            break
    assert gone == whole


@given(lines().filter(lambda facts: facts.refunded_minor == 0 and facts.refunded_quantity == 0))
def test_a_full_guarantee_gives_back_every_minor_unit(facts):
    values = {name: getattr(facts, name) for name in facts.as_json()} | {"asked_quantity": facts.quantity}
    verdict = evaluate(policy(MoneyBack(anchor="c", window_days=30)), line(**values))
    assert verdict.amount_minor == facts.paid_minor
    assert verdict.full


@pytest.mark.parametrize(("currency", "paid", "back"), [("JPY", 1201, 901), ("EUR", 2987, 2240), ("KWD", 10_001, 7501)])
def test_nine_of_twelve_units_are_three_quarters_in_every_currency(currency, paid, back):
    verdict = evaluate(policy(ProRated(anchor="c", by="unit")), line(currency=currency, paid_minor=paid, units_granted=12, units_used=3))
    assert (verdict.amount_minor, verdict.full) == (back, False)


def plan(**values):
    """Return a yearly plan for 120.00 EUR from 15 January 2026."""
    base = {"paid_minor": 12_000, "term_start": at("2026-01-15", BERLIN), "term_end": at("2027-01-15", BERLIN)}
    return line(**(base | values))


def test_three_months_into_a_year_by_day_counts_the_day_of_asking_as_left():
    verdict = evaluate(policy(ProRated(anchor="c", by="day")), plan(now=at("2026-04-15T23:59:59", BERLIN)))
    assert verdict.conditions[0].fact_value == 275
    assert verdict.conditions[0].needed == 365
    assert verdict.amount_minor == 9041  # 12000 x 275 / 365 = 9041.09…


def test_a_day_of_a_plan_ends_at_midnight_where_the_customer_is():
    clause = policy(ProRated(anchor="c", by="day"))
    before = evaluate(clause, plan(now=at("2026-04-15T23:59:59", BERLIN)))
    after = evaluate(clause, plan(now=at("2026-04-16T00:00:00", BERLIN)))
    assert (before.conditions[0].fact_value, after.conditions[0].fact_value) == (275, 274)
    assert before.next_amount_minor == after.amount_minor


def test_by_second_is_exact_over_a_clock_change():
    start, end = at("2026-03-28", BERLIN), at("2026-03-30", BERLIN)  # 47 hours: clocks go forward on the 29th
    facts = plan(paid_minor=4700, term_start=start, term_end=end, now=start + timedelta(hours=23))
    assert evaluate(policy(ProRated(anchor="c", by="second")), facts).amount_minor == 2400


def test_a_plan_that_has_not_begun_is_given_back_whole_and_one_that_ended_not_at_all():
    clause = policy(ProRated(anchor="c", by="day"))
    early = evaluate(clause, plan(now=at("2026-01-10", BERLIN), purchased_at=at("2026-01-09", BERLIN)))
    late = evaluate(clause, plan(now=at("2027-01-15", BERLIN)))
    assert (early.amount_minor, early.full) == (12_000, True)
    assert (late.outcome, late.reason, late.amount_minor) == (Outcome.DECLINE, Reason.CONDITIONS_MISSED, 0)


def test_the_right_to_ask_ends_with_the_term_or_with_the_window_whichever_is_earlier():
    now = at("2026-04-15", BERLIN)
    facts = plan(now=now, purchased_at=at("2026-01-15", BERLIN))
    assert evaluate(policy(ProRated(anchor="c", by="day")), facts).ask_until == at("2027-01-14T23:59:59", BERLIN)
    assert evaluate(policy(ProRated(anchor="c", by="day", window_days=100)), facts).ask_until == at("2026-04-25T23:59:59", BERLIN)


def test_a_fee_is_taken_from_what_would_come_back():
    verdict = evaluate(policy(ProRated(anchor="c", by="unit", fee_percent=10)), line(paid_minor=2000, units_granted=4, units_used=2))
    assert verdict.amount_minor == 900


def test_waiting_costs_one_more_unit():
    verdict = evaluate(policy(ProRated(anchor="c", by="unit")), line(paid_minor=2987, units_granted=12, units_used=3))
    assert verdict.next_amount_minor == 1991


def test_nothing_is_said_about_tomorrow_on_the_last_day_of_the_window():
    clause = ProRated(anchor="c", by="day", window_days=90)
    verdict = evaluate(policy(clause), plan(purchased_at=at("2026-01-15", BERLIN), now=at("2026-04-15T12:00", BERLIN)))
    assert verdict.outcome is Outcome.APPROVE
    assert verdict.next_amount_minor is None


def test_a_share_too_small_to_pay_is_declined_and_says_so():
    verdict = evaluate(policy(MoneyBack(anchor="c", window_days=30, percent=1)), line(paid_minor=49))
    assert (verdict.outcome, verdict.reason, verdict.clause_anchor) == (Outcome.DECLINE, Reason.AMOUNT_ZERO, "c")


def test_a_percentage_outside_its_range_never_pays_more_than_was_paid():
    assert evaluate(policy(MoneyBack(anchor="c", window_days=30, percent=250)), line()).amount_minor == 1820


def test_goodwill_given_before_is_not_paid_twice():
    verdict = evaluate(policy(MoneyBack(anchor="c", window_days=30)), line(refunded_minor=1000))
    assert (verdict.amount_minor, verdict.full) == (820, False)


def test_asking_for_more_units_than_are_left_is_refused():
    with pytest.raises(QuantityTooHigh):
        evaluate(policy(MoneyBack(anchor="c", window_days=30)), line(quantity=3, refunded_quantity=1, asked_quantity=3))


def test_asking_for_no_unit_of_what_is_left_is_refused():
    with pytest.raises(InvalidInput):
        evaluate(policy(MoneyBack(anchor="c", window_days=30)), line(asked_quantity=0))


@pytest.mark.parametrize("step", [0, -1])
def test_a_step_below_one_is_refused(step):
    with pytest.raises(InvalidInput):
        evaluate(policy(), line(), step)
