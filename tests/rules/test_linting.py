"""The linter names what would make a policy useless or unfair before it is published."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.rules import (
    MoneyBack,
    NonRefundable,
    ProRated,
    Selector,
    UnknownClause,
    UnusedOnly,
    evaluate,
    lint,
)
from tests.rules.building import line, policy
from tests.rules.test_amounts import lines

EBOOK = Selector(product_types=frozenset({"ebook"}))
BOOKS = Selector(product_types=frozenset({"ebook", "audiobook"}))
FINAL = NonRefundable(anchor="final", reason="Final.")


def codes(*clauses, limit=None):
    return [(finding.severity, finding.code, finding.anchor) for finding in lint(policy(*clauses, limit=limit))]


def test_a_sound_policy_has_no_findings():
    assert (
        codes(
            NonRefundable(anchor="sale", reason="Final.", selector=Selector(tags=frozenset({"sale"}))),
            UnusedOnly(anchor="unused", window_days=14),
            ProRated(anchor="plans", selector=Selector(product_types=frozenset({"plan"}))),
            MoneyBack(anchor="half", window_days=30, percent=50),
            FINAL,
            limit={"EUR": 0},
        )
        == []
    )


def test_a_policy_without_clauses_is_an_error():
    assert codes() == [("error", "no_clauses", "")]


@pytest.mark.parametrize(
    ("clause", "code"),
    [
        (MoneyBack(anchor="c", window_days=0), "window_range"),
        (MoneyBack(anchor="c", window_days=36_501), "window_range"),
        (ProRated(anchor="c", window_days=-1), "window_range"),
        (MoneyBack(anchor="c", window_days=30, percent=0), "percent_range"),
        (MoneyBack(anchor="c", window_days=30, percent=101), "percent_range"),
        (ProRated(anchor="c", fee_percent=100), "fee_range"),
        (UnusedOnly(anchor="c", window_days=30, max_share_viewed_percent=101), "share_range"),
        (UnusedOnly(anchor="c", window_days=30, max_downloads=-1), "allowance_negative"),
        (MoneyBack(anchor="c", window_days=30, selector=Selector(price_from_minor=2, price_to_minor=1)), "price_range"),
    ],
)
def test_a_value_that_cannot_be_is_an_error(clause, code):
    assert ("error", code, "c") in codes(clause)


def test_every_clause_needs_its_own_anchor():
    assert ("error", "anchor_missing", "") in codes(MoneyBack(anchor="", window_days=30))
    assert ("error", "duplicate_anchor", "c") in codes(MoneyBack(anchor="c", window_days=14), MoneyBack(anchor="c", window_days=30))


def test_a_negative_limit_is_an_error():
    assert ("error", "limit_negative", "") in codes(FINAL, limit={"EUR": -1})


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (FINAL, MoneyBack(anchor="later", window_days=30)),
        (NonRefundable(anchor="e", reason="No.", selector=BOOKS), MoneyBack(anchor="later", window_days=30, selector=EBOOK)),
        (MoneyBack(anchor="e", window_days=30), MoneyBack(anchor="later", window_days=14, percent=50)),
        (MoneyBack(anchor="e", window_days=30), UnusedOnly(anchor="later", window_days=14)),
        (UnusedOnly(anchor="e", window_days=30, max_downloads=1), UnusedOnly(anchor="later", window_days=30)),
        (ProRated(anchor="e", by="unit"), ProRated(anchor="later", by="unit", window_days=9)),
        (
            MoneyBack(anchor="e", window_days=30, selector=Selector(price_from_minor=10)),
            MoneyBack(anchor="later", window_days=30, percent=1, selector=Selector(price_from_minor=20, price_to_minor=30)),
        ),
    ],
)
def test_a_clause_that_nothing_can_reach_is_an_error(earlier, later):
    assert ("error", "unreachable", "later") in codes(earlier, later)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (MoneyBack(anchor="e", window_days=14), MoneyBack(anchor="later", window_days=30, percent=50)),
        (NonRefundable(anchor="e", reason="No.", selector=EBOOK), MoneyBack(anchor="later", window_days=30, selector=BOOKS)),
        (UnusedOnly(anchor="e", window_days=30), MoneyBack(anchor="later", window_days=14)),
        (ProRated(anchor="e", by="unit"), ProRated(anchor="later", by="day")),
        (UnknownClause(anchor="e", raw="{}"), MoneyBack(anchor="later", window_days=30)),
    ],
)
def test_a_clause_that_can_still_decide_is_not_called_unreachable(earlier, later):
    assert "unreachable" not in [code for _, code, _ in codes(earlier, later)]


def test_what_no_clause_is_about_is_warned_of():
    assert codes(MoneyBack(anchor="c", window_days=30, selector=EBOOK)) == [("warning", "gap", "")]


def test_the_same_clause_twice_is_warned_of_once():
    assert codes(MoneyBack(anchor="a", window_days=30), MoneyBack(anchor="b", window_days=30, title="Again")) == [
        ("warning", "duplicate_clause", "b")
    ]


def test_a_refusal_without_reason_and_a_kind_that_is_not_installed_are_warned_of():
    assert ("warning", "reason_missing", "c") in codes(NonRefundable(anchor="c", reason=" "))
    assert ("warning", "unknown_kind", "c") in codes(UnknownClause(anchor="c", raw="{}"))


def test_a_finding_names_the_place_and_speaks_the_readers_language():
    (finding,) = lint(policy(FINAL, MoneyBack(anchor="later", window_days=30)))
    assert finding.index == 1
    assert finding.text() == "This clause can never apply: clause 1 always decides first. Move it up or change one of them."
    assert finding.text(lambda message: f"[{message}]").startswith("[This clause can never apply: clause 1")


selectors = st.builds(
    Selector,
    product_types=st.sampled_from([frozenset(), frozenset({"a"}), frozenset({"a", "b"})]),
    tags=st.sampled_from([frozenset(), frozenset({"x"}), frozenset({"x", "y"})]),
    price_from_minor=st.none() | st.integers(0, 3),
    price_to_minor=st.none() | st.integers(0, 3),
)
clause_values = {"selector": selectors}
clauses = st.one_of(
    st.builds(MoneyBack, anchor=st.just("c"), window_days=st.integers(1, 9), **clause_values),
    st.builds(UnusedOnly, anchor=st.just("c"), window_days=st.integers(1, 9), max_downloads=st.integers(0, 2), **clause_values),
    st.builds(
        ProRated, anchor=st.just("c"), by=st.sampled_from(["day", "unit"]), window_days=st.none() | st.integers(1, 9), **clause_values
    ),
    st.builds(NonRefundable, anchor=st.just("c"), **clause_values),
)


@given(
    st.lists(clauses, min_size=2, max_size=4),
    lines(),
    st.sampled_from(["", "a", "b"]),
    st.sets(st.sampled_from(["x", "y"])),
    st.integers(1, 200),
    st.integers(0, 3),
)
def test_a_clause_called_unreachable_never_decides(some_clauses, facts, product_type, tags, paid, downloads):
    unreachable = {finding.index for finding in lint(policy(*some_clauses)) if finding.code == "unreachable"}
    values = {name: getattr(facts, name) for name in facts.as_json()} | {"refunded_minor": 0, "refunded_quantity": 0, "asked_quantity": 1}
    values |= {"product_type": product_type, "tags": frozenset(tags), "paid_minor": paid, "downloads": downloads}
    verdict = evaluate(policy(*some_clauses), line(**values))
    if verdict.reason != "conditions_missed":
        assert verdict.clause_index not in unreachable
