"""Bought twice, does not work, goodwill, and the right to withdraw: what each needs, gives and says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.rules import (
    Defective,
    DuplicatePurchase,
    FactRule,
    Goodwill,
    LineFacts,
    MoneyBack,
    NonRefundable,
    Outcome,
    ProRated,
    Reason,
    Selector,
    StatutoryWithdrawal,
    UnusedOnly,
    describe_clause,
    evaluate,
    explain_line,
    lint,
)
from tests.rules.building import BERLIN, ENGLISH, at, line, policy

TWICE = DuplicatePurchase(anchor="twice", window_days=30, within_days=7)
FAULTY = Defective(anchor="faulty", evidence="A picture of the error.")
KIND = Goodwill(anchor="kind", percent=50)
LAW = StatutoryWithdrawal(anchor="law")
BACK = MoneyBack(anchor="back", window_days=2)


def answer(facts, *clauses, limit=None):
    verdict = evaluate(policy(*clauses, limit=limit), facts)
    return verdict.outcome, verdict.amount_minor


def sentence(facts, *clauses):
    document = policy(*clauses)
    return explain_line(evaluate(document, facts), document, facts, ENGLISH).sentence


def codes(*clauses):
    return [(finding.severity, finding.code) for finding in lint(policy(*clauses))]


# -- bought twice ---------------------------------------------------------------------------------------------------


def again(days_before: int, **values):
    """Return a line whose SKU was bought so many days before, too."""
    bought = at("2026-03-03T00:30", BERLIN)
    return line(purchased_at=bought, earlier_purchase=True, earlier_purchase_at=bought - timedelta(days=days_before), **values)


@pytest.mark.parametrize(("days", "expected"), [(0, (Outcome.APPROVE, 1820)), (7, (Outcome.APPROVE, 1820)), (8, (Outcome.REVIEW, 0))])
def test_the_second_of_two_purchases_within_7_days_comes_back(days, expected):
    assert answer(again(days), TWICE) == expected


def test_days_between_two_purchases_are_counted_by_midnights_where_the_customer_is():
    # 18 minutes apart, on both sides of midnight
    facts = again(0, timezone=BERLIN)
    facts = replace(facts, earlier_purchase_at=facts.purchased_at - timedelta(minutes=48))
    document = policy(DuplicatePurchase(anchor="twice", window_days=30, within_days=0))
    assert evaluate(document, facts).considered[0].conditions[2].fact_value == 1
    assert evaluate(document, replace(facts, timezone="America/New_York")).outcome is Outcome.APPROVE


def test_a_first_purchase_is_judged_by_the_other_clauses_and_never_told_that_it_was_bought_once():
    facts = line(earlier_purchase=False)
    assert answer(facts, TWICE, MoneyBack(anchor="m", window_days=30)) == (Outcome.APPROVE, 1820)
    verdict = evaluate(policy(TWICE, BACK), facts)
    assert (verdict.outcome, verdict.clause_anchor) == (Outcome.DECLINE, "back")
    used = evaluate(policy(TWICE, UnusedOnly(anchor="u", window_days=2)), replace(facts, downloads=1, activations=1))
    assert used.clause_anchor == "u"


def test_whether_it_was_bought_twice_is_never_guessed():
    assert evaluate(policy(TWICE), line()).reason is Reason.FACT_MISSING
    assert evaluate(policy(TWICE), line(earlier_purchase=True)).reason is Reason.FACT_MISSING


def test_a_second_purchase_is_told_as_such():
    assert sentence(again(2), TWICE) == "You had bought it 2 days before, so the clause “Bought twice” gives you everything back."
    assert sentence(again(0), TWICE).startswith("You bought it twice on one day,")
    assert describe_clause(TWICE, ENGLISH).summary == (
        "If you buy the same thing again within 7 days, ask within 30 days of the second purchase, and you get everything back for it."
    )


# -- does not work ----------------------------------------------------------------------------------------------------


def test_what_does_not_work_goes_to_a_person_who_may_give_everything_back_even_behind_no_guarantee():
    facts = line(fault_reported=True, now=at("2027-12-31T12:00", BERLIN))
    assert answer(facts, FAULTY, NonRefundable(anchor="final")) == (Outcome.REVIEW, 1820)


def test_what_works_or_was_reported_too_late_is_judged_by_the_other_clauses():
    final = NonRefundable(anchor="final", reason="Final.")
    assert evaluate(policy(FAULTY, final), line(fault_reported=False)).clause_anchor == "final"
    assert evaluate(policy(FAULTY, final), line(fault_reported=True, now=at("2028-03-02T23:59:59", BERLIN))).clause_anchor == "faulty"
    assert evaluate(policy(FAULTY, final), line(fault_reported=True, now=at("2028-03-03T00:00:00", BERLIN))).clause_anchor == "final"


def test_a_late_request_about_something_that_works_cites_the_guarantee_and_not_the_clause_about_faults():
    facts = line(now=at("2029-01-01", BERLIN))
    for reported in (False, None):
        verdict = evaluate(policy(FAULTY, BACK), replace(facts, fault_reported=reported))
        assert verdict.clause_anchor == "back"


def test_which_evidence_is_needed_is_told_before_and_after_asking():
    assert sentence(line(fault_reported=True), FAULTY) == (
        "You told us that it does not work. By the clause “It does not work” a person looks at it, and can give you 18.20 EUR back. "
        "Please send us: A picture of the error."
    )
    assert describe_clause(FAULTY, ENGLISH).summary.endswith("Please send us: A picture of the error.")
    assert "Please" not in describe_clause(Defective(anchor="f"), ENGLISH).summary


def test_words_of_an_editor_are_never_filled_in_as_a_template():
    clause = Defective(anchor="f", evidence="Your %(amount)s and 100 %(days)d %s")
    assert sentence(line(fault_reported=True), clause).endswith("Your %(amount)s and 100 %(days)d %s")


# -- goodwill -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**9), st.integers(-5, 200))
def test_goodwill_is_never_paid_by_itself_and_never_above_its_percentage(paid, percent):
    outcome, amount = answer(line(paid_minor=paid), Goodwill(anchor="kind", percent=percent))
    assert outcome is not Outcome.APPROVE
    assert 200 * amount <= 2 * paid * max(0, min(percent, 100)) + 100


def test_goodwill_has_a_window_and_says_that_it_is_no_right():
    clause = Goodwill(anchor="kind", percent=50, window_days=2)
    assert answer(line(), clause) == (Outcome.DECLINE, 0)
    assert sentence(line(), BACK, KIND) == (
        "Nothing else in our policy covers this, but by the clause “Goodwill” a person may give you up to 9.10 EUR back."
    )
    assert describe_clause(clause, ENGLISH).summary.endswith("up to 50% of the price back. Ask within 2 days of buying.")


# -- the right to withdraw ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"nature": "content"}, (Outcome.APPROVE, 1820)),
        ({"nature": "content", "downloads": 1, "consent_proven": True}, (Outcome.DECLINE, 0)),
        ({"nature": "content", "downloads": 1, "consent_proven": False}, (Outcome.APPROVE, 1820)),
        ({"nature": "content", "downloads": 1}, (Outcome.REVIEW, 0)),  # nobody knows whether they agreed
        ({"nature": "content", "share_viewed_percent": 5, "consent_proven": True}, (Outcome.DECLINE, 0)),
        ({"nature": "content", "downloads": None, "consent_proven": True}, (Outcome.REVIEW, 0)),
        ({"nature": "content", "downloads": None, "consent_proven": False}, (Outcome.APPROVE, 1820)),
        ({"nature": "content", "downloads": None, "activations": 1, "consent_proven": True}, (Outcome.DECLINE, 0)),
        ({"nature": "content", "units_granted": 10, "units_used": 1, "consent_proven": True}, (Outcome.DECLINE, 0)),
        ({"nature": ""}, (Outcome.APPROVE, 1820)),
        ({"nature": "", "downloads": 1, "consent_proven": True}, (Outcome.REVIEW, 0)),  # content or service?
        ({"nature": "service", "activations": 1, "consent_proven": True}, (Outcome.REVIEW, 0)),  # how much of it?
        ({"buyer_kind": "business"}, (Outcome.REVIEW, 0)),
        ({"buyer_kind": "unknown"}, (Outcome.APPROVE, 1820)),
    ],
)
def test_content_comes_back_whole_unless_its_use_ended_the_right_with_the_customers_agreement(values, expected):
    assert answer(line(**values), LAW) == expected


@pytest.mark.parametrize(
    ("used", "consent", "expected"),
    [
        (0, True, (Outcome.APPROVE, 1000)),
        (3, True, (Outcome.APPROVE, 700)),  # 1000 x 7 / 10
        (3, False, (Outcome.APPROVE, 1000)),  # it did not begin at their request: nothing is owed
        (3, None, (Outcome.REVIEW, 0)),
        (10, True, (Outcome.DECLINE, 0)),
        (10, False, (Outcome.APPROVE, 1000)),
        (None, True, (Outcome.REVIEW, 0)),
    ],
)
def test_of_a_service_of_10_lessons_for_10_00_begun_at_request_what_is_left_comes_back(used, consent, expected):
    facts = line(nature="service", paid_minor=1000, units_granted=10, units_used=used, consent_proven=consent)
    assert answer(facts, LAW) == expected


def test_of_a_30_day_plan_for_30_00_withdrawn_on_its_7th_day_24_days_are_24_00():
    bought = at("2026-03-03T00:00", BERLIN)
    facts = line(
        nature="service",
        paid_minor=3000,
        purchased_at=bought,
        term_start=bought,
        term_end=at("2026-04-02T00:00", BERLIN),  # clocks go forward on 29 March
        now=at("2026-03-09T12:00", BERLIN),
        consent_proven=True,
    )
    document = policy(LAW)
    verdict = evaluate(document, facts)
    assert (verdict.amount_minor, verdict.next_amount_minor) == (2400, 2300)
    said = explain_line(verdict, document, facts, ENGLISH)
    assert said.sentence.endswith("gives you 24.00 EUR back for what you have not used yet.")
    assert said.hint == "Tomorrow it would be 23.00 EUR."


@pytest.mark.parametrize("zone", [BERLIN, "Pacific/Kiritimati", "America/Los_Angeles"])
def test_the_day_of_purchase_does_not_count_and_the_14th_day_after_it_is_whole(zone):
    bought = at("2026-03-20T00:00", zone)
    end = at("2026-04-03T23:59:59", zone)  # over the clock change in Berlin
    facts = line(purchased_at=bought, timezone=zone, now=end)
    assert evaluate(policy(LAW), facts).ask_until == end
    assert answer(replace(facts, now=end + timedelta(seconds=1)), LAW) == (Outcome.DECLINE, 0)


def test_a_withdrawal_beats_a_refusal_that_stands_behind_it():
    assert answer(line(), LAW, NonRefundable(anchor="final")) == (Outcome.APPROVE, 1820)


def test_why_the_right_has_ended_is_told():
    assert sentence(line(nature="content", downloads=1, consent_proven=True), LAW) == (
        "The clause “Right to withdraw” ended when you began to use it, as you agreed before you did."
    )
    service = line(nature="service", units_granted=1, units_used=1, consent_proven=True)
    assert sentence(service, LAW).endswith("ended when all of it was provided, as you agreed before it began.")
    assert sentence(line(), LAW) == (
        "You may change your mind within 14 days, so the clause “Right to withdraw” gives you everything back."
    )


usage = st.none() | st.integers(0, 3)


@given(
    st.sampled_from(["content", "service", ""]),
    st.sampled_from([None, True, False]),
    usage,
    usage,
    st.none() | st.integers(1, 10),
    st.none() | st.integers(0, 12),
    st.integers(0, 20 * 86_400),
    st.integers(0, 20 * 86_400),
)
def test_waiting_never_gives_more_and_use_without_agreement_nothing_less(nature, consent, downloads, viewed, granted, used, first, wait):
    facts = line(
        nature=nature,
        consent_proven=consent,
        downloads=downloads,
        share_viewed_percent=viewed,
        units_granted=granted,
        units_used=used,
        term_start=at("2026-03-03T10:00", BERLIN),
        term_end=at("2026-03-20T10:00", BERLIN),
        now=at("2026-03-03T10:00", BERLIN) + timedelta(seconds=first),
    )
    now = evaluate(policy(LAW), facts)
    later = evaluate(policy(LAW), replace(facts, now=facts.now + timedelta(seconds=wait)))
    assert later.amount_minor <= now.amount_minor <= facts.paid_minor
    if consent is False and now.conditions and now.conditions[1].met:
        assert now.amount_minor == facts.paid_minor


# -- all of them ------------------------------------------------------------------------------------------------------------

ALL = (TWICE, FAULTY, LAW, ProRated(anchor="plans", by="month"), KIND)


@given(
    st.builds(
        lambda **values: line(**values),
        earlier_purchase=st.none() | st.booleans(),
        earlier_purchase_at=st.none() | st.just(at("2026-03-01T10:00")),
        fault_reported=st.none() | st.booleans(),
        consent_proven=st.none() | st.booleans(),
        nature=st.sampled_from(["", "content", "service"]),
        buyer_kind=st.sampled_from(["", "consumer", "business"]),
        downloads=usage,
        units_granted=st.none() | st.integers(1, 5),
        units_used=usage,
        paid_minor=st.integers(0, 10_000),
    ),
    st.permutations(ALL),
    st.sampled_from([1, 10]),
)
def test_whatever_is_known_an_answer_is_given_explained_and_the_same_from_stored_facts(facts, clauses, step):
    document = policy(*clauses)
    verdict = evaluate(document, facts, step)
    assert evaluate(document, LineFacts.from_json(facts.as_json()), step) == verdict
    assert explain_line(verdict, document, facts, ENGLISH).sentence
    assert 0 <= verdict.amount_minor <= facts.paid_minor
    if verdict.outcome is Outcome.APPROVE:
        assert verdict.clause_kind in ("duplicate_purchase", "statutory_withdrawal", "pro_rated")


def test_every_fact_of_a_decision_is_told_in_words():
    facts = replace(again(2), fault_reported=True, consent_proven=False)
    for clause, told in (
        (TWICE, [("Bought", "6 days ago (30 allowed)"), ("Bought before", "yes"), ("Days between the purchases", "2 (7 allowed)")]),
        (FAULTY, [("Reported as faulty", "yes"), ("Bought", "6 days ago (730 allowed)")]),
        (
            LAW,
            [("Bought as a consumer", "yes"), ("Bought", "6 days ago (14 allowed)"), ("Right to withdraw not used up", "yes")],
        ),
    ):
        document = policy(clause)
        assert list(explain_line(evaluate(document, facts), document, facts, ENGLISH).facts) == told


def test_any_clause_may_ask_whether_a_fault_was_reported():
    clause = MoneyBack(anchor="m", window_days=30, requires=(FactRule("fault_reported", "at_least", 1),))
    assert answer(line(fault_reported=True), clause) == (Outcome.APPROVE, 1820)
    assert answer(line(fault_reported=False), clause) == (Outcome.DECLINE, 0)
    assert answer(line(), clause) == (Outcome.REVIEW, 0)


@pytest.mark.parametrize(
    ("clause", "found"),
    [
        (DuplicatePurchase(anchor="c", window_days=0, within_days=7), ("error", "window_range")),
        (DuplicatePurchase(anchor="c", window_days=30, within_days=-1), ("error", "between_range")),
        (Defective(anchor="c", evidence="A picture.", window_days=729), ("warning", "conformity_short")),
        (Defective(anchor="c"), ("warning", "evidence_missing")),
        (Goodwill(anchor="c", percent=0), ("error", "percent_range")),
        (Goodwill(anchor="c", window_days=0), ("error", "window_range")),
        (StatutoryWithdrawal(anchor="c", window_days=13), ("error", "withdrawal_short")),
    ],
)
def test_the_linter_names_values_that_make_no_sense_or_give_less_than_the_law(clause, found):
    assert found in codes(clause)
    assert all(finding.text() for finding in lint(policy(clause)))


def test_clauses_for_cases_of_their_own_leave_a_gap_and_hide_nothing_behind_them():
    assert codes(TWICE, FAULTY, LAW) == [("warning", "gap")]
    assert codes(TWICE, FAULTY, LAW, KIND) == []


@pytest.mark.parametrize("earlier", [NonRefundable(anchor="final", reason="Final."), KIND])
def test_the_right_to_withdraw_cannot_be_hidden_behind_a_clause_that_always_decides(earlier):
    assert ("error", "unreachable") in codes(earlier, LAW)
    assert ("error", "unreachable") in codes(earlier, FAULTY)


def test_a_withdrawal_for_some_countries_leaves_the_others_to_the_next_clause():
    law = StatutoryWithdrawal(anchor="law", selector=Selector(countries=frozenset({"DE", "FR"})))
    assert evaluate(policy(law, BACK), line(country="DE")).clause_anchor == "law"
    assert evaluate(policy(law, BACK), line(country="US")).clause_anchor == "back"
