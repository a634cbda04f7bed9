"""What changed between two policies, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refund_plugin.rules import (
    EVERYTHING,
    Clause,
    Defective,
    DuplicatePurchase,
    FactRule,
    Goodwill,
    MoneyBack,
    NonRefundable,
    ProRated,
    Selector,
    StatutoryWithdrawal,
    UnusedOnly,
    dump_document,
    load_document,
)
from refund_plugin.rules.difference import difference
from tests.rules.building import ENGLISH, policy

KINDS = (MoneyBack, UnusedOnly, NonRefundable, ProRated, DuplicatePurchase, Defective, Goodwill, StatutoryWithdrawal)
SETS = ("product_types", "skus", "categories", "tags", "channels", "countries")


def told(before: Any, after: Any, currency: str = "EUR") -> list[str]:
    """The sentences for customers, each after its clause's title."""
    return [f"{change.title}: {change.text}" for change in difference(before, after, ENGLISH, currency) if change.public]


def between(before: Clause, after: Clause) -> list[str]:
    return [change.text for change in difference(policy(before), policy(after), ENGLISH, "EUR")]


selectors = st.builds(
    Selector,
    **{name: st.frozensets(st.sampled_from("abc"), max_size=2) for name in SETS},
    price_from_minor=st.none() | st.integers(0, 500),
    price_to_minor=st.none() | st.integers(500, 900),
    nature=st.sampled_from(("", "content", "service")),
)
rules = st.builds(
    FactRule,
    fact=st.sampled_from(("downloads", "earlier_purchase", "nobody_knows")),
    compare=st.sampled_from(("at_most", "at_least")),
    number=st.integers(0, 3),
)


def values_for(name: str, expected: Any) -> st.SearchStrategy[Any]:
    if name == "selector":
        return selectors
    if name == "requires":
        return st.lists(rules, max_size=2).map(tuple)
    if name == "currency":
        return st.sampled_from(("", "EUR", "JPY", "KWD"))
    if name in ("percent", "fee_percent"):
        return st.integers(0, 100)
    if get_origin(expected) is not None and type(None) not in get_args(expected):
        return st.sampled_from(get_args(expected))
    if expected is int:
        return st.integers(0, 400)
    if expected is str:
        return st.text("xy %{}", max_size=4)
    return st.none() | st.integers(0, 400)


@st.composite
def clauses(draw: Any, anchor: str = "a", kind: type[Clause] | None = None) -> Clause:
    cls = kind or draw(st.sampled_from(KINDS))
    hints = get_type_hints(cls)
    drawn = {each.name: draw(values_for(each.name, hints[each.name])) for each in fields(cls) if each.name != "anchor"}
    return cls(anchor=anchor, **drawn)


@st.composite
def policies(draw: Any) -> Any:
    anchors = draw(st.lists(st.sampled_from("abcdef"), max_size=6))
    limits = draw(st.dictionaries(st.sampled_from(("EUR", "JPY")), st.integers(0, 900)))
    return policy(*(draw(clauses(anchor)) for anchor in anchors), limit=limits)


@given(policies())
def test_a_policy_compared_with_itself_has_no_change(document):
    assert difference(document, load_document(dump_document(document)), ENGLISH, "EUR") == ()


@given(policies(), policies())
def test_two_policies_that_differ_always_have_a_change_and_always_the_same(before, after):
    found = difference(before, after, ENGLISH)
    assert bool(found) == (dump_document(before) != dump_document(after))
    assert found == difference(before, after, ENGLISH)
    assert all(change.text.strip() for change in found)


def every_field() -> Iterator[Any]:
    for kind in KINDS:
        for each in fields(kind):
            if each.name != "anchor":
                yield pytest.param(kind, each.name, id=f"{kind.kind}-{each.name}")


@pytest.mark.parametrize(("kind", "name"), list(every_field()))
@settings(max_examples=25)
@given(data=st.data())
def test_one_changed_value_is_told_in_at_least_one_sentence(kind, name, data):
    before = data.draw(clauses(kind=kind))
    value = data.draw(values_for(name, get_type_hints(kind)[name]).filter(lambda found: found != getattr(before, name)))
    found = difference(policy(before), policy(replace(before, **{name: value})), ENGLISH)
    assert found
    assert {change.kind for change in found} == {"changed"}
    assert {change.anchor for change in found} == {"a"}


@given(st.permutations("abcdef"))
def test_the_moves_that_are_told_make_the_new_order_from_the_old(order):
    made = {anchor: MoneyBack(anchor=anchor, window_days=30, title=anchor) for anchor in "abcdef"}
    found = difference(policy(*made.values()), policy(*(made[anchor] for anchor in order)), ENGLISH)
    assert {change.kind for change in found} <= {"moved"}
    rebuilt = [anchor for anchor in "abcdef" if anchor not in {change.anchor for change in found}]
    for change in reversed(found):
        before = change.text.partition("“")[2].partition("”")[0]
        rebuilt.insert(rebuilt.index(before) if before else len(rebuilt), change.anchor)
    assert rebuilt == list(order)


# -- the sentences ----------------------------------------------------------------------------------------------------

BACK = MoneyBack(anchor="a", window_days=30)
RATED = ProRated(anchor="a", by="day")
FINAL = NonRefundable(anchor="a", reason="Sold at a discount.")


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        (BACK, replace(BACK, window_days=14), ["The window went from 30 to 14 days."]),
        (BACK, replace(BACK, window_days=1), ["The window went from 30 to 1 day."]),
        (RATED, replace(RATED, window_days=14), ["There is now a window of 14 days."]),
        (replace(RATED, window_days=14), RATED, ["The window of 14 days has no end any more."]),
        (BACK, replace(BACK, percent=50), ["The share of the price you get back went from 100% to 50%."]),
        (BACK, replace(BACK, outcome="review"), ["A person now looks at every request first."]),
        (RATED, replace(RATED, fee_minor=200, currency="EUR"), ["A fee of 2.00 EUR was added."]),
        (replace(RATED, fee_minor=200, currency="EUR"), RATED, ["The fee of 2.00 EUR was removed."]),
        (RATED, replace(RATED, fee_percent=5), ["A fee of 5% was added."]),
        (RATED, replace(RATED, minimum_minor=500, currency="JPY"), ["Less than 500 JPY is no longer paid out."]),
        (RATED, replace(RATED, by="month"), ["What is left is now counted by the month; before, by the day."]),
        (FINAL, replace(FINAL, reason="Final."), ["The reason now reads: Final. Before: Sold at a discount."]),
        (BACK, replace(BACK, title="Promise"), ["The title went from “30-day guarantee” to “Promise”."]),
        (
            BACK,
            FINAL,
            ["The rule now says: Sold at a discount. Before, it said: Ask within 30 days of buying, and you get everything back."],
        ),
        (
            BACK,
            replace(BACK, selector=Selector(product_types=frozenset({"ebook"}))),
            ["It is now for ebook. Before, it was for everything."],
        ),
        (
            replace(BACK, selector=Selector(skus=frozenset("AB"))),
            replace(BACK, selector=Selector(skus=frozenset("BC"))),
            ["It is now also for the products C.", "It is no longer for the products A."],
        ),
        (BACK, replace(BACK, requires=(FactRule("downloads"),)), ["It now also needs this: Downloads: at most 0."]),
        (
            replace(BACK, requires=(FactRule("downloads"),)),
            replace(BACK, requires=(FactRule("downloads", number=2),)),
            ["It now needs this: Downloads: at most 2. Before: Downloads: at most 0."],
        ),
    ],
)
def test_a_change_is_told_in_words(before, after, sentences):
    assert between(before, after) == sentences


def test_rules_that_come_and_go_are_told_with_what_they_say():
    before = policy(BACK, replace(FINAL, anchor="b"))
    after = policy(BACK, Goodwill(anchor="c", percent=50))
    assert told(before, after) == [
        "Goodwill: New rule: Tell us what happened: a person reads it and may give you up to 50% of the price back.",
        "Not refundable: Rule removed. It said: Sold at a discount.",
    ]


def test_a_rule_that_moved_up_is_told_once_with_its_new_place():
    rules = [replace(BACK, anchor=anchor, title=anchor.upper()) for anchor in "abc"]
    assert told(policy(*rules), policy(rules[2], rules[0], rules[1])) == ["C: It is now read before “A”."]


def test_the_amount_from_which_a_person_looks_is_told_to_staff_only():
    before, after = policy(BACK, limit={"EUR": 5000}), policy(BACK, limit={"EUR": 10000, "JPY": 900})
    assert told(before, after) == []
    assert [change.text for change in difference(before, after, ENGLISH)] == [
        "The amount above which a person confirms went from 50.00 EUR to 100.00 EUR.",
        "A person now confirms amounts above 900 JPY.",
    ]


def test_text_of_an_editor_is_no_format():
    tricky = replace(FINAL, reason="100 %(after)s {x} %")
    assert between(FINAL, tricky) == ["The reason now reads: 100 %(after)s {x} % Before: Sold at a discount."]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stars(Clause):
    """A kind of a plug-in, with fields that are named like ours and mean something else."""

    kind: ClassVar[str] = "stars"
    by: str = "votes"
    percent: str = "few"
    at_least: int = 3

    def summary(self, language: Any) -> str:
        return f"With {self.at_least} stars."


def test_a_plug_ins_values_are_told_in_its_own_words_or_by_their_names():
    assert between(Stars(anchor="a"), Stars(anchor="a", at_least=4, by="points", percent="many")) == [
        "“by” went from votes to points.",
        "“percent” went from few to many.",
        "The rule now says: With 4 stars. Before, it said: With 3 stars.",
    ]


def test_the_store_currency_writes_the_prices_a_selector_names():
    cheap = replace(BACK, selector=replace(EVERYTHING, price_to_minor=500))
    assert between(BACK, cheap) == ["It is now for prices up to 5.00 EUR. Before, it was for everything."]
    dearer = replace(BACK, selector=replace(EVERYTHING, price_to_minor=900))
    assert told(policy(cheap), policy(dearer), "") == ["30-day guarantee: The prices it is for have changed."]
