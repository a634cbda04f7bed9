"""Every clause that was tried says what it found, by how much it was missed and what would have qualified."""

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
    Held,
    MoneyBack,
    ProRated,
    Selector,
    UnusedOnly,
    evaluate,
    explain_line,
)
from tests.rules.building import BERLIN, ENGLISH, at, line, policy

UNUSED = UnusedOnly(anchor="unused", window_days=30)
TWICE = DuplicatePurchase(anchor="twice", window_days=30, within_days=7)
OTHERS = MoneyBack(anchor="others", window_days=30, selector=Selector(skus=frozenset({"X"})))


def tried(*clauses, **facts):
    document, facts = policy(*clauses), line(**facts)
    return explain_line(evaluate(document, facts), document, facts, ENGLISH).considered


@pytest.mark.parametrize(
    ("clause", "facts", "text"),
    [
        (MoneyBack(anchor="b", window_days=5), {}, "Missed: 1 day too late. It would apply with: within 5 days of buying."),
        (UNUSED, {"downloads": 2}, "Missed: 2 downloads too many. It would apply with: no downloads."),
        (UNUSED, {"activations": 1}, "Missed: 1 activation too many. It would apply with: no activations."),
        (
            UnusedOnly(anchor="u", window_days=30, max_share_viewed_percent=20),
            {"share_viewed_percent": 35},
            "Missed: 15% viewed too much. It would apply with: at most 20% viewed.",
        ),
        (
            UNUSED,
            {"downloads": 1, "purchased_at": at("2026-01-03T10:00", BERLIN)},
            "Missed: 35 days too late; 1 download too many. It would apply with: within 30 days of buying; no downloads.",
        ),
        (TWICE, {"earlier_purchase": False}, "It would apply with: bought before."),
        (
            TWICE,
            {"earlier_purchase": True, "earlier_purchase_at": at("2026-02-20T10:00", BERLIN)},
            "Missed: 4 days too many between them. It would apply with: at most 7 days between the purchases.",
        ),
        (Defective(anchor="f"), {"fault_reported": False}, "It would apply with: reported as faulty."),
        (
            MoneyBack(anchor="b", window_days=30, requires=(FactRule("units_used", "at_most", 3),)),
            {"units_used": 5},
            "Missed: Units used: 2 too many. It would apply with: Units used: at most 3.",
        ),
        (
            MoneyBack(anchor="b", window_days=30, requires=(FactRule("downloads", "at_least", 3),)),
            {"downloads": 1},
            "Missed: Downloads: 2 too few. It would apply with: Downloads: at least 3.",
        ),
        (
            MoneyBack(anchor="b", window_days=30, requires=(FactRule("consent_proven", "at_most", 0),)),
            {"consent_proven": True},
            "It would apply with: Agreed that it begins at once: no.",
        ),
        (ProRated(anchor="p", by="unit"), {"units_granted": 3, "units_used": 3}, "It would apply with: while something is left."),
    ],
)
def test_what_was_missed_and_what_would_have_qualified(clause, facts, text):
    [note] = tried(clause, **facts)
    assert (note.held, note.text) == (Held.MISSED, text)


def test_a_fact_that_nobody_knows_is_named_and_is_no_miss():
    [note] = tried(UNUSED, downloads=None)
    assert (note.held, note.text) == (Held.UNKNOWN, "Nobody knows yet: Downloads.")
    assert [condition.state for condition in note.conditions] == ["met", "unknown", "met", "met"]


def test_clauses_about_other_purchases_are_left_out_and_those_behind_the_one_that_decides_were_not_tried():
    notes = tried(OTHERS, TWICE, UNUSED, MoneyBack(anchor="later", window_days=30), earlier_purchase=False)
    assert [(note.anchor, note.held) for note in notes] == [("twice", Held.MISSED), ("unused", Held.HELD)]
    assert notes[-1].text == "Everything it asks for is so: it applies."


def test_each_condition_has_what_was_found_and_needed():
    [note] = tried(UNUSED, downloads=3)
    assert note.conditions[1] == ("Downloads", "3 (0 allowed)", "missed", "3 downloads too many", "no downloads")
    assert note.conditions[0] == ("Bought", "6 days ago (30 allowed)", "met", "", "")


def test_the_end_of_the_right_to_ask_is_told_with_its_time_where_the_customer_is():
    document, facts = policy(UNUSED), line()
    assert explain_line(evaluate(document, facts), document, facts, ENGLISH).ends == "You can ask for this until 2 April at 23:59."
    declined = replace(facts, downloads=1)
    assert explain_line(evaluate(document, declined), document, declined, ENGLISH).ends == ""


@given(st.integers(0, 5), st.integers(0, 60), st.one_of(st.none(), st.booleans()))
def test_what_is_told_of_a_clause_is_what_the_engine_found(downloads, days, earlier):
    document = policy(UNUSED, TWICE, MoneyBack(anchor="late", window_days=45))
    start = line().purchased_at
    facts = line(downloads=downloads, earlier_purchase=earlier, now=start + timedelta(days=days))
    verdict = evaluate(document, facts)
    notes = explain_line(verdict, document, facts, ENGLISH).considered
    assert [note.held for note in notes] == [trace.held for trace in verdict.considered]
    for note, trace in zip(notes, verdict.considered, strict=True):
        assert [condition.state == "met" for condition in note.conditions] == [result.met for result in trace.conditions]
        assert (note.held is Held.MISSED) == any(condition.state == "missed" for condition in note.conditions)
