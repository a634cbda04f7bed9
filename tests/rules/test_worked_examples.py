"""Worked examples with their arithmetic: what a reader can check with pencil and paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.rules import (
    Defective,
    DuplicatePurchase,
    Goodwill,
    LineFacts,
    MoneyBack,
    NonRefundable,
    Outcome,
    ProRated,
    StatutoryWithdrawal,
    UnusedOnly,
    dump_document,
    evaluate,
    load_document,
    verdict_bytes,
)
from tests.rules.building import BERLIN, at, line, policy

BACK = MoneyBack(anchor="back", window_days=30)
UNUSED = UnusedOnly(anchor="unused", window_days=14)
MONTHS = ProRated(anchor="months", by="month")
DAYS = ProRated(anchor="days", by="day")
SECONDS = ProRated(anchor="seconds", by="second")
UNITS = ProRated(anchor="units", by="unit")
BEST = ProRated(anchor="best", by="best")
LAW = StatutoryWithdrawal(anchor="law")


def plan(start: str, end: str, asked: str, paid: int = 12_000, **values) -> LineFacts:
    """Return a line for a term in Berlin, bought on its first day."""
    moments = {"purchased_at": at(start, BERLIN), "term_start": at(start, BERLIN), "term_end": at(end, BERLIN), "now": at(asked, BERLIN)}
    return line(paid_minor=paid, **(moments | values))


def asked(bought: str, now: str, zone: str = BERLIN, **values) -> LineFacts:
    """Return a line for 18.20 bought and asked about at these times where the customer is."""
    return line(purchased_at=at(bought, zone), now=at(now, zone), timezone=zone, **values)


YES, NO, PERSON = Outcome.APPROVE, Outcome.DECLINE, Outcome.REVIEW

EXAMPLES = {
    # a 12-month plan canceled after 3 months
    "12 months for 120.00 after 3 months by month: 120.00 x 9/12 = 90.00": (
        MONTHS,
        plan("2026-01-15", "2027-01-15", "2026-04-15"),
        YES,
        9_000,
    ),
    "12 months for 120.00 after 3 months by day: 120.00 x 275/365 = 90.41": (
        DAYS,
        plan("2026-01-15", "2027-01-15", "2026-04-15"),
        YES,
        9_041,
    ),
    "12 months for 99.99 after 3 months: 99.99 x 9/12 = 74.9925 = 74.99": (
        MONTHS,
        plan("2026-01-15", "2027-01-15", "2026-04-15", 9_999),
        YES,
        7_499,
    ),
    # leap years
    "a leap February of 29 days for 29.00 on its 15th by day: 29.00 x 15/29 = 15.00": (
        DAYS,
        plan("2028-02-01", "2028-03-01", "2028-02-15", 2_900),
        YES,
        1_500,
    ),
    "any other February of 28 days for 28.00 on its 15th by day: 28.00 x 14/28 = 14.00": (
        DAYS,
        plan("2027-02-01", "2027-03-01", "2027-02-15", 2_800),
        YES,
        1_400,
    ),
    "a year over a leap day for 366.00 after 31 days by day: 366.00 x 335/366 = 335.00": (
        DAYS,
        plan("2028-01-01", "2029-01-01", "2028-02-01", 36_600),
        YES,
        33_500,
    ),
    "12 months from 29 February for 120.00 on 29 March by month: 120.00 x 11/12 = 110.00": (
        MONTHS,
        plan("2028-02-29", "2029-02-28", "2028-03-29"),
        YES,
        11_000,
    ),
    "12 months from 31 January for 120.00 on 1 March by month: 120.00 x 10/12 = 100.00": (
        MONTHS,
        plan("2026-01-31", "2027-01-31", "2026-03-01"),
        YES,
        10_000,
    ),
    # currencies without decimals and with three
    "1000 JPY for 3 units, 1 used: 1000 x 2/3 = 666.67 = 667": (
        UNITS,
        line(currency="JPY", paid_minor=1_000, units_granted=3, units_used=1),
        YES,
        667,
    ),
    "10.001 KWD for 3 units, 1 used: 10.001 x 2/3 = 6.66733 = 6.667": (
        UNITS,
        line(currency="KWD", paid_minor=10_001, units_granted=3, units_used=1),
        YES,
        6_667,
    ),
    # usage
    "18.20 not downloaded within 14 days: 18.20": (UNUSED, line(), YES, 1_820),
    "18.20 downloaded once: 0": (UNUSED, line(downloads=1), NO, 0),
    "18.20 when nobody knows the downloads: a person": (UNUSED, line(downloads=None), PERSON, 0),
    "10 lessons for 100.00, 3 used, a fifth kept as a fee: 100.00 x 7/10 x 80/100 = 56.00": (
        ProRated(anchor="fee", by="unit", fee_percent=20),
        line(paid_minor=10_000, units_granted=10, units_used=3),
        YES,
        5_600,
    ),
    "30 of 60 days and 8 of 10 lessons left for 60.00, the better: 60.00 x 8/10 = 48.00": (
        BEST,
        plan("2026-01-01", "2026-03-02", "2026-01-31", 6_000, units_granted=10, units_used=2),
        YES,
        4_800,
    ),
    # windows end at midnight where the customer is
    "30 days from 3 March in Berlin, asked on 2 April at 23:59:59: 18.20": (
        BACK,
        asked("2026-03-03T10:00", "2026-04-02T23:59:59"),
        YES,
        1_820,
    ),
    "30 days from 3 March in Berlin, asked on 3 April at 00:00:00: 0": (BACK, asked("2026-03-03T10:00", "2026-04-03T00:00:00"), NO, 0),
    "the same second, still 2 April in Los Angeles: 18.20": (
        BACK,
        replace(asked("2026-03-03T10:00", "2026-04-03T00:00:00"), timezone="America/Los_Angeles"),
        YES,
        1_820,
    ),
    # daylight saving
    "47 hours over the clock change for 47.00 after 23 of them by second: 47.00 x 24/47 = 24.00": (
        SECONDS,
        plan("2026-03-28", "2026-03-30", "2026-03-28T23:00", 4_700),
        YES,
        2_400,
    ),
    "30 days over the clock change for 30.00 after 29 of them by day: 30.00 x 1/30 = 1.00": (
        DAYS,
        plan("2026-03-01", "2026-03-31", "2026-03-30", 3_000),
        YES,
        100,
    ),
    # the law
    "content used with proven agreement: the right has ended, 0": (LAW, line(nature="content", downloads=1, consent_proven=True), NO, 0),
    "content used, the agreement is missing: 18.20": (LAW, line(nature="content", downloads=1, consent_proven=False), YES, 1_820),
    "a service for 10.00 begun at request, 3 of 10 units had: 10.00 x 7/10 = 7.00": (
        LAW,
        line(nature="service", paid_minor=1_000, units_granted=10, units_used=3, consent_proven=True),
        YES,
        700,
    ),
    # cases of their own
    "bought again on the same day: 18.20": (
        DuplicatePurchase(anchor="twice", window_days=30, within_days=0),
        line(earlier_purchase=True, earlier_purchase_at=at("2026-03-03T09:00", BERLIN)),
        YES,
        1_820,
    ),
    "it does not work: a person, up to 18.20": (Defective(anchor="faulty"), line(fault_reported=True), PERSON, 1_820),
    "goodwill of 25 in 100: a person, up to 18.20 x 25/100 = 4.55": (Goodwill(anchor="kind", percent=25), line(), PERSON, 455),
    "not refundable: 0": (NonRefundable(anchor="final"), line(), NO, 0),
}


@pytest.mark.parametrize(("clause", "facts", "outcome", "amount"), EXAMPLES.values(), ids=EXAMPLES.keys())
def test_worked_example(clause, facts, outcome, amount):
    verdict = evaluate(policy(clause), facts)
    assert (verdict.outcome, verdict.amount_minor) == (outcome, amount)


def test_of_two_lines_of_18_20_and_9_90_one_of_them_used_only_9_90_comes_back():
    document = policy(UNUSED)
    used, unused = line(line_id="1", downloads=2), line(line_id="2", paid_minor=990)
    assert [evaluate(document, facts).amount_minor for facts in (used, unused)] == [0, 990]


def test_3_units_for_10_00_one_by_one_at_9_twelfths_are_2_50_and_2_50_and_2_50_which_is_7_50():
    whole = plan("2026-01-15", "2027-01-15", "2026-04-15", 1_000, quantity=3, asked_quantity=3)
    amounts, gone = [], 0
    for number in range(3):
        amount = evaluate(policy(MONTHS), replace(whole, asked_quantity=1, refunded_quantity=number, refunded_minor=gone)).amount_minor
        amounts, gone = [*amounts, amount], gone + amount
    assert amounts == [250, 250, 250]
    assert evaluate(policy(MONTHS), whole).amount_minor == 750


@given(st.sampled_from(list(EXAMPLES.values())), st.integers(0, 10**7), st.sampled_from([1, 10, 100]))
def test_the_same_input_gives_the_same_bytes_never_above_what_was_paid_whatever_the_price(example, paid, step):
    clause, facts, _outcome, _amount = example
    document, facts = policy(clause), replace(facts, paid_minor=paid)
    verdict = evaluate(document, facts, step)
    again = evaluate(load_document(dump_document(document)), LineFacts.from_json(facts.as_json()), step)
    assert verdict_bytes(verdict) == verdict_bytes(again)
    assert 0 <= verdict.amount_minor <= paid and verdict.amount_minor % step == 0
