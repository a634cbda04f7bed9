"""The linter names what would make a policy useless or unfair before it is published."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.rules import (
    MAX_CLAUSES,
    DuplicatePurchase,
    FactRule,
    MoneyBack,
    NonRefundable,
    ProRated,
    Selector,
    StatutoryWithdrawal,
    UnknownClause,
    UnusedOnly,
    about_sales,
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
            StatutoryWithdrawal(anchor="law"),
            NonRefundable(anchor="sale", reason="Final.", selector=replace(EBOOK, tags=frozenset({"sale"}))),
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
    finding = lint(policy(FINAL, MoneyBack(anchor="later", window_days=30)))[-1]
    assert finding.index == 1
    assert finding.text() == "This clause can never apply: clause 1 always decides first. Move it up or change one of them."
    assert finding.text(lambda message: f"[{message}]").startswith("[This clause can never apply: clause 1")


# -- between clauses ------------------------------------------------------------------------------------------------


def test_two_windows_for_the_same_thing_and_the_same_money_contradict_each_other():
    found = lint(policy(MoneyBack(anchor="short", window_days=14), MoneyBack(anchor="long", window_days=30)))
    assert [(finding.code, finding.index) for finding in found] == [("window_contradiction", 1)]
    assert "Clause 1 gives the same within 14 days" in found[0].text()


@pytest.mark.parametrize(
    "later",
    [
        MoneyBack(anchor="later", window_days=30, percent=50),
        MoneyBack(anchor="later", window_days=30, outcome="review"),
        UnusedOnly(anchor="later", window_days=30),
    ],
)
def test_a_longer_window_that_gives_something_else_contradicts_nothing(later):
    assert "window_contradiction" not in [code for _, code, _ in codes(MoneyBack(anchor="e", window_days=14), later)]


SALE = Selector(tags=frozenset({"sale"}))
COURSES = Selector(product_types=frozenset({"course"}))


def test_what_falls_under_two_clauses_that_decide_otherwise_says_which_wins():
    found = lint(policy(NonRefundable(anchor="sale", reason="No.", selector=SALE), MoneyBack(anchor="c", window_days=30, selector=COURSES)))
    (overlap,) = [finding for finding in found if finding.code == "overlap"]
    assert (overlap.severity, overlap.anchor) == ("warning", "c")
    assert "falls under clause 1, which decides otherwise. There the earlier clause wins" in overlap.text()


def test_a_rule_above_its_exception_is_told_to_win():
    rule, exception = MoneyBack(anchor="rule", window_days=30), NonRefundable(anchor="exception", reason="No.", selector=SALE)
    assert ("warning", "overlap", "exception") in codes(rule, exception)
    assert "overlap" not in [code for _, code, _ in codes(exception, rule)]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (NonRefundable(anchor="e", reason="No.", selector=EBOOK), MoneyBack(anchor="c", window_days=30, selector=COURSES)),
        (
            NonRefundable(anchor="e", reason="No.", selector=replace(SALE, price_to_minor=100)),
            MoneyBack(anchor="c", window_days=30, selector=replace(COURSES, price_from_minor=101)),
        ),
        (
            NonRefundable(anchor="e", reason="No.", selector=SALE, requires=(FactRule("units_used", "at_least", 5),)),
            MoneyBack(anchor="c", window_days=30, selector=COURSES, requires=(FactRule("units_used", "at_most", 4),)),
        ),
        (
            DuplicatePurchase(anchor="e", within_days=3, window_days=30, selector=SALE),
            NonRefundable(anchor="c", reason="No.", selector=COURSES),
        ),
        (MoneyBack(anchor="e", window_days=14, selector=SALE), ProRated(anchor="c", selector=COURSES)),
    ],
    ids=["other types", "other prices", "facts that exclude each other", "a case of its own", "the same outcome"],
)
def test_clauses_that_never_decide_the_same_line_otherwise_do_not_overlap(earlier, later):
    assert "overlap" not in [code for _, code, _ in codes(earlier, later)]


def test_a_fact_that_the_kind_itself_forbids_can_never_be_needed():
    clause = UnusedOnly(anchor="c", window_days=30, max_downloads=1, requires=(FactRule("downloads", "at_least", 2),))
    assert ("error", "fact_contradiction", "c") in codes(clause)


def test_product_types_that_are_sold_and_that_no_clause_is_about_are_named():
    document = policy(MoneyBack(anchor="c", window_days=30, selector=EBOOK), DuplicatePurchase(anchor="d", within_days=1, window_days=9))
    sold = [line(product_type="ebook"), line(product_type="course"), line(product_type="course"), line(sku="X-1")]
    (finding,) = about_sales(document, sold)
    assert (finding.code, finding.text()) == ("gap_sold", "You sell these, and no clause is about them, so a person decides: X-1, course.")
    assert about_sales(document, sold[:1]) == []


# -- the law --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "clause",
    [
        NonRefundable(anchor="c", reason="No."),
        MoneyBack(anchor="c", window_days=13),
        UnusedOnly(anchor="c", window_days=7, selector=Selector(countries=frozenset({"DE", "US"}))),
    ],
)
def test_less_than_the_law_gives_eu_consumers_is_told_with_what_the_law_adds(clause):
    (finding,) = [each for each in lint(policy(clause)) if each.code == "statutory_conflict"]
    assert finding.severity == "warning"
    assert "within 14 days" in finding.text()
    assert "Clause 1 gives them less" in finding.text()


@pytest.mark.parametrize(
    "clauses",
    [
        (MoneyBack(anchor="c", window_days=14),),
        (NonRefundable(anchor="c", reason="No.", selector=Selector(countries=frozenset({"US", "JP"}))),),
        (StatutoryWithdrawal(anchor="law"), NonRefundable(anchor="c", reason="No.")),
        (
            StatutoryWithdrawal(anchor="law", selector=Selector(countries=frozenset({"DE", "FR"}))),
            NonRefundable(anchor="c", reason="No.", selector=Selector(countries=frozenset({"DE", "US"}))),
        ),
    ],
    ids=["enough", "elsewhere", "stated above", "stated above for that country"],
)
def test_what_gives_no_less_than_the_law_is_not_told(clauses):
    assert "statutory_conflict" not in [code for _, code, _ in codes(*clauses)]


@pytest.mark.parametrize(
    "right",
    [
        StatutoryWithdrawal(anchor="law", selector=Selector(countries=frozenset({"FR"}))),
        StatutoryWithdrawal(anchor="law", selector=EBOOK),
    ],
    ids=["another country", "other products"],
)
def test_a_right_stated_for_others_does_not_settle_it(right):
    assert ("warning", "statutory_conflict", "") in codes(right, NonRefundable(anchor="c", reason="No."))


def test_a_right_stated_below_the_refusal_does_not_settle_it():
    assert ("warning", "statutory_conflict", "") in codes(NonRefundable(anchor="c", reason="No."), StatutoryWithdrawal(anchor="law"))


# -- bounds ---------------------------------------------------------------------------------------------------------


def numbered(count):
    return [MoneyBack(anchor=f"c-{n}", window_days=30, selector=Selector(skus=frozenset({f"SKU-{n}"}))) for n in range(count)]


def test_a_policy_of_more_clauses_than_people_can_read_is_refused_at_once():
    assert codes(*numbered(MAX_CLAUSES + 1)) == [("error", "too_many_clauses", "")]


def test_the_largest_policy_is_read_whole():
    assert codes(*numbered(MAX_CLAUSES)) == [("warning", "gap", "")]


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
