"""Which clause decides, when, and what is traced on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import InvalidInput
from refund_plugin.rules import (
    EVERYTHING,
    Held,
    LineFacts,
    MoneyBack,
    NonRefundable,
    Outcome,
    ProRated,
    Reason,
    Selector,
    UnknownClause,
    UnusedOnly,
    dump_document,
    evaluate,
    load_document,
    verdict_bytes,
)
from tests.rules.building import BERLIN, at, line, policy

EBOOK = Selector(product_types=frozenset({"ebook"}))


@pytest.mark.parametrize(
    ("bought", "last_second", "zone"),
    [
        ("2026-03-03T10:00", "2026-04-02T23:59:59", BERLIN),  # over the clock change of 29 March
        ("2026-03-03T00:00", "2026-04-02T23:59:59", BERLIN),
        ("2026-03-03T23:59", "2026-04-02T23:59:59", "America/Los_Angeles"),
        ("2026-03-03T10:00", "2026-04-02T23:59:59", "Pacific/Kiritimati"),
        ("2026-09-25T10:00", "2026-10-25T23:59:59", BERLIN),  # the 30th day has 25 hours
        ("2026-03-25T10:00", "2026-04-24T23:59:59", "Africa/Cairo"),  # midnight after the 30th day does not exist
    ],
)
def test_a_window_ends_with_the_last_second_of_its_last_day_where_the_customer_is(bought, last_second, zone):
    document = policy(MoneyBack(anchor="m", window_days=30))
    end = at(last_second, zone)
    values = {"purchased_at": at(bought, zone), "timezone": zone}
    inside = evaluate(document, line(now=end, **values))
    outside = evaluate(document, line(now=end + timedelta(seconds=1), **values))
    assert (inside.outcome, inside.ask_until) == (Outcome.APPROVE, end)
    assert (outside.outcome, outside.conditions[0].missed_by) == (Outcome.DECLINE, 1)


@given(
    st.datetimes(min_value=at("2020-01-01").replace(tzinfo=None), max_value=at("2030-01-01").replace(tzinfo=None)),
    st.integers(0, 400),
    st.integers(-3, 400 * 86_400),
    st.sampled_from(["UTC", BERLIN, "America/New_York", "Africa/Cairo", "Asia/Beirut", "Australia/Lord_Howe", "America/Santiago"]),
)
def test_the_announced_last_second_and_the_decision_never_disagree(bought, days, later, zone):
    bought = at(bought.isoformat())
    now = bought + timedelta(seconds=later)
    facts = line(purchased_at=bought, now=now, timezone=zone)
    announced = evaluate(policy(MoneyBack(anchor="m", window_days=days)), line(purchased_at=bought, now=bought, timezone=zone)).ask_until
    verdict = evaluate(policy(MoneyBack(anchor="m", window_days=days)), facts)
    assert (verdict.outcome is Outcome.APPROVE) == (now < announced + timedelta(seconds=1))


@pytest.mark.parametrize("fact", ["downloads", "share_viewed_percent", "activations"])
def test_one_use_more_than_allowed_misses_unused_only_and_the_allowed_number_does_not(fact):
    clause = UnusedOnly(anchor="u", window_days=30, max_downloads=2, max_share_viewed_percent=2, max_activations=2)
    allowed = evaluate(policy(clause), line(**{fact: 2}))
    beyond = evaluate(policy(clause), line(**{fact: 3}))
    assert (allowed.outcome, allowed.amount_minor) == (Outcome.APPROVE, 1820)
    assert (beyond.outcome, beyond.reason) == (Outcome.DECLINE, Reason.CONDITIONS_MISSED)
    missed = [result for result in beyond.conditions if not result.met]
    assert [(result.name, result.fact_value, result.needed, result.missed_by) for result in missed] == [(fact, 3, 2, 1)]


def test_the_first_clause_that_concerns_the_line_and_holds_decides():
    document = policy(
        MoneyBack(anchor="courses", window_days=90, selector=Selector(product_types=frozenset({"course"}))),
        UnusedOnly(anchor="unused", window_days=30),
        MoneyBack(anchor="half", window_days=14, percent=50),
        NonRefundable(anchor="never", reason="No."),
    )
    verdict = evaluate(document, line(downloads=1))
    assert (verdict.clause_anchor, verdict.clause_index, verdict.amount_minor) == ("half", 2, 910)
    assert [(trace.anchor, trace.held) for trace in verdict.considered] == [
        ("courses", Held.NOT_CONCERNED),
        ("unused", Held.MISSED),
        ("half", Held.HELD),
    ]


def test_non_refundable_declines_with_its_clause():
    verdict = evaluate(policy(NonRefundable(anchor="n", reason="Final."), MoneyBack(anchor="m", window_days=30)), line())
    assert (verdict.outcome, verdict.reason, verdict.clause_anchor, verdict.amount_minor) == (
        Outcome.DECLINE,
        Reason.NON_REFUNDABLE,
        "n",
        0,
    )


def test_when_all_miss_the_clause_that_missed_by_least_is_cited():
    far, near = MoneyBack(anchor="far", window_days=5), MoneyBack(anchor="near", window_days=29)
    facts = line(now=at("2026-04-02T12:00", BERLIN))
    assert evaluate(policy(far, near), facts).clause_anchor == "near"
    tied = MoneyBack(anchor="tied", window_days=29, percent=50)
    assert evaluate(policy(far, near, tied), facts).clause_anchor == "near"


def test_a_clause_that_misses_one_condition_is_closer_than_one_that_misses_two():
    two = UnusedOnly(anchor="two", window_days=29)
    one = MoneyBack(anchor="one", window_days=7)
    assert evaluate(policy(two, one), line(now=at("2026-04-02T12:00", BERLIN), downloads=1)).clause_anchor == "one"


def test_a_line_that_no_clause_concerns_goes_to_a_person():
    verdict = evaluate(policy(MoneyBack(anchor="m", window_days=30, selector=EBOOK)), line(product_type="course"))
    assert (verdict.outcome, verdict.reason, verdict.clause_index, verdict.amount_minor) == (Outcome.REVIEW, Reason.NO_CLAUSE, None, 0)


@pytest.mark.parametrize(
    ("clause", "values"),
    [
        (ProRated(anchor="c", by="day"), {}),
        (ProRated(anchor="c", by="second"), {"term_start": at("2026-01-15"), "term_end": at("2026-01-15")}),
        (ProRated(anchor="c", by="unit"), {"units_granted": 12}),
        (ProRated(anchor="c", by="unit"), {"units_granted": 0, "units_used": 0}),
        (UnusedOnly(anchor="c", window_days=30), {"downloads": None}),
    ],
)
def test_a_fact_that_nobody_knows_sends_the_line_to_a_person(clause, values):
    verdict = evaluate(policy(clause, NonRefundable(anchor="n", reason="No.")), line(**values))
    assert (verdict.outcome, verdict.reason, verdict.clause_anchor) == (Outcome.REVIEW, Reason.FACT_MISSING, "c")


def test_an_unknown_fact_does_not_matter_when_another_condition_is_surely_missed():
    document = policy(UnusedOnly(anchor="u", window_days=3), MoneyBack(anchor="m", window_days=30))
    assert evaluate(document, line(downloads=None)).clause_anchor == "m"


def test_a_clause_of_a_kind_that_is_not_installed_sends_what_reaches_it_to_a_person():
    unknown = UnknownClause(anchor="x", raw='{"kind":"moon_phase"}')
    after = evaluate(policy(unknown, MoneyBack(anchor="m", window_days=30)), line())
    before = evaluate(policy(MoneyBack(anchor="m", window_days=30), unknown), line())
    assert (after.outcome, after.reason) == (Outcome.REVIEW, Reason.UNKNOWN_CLAUSE)
    assert before.outcome is Outcome.APPROVE


def test_an_amount_above_the_limit_goes_to_a_person_who_sees_the_amount():
    document = policy(MoneyBack(anchor="m", window_days=30), limit={"EUR": 1820})
    within, above = evaluate(document, line()), evaluate(document, line(paid_minor=1821))
    other = evaluate(document, line(paid_minor=1821, currency="USD"))
    assert within.outcome is other.outcome is Outcome.APPROVE
    assert (above.outcome, above.reason, above.amount_minor) == (Outcome.REVIEW, Reason.ABOVE_LIMIT, 1821)


def test_a_clause_can_leave_the_last_word_to_a_person():
    verdict = evaluate(policy(MoneyBack(anchor="m", window_days=30, outcome="review")), line())
    assert (verdict.outcome, verdict.reason, verdict.amount_minor) == (Outcome.REVIEW, Reason.CLAUSE_REVIEWS, 1820)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"refunded_quantity": 1, "refunded_minor": 1820}, Reason.ALREADY_REFUNDED),
        ({"refunded_quantity": 1, "refunded_minor": 1820, "asked_quantity": 0}, Reason.ALREADY_REFUNDED),
        ({"refunded_quantity": 1, "refunded_minor": 5}, Reason.ALREADY_REFUNDED),
        ({"refunded_minor": 1820}, Reason.ALREADY_REFUNDED),
        ({"paid_minor": 0}, Reason.NOTHING_PAID),
    ],
)
def test_nothing_left_is_declined_whatever_the_policy(values, reason):
    verdict = evaluate(policy(MoneyBack(anchor="m", window_days=30)), line(**values))
    assert (verdict.outcome, verdict.reason, verdict.amount_minor) == (Outcome.DECLINE, reason, 0)


@pytest.mark.parametrize(
    ("selector", "matching", "other"),
    [
        (EBOOK, {"product_type": "ebook"}, {"product_type": "course"}),
        (Selector(skus=frozenset({"A"})), {"sku": "A"}, {"sku": "B"}),
        (Selector(categories=frozenset({"a", "b"})), {"categories": frozenset({"b", "c"})}, {"categories": frozenset({"c"})}),
        (Selector(tags=frozenset({"sale"})), {"tags": frozenset({"sale"})}, {}),
        (Selector(channels=frozenset({"web"})), {"channel": "web"}, {"channel": "app"}),
        (Selector(countries=frozenset({"DE"})), {"country": "DE"}, {"country": ""}),
        (Selector(nature="service"), {"nature": "service"}, {"nature": ""}),
        (Selector(price_from_minor=1000), {"paid_minor": 2000, "quantity": 2}, {"paid_minor": 1999, "quantity": 2}),
        (Selector(price_to_minor=1000), {"paid_minor": 2000, "quantity": 2}, {"paid_minor": 2001, "quantity": 2}),
    ],
)
def test_a_selector_picks_lines_by_each_of_its_fields(selector, matching, other):
    assert selector.matches(line(**matching))
    assert not selector.matches(line(**other))
    assert EVERYTHING.matches(line(**other))
    assert not selector.is_everything


def test_same_policy_and_same_stored_facts_give_the_same_verdict_byte_for_byte():
    document = policy(
        UnusedOnly(anchor="u", window_days=30, selector=EBOOK), ProRated(anchor="p", by="second", fee_percent=3), limit={"EUR": 10}
    )
    facts = line(
        product_type="course",
        categories=frozenset({"b", "a"}),
        term_start=at("2026-03-01", BERLIN),
        term_end=at("2026-06-01", BERLIN).astimezone(None),
    )
    verdict = evaluate(document, facts)
    stored_facts = LineFacts.from_json(facts.as_json())
    again = evaluate(load_document(dump_document(document)), stored_facts)
    assert verdict_bytes(again) == verdict_bytes(verdict)
    assert stored_facts.as_json() == facts.as_json()
    assert verdict_bytes(verdict) == (
        b'{"amount_minor":1601,"ask_until":"2026-05-31T21:59:59+00:00","clause_anchor":"p","clause_index":1,"clause_kind":"pro_rated",'
        b'"conditions":[{"fact_value":7203469,"known":true,"met":true,"missed_by":0,"name":"left","needed":7945200}],'
        b'"considered":[{"anchor":"u","conditions":[],"held":"not_concerned","kind":"unused_only","position":0},'
        b'{"anchor":"p","conditions":[{"fact_value":7203469,"known":true,"met":true,"missed_by":0,"name":"left","needed":7945200}],'
        b'"held":"held","kind":"pro_rated","position":1}],"currency":"EUR","full":false,"line_id":"line-1",'
        b'"next_amount_minor":1581,"outcome":"review","reason":"above_limit","step":1}'
    )


@pytest.mark.parametrize(
    "values",
    [
        {"quantity": 0},
        {"asked_quantity": -1},
        {"timezone": "Mars/Olympus"},
        {"timezone": "../etc/passwd"},
        {"now": at("2026-03-09").replace(tzinfo=None)},
    ],
)
def test_facts_that_cannot_be_are_refused(values):
    with pytest.raises(InvalidInput):
        line(**values)


@pytest.mark.parametrize("change", [{"surprise": 1}, {"purchased_at": "yesterday"}, {"paid_minor": None, "purchased_at": 5}])
def test_stored_facts_that_cannot_be_read_are_refused(change):
    with pytest.raises(InvalidInput):
        LineFacts.from_json(line().as_json() | change)
