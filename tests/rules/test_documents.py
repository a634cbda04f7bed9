"""A document survives being written and read, and says clearly what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import PolicyInvalid
from refund_plugin.rules import (
    ApprovingClause,
    Clause,
    Defective,
    DuplicatePurchase,
    FactRule,
    Goodwill,
    MoneyBack,
    NonRefundable,
    Outcome,
    PolicyDocument,
    ProRated,
    Selector,
    StatutoryWithdrawal,
    UnknownClause,
    UnusedOnly,
    clause_from_json,
    document_hash,
    dump_document,
    evaluate,
    load_document,
    register_clause,
    unregister_clause,
)
from tests.rules.building import line, policy

names = st.frozensets(st.text(max_size=8), max_size=3)
selectors = st.builds(
    Selector,
    product_types=names,
    skus=names,
    categories=names,
    tags=names,
    channels=names,
    countries=names,
    price_from_minor=st.none() | st.integers(),
    price_to_minor=st.none() | st.integers(),
    nature=st.sampled_from(["", "content", "service"]),
)
rules = st.lists(st.builds(FactRule, st.text(max_size=8), st.sampled_from(["at_most", "at_least"]), st.integers()), max_size=2).map(tuple)
common = {"anchor": st.text(max_size=8), "selector": selectors, "title": st.text(max_size=8), "requires": rules}
approving = common | {"outcome": st.sampled_from(["approve", "review"]), "percent": st.integers()}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
unknown = st.dictionaries(st.text(max_size=5), json_values, max_size=3).map(lambda data: clause_from_json(data | {"kind": "not_installed"}))
clauses = st.one_of(
    st.builds(MoneyBack, window_days=st.integers(), **approving),
    st.builds(UnusedOnly, window_days=st.integers(), max_downloads=st.integers(), max_share_viewed_percent=st.integers(), **approving),
    st.builds(
        ProRated,
        by=st.sampled_from(["day", "second", "unit", "month", "best"]),
        window_days=st.none() | st.integers(),
        fee_percent=st.integers(),
        **approving,
    ),
    st.builds(DuplicatePurchase, window_days=st.integers(), within_days=st.integers(), **approving),
    st.builds(Defective, window_days=st.integers(), evidence=st.text(max_size=8), **common),
    st.builds(Goodwill, window_days=st.none() | st.integers(), percent=st.integers(), **common),
    st.builds(StatutoryWithdrawal, window_days=st.integers(), **common),
    st.builds(NonRefundable, reason=st.text(max_size=8), **common),
    unknown,
)
documents = st.builds(
    PolicyDocument, st.lists(clauses, max_size=4).map(tuple), st.dictionaries(st.sampled_from(["EUR", "JPY"]), st.integers(), max_size=2)
)


@given(documents)
def test_a_document_survives_being_written_and_read_and_its_text_is_stable(document):
    text = dump_document(document)
    assert load_document(text) == document
    assert dump_document(load_document(text)) == text
    assert document_hash(text) == document_hash(dump_document(load_document(json.dumps(json.loads(text), indent=3))))


def test_the_text_is_canonical_and_its_hash_known():
    text = dump_document(policy(MoneyBack(anchor="m", window_days=30, title="30 Tage, für alles"), limit={"EUR": 5000}))
    assert text == (
        '{"auto_approve_limit":{"EUR":5000},"clauses":[{"anchor":"m","kind":"money_back","outcome":"approve","percent":100,'
        '"title":"30 Tage, für alles","window_days":30}],"engine":1,"format":1}'
    )
    assert document_hash(text) == "053e4f14df5c0876c23366e47ea0cbb161971dee0a78e745931d78c53f0246bb"


def test_a_clause_of_a_kind_that_is_not_installed_is_kept_byte_for_byte():
    clause = '{"anchor":"x","kind":"moon_phase","title":"Full moon","é":[1.5,{"b":null}]}'
    text = f'{{"auto_approve_limit":{{}},"clauses":[{clause}],"engine":1,"format":1}}'
    document = load_document(text)
    assert isinstance(document.clauses[0], UnknownClause)
    assert (document.clauses[0].anchor, document.clauses[0].title) == ("x", "Full moon")
    assert dump_document(document) == text


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPurchase(ApprovingClause):
    """A kind such as a plug-in brings."""

    kind: ClassVar[str] = "first_purchase"
    generous: bool = True


def test_a_plug_in_kind_is_read_decides_and_is_kept_when_the_plug_in_is_gone():
    register_clause(FirstPurchase)
    try:
        text = dump_document(policy(FirstPurchase(anchor="f", percent=50)))
        document = load_document(text)
        assert document == policy(FirstPurchase(anchor="f", percent=50))
        verdict = evaluate(document, line())
        assert (verdict.outcome, verdict.amount_minor, verdict.clause_kind) == (Outcome.APPROVE, 910, "first_purchase")
    finally:
        unregister_clause("first_purchase")
    orphan = load_document(text)
    assert dump_document(orphan) == text
    assert evaluate(orphan, line()).outcome is Outcome.REVIEW


def test_a_clause_is_found_by_its_anchor():
    document = policy(MoneyBack(anchor="m", window_days=30), NonRefundable(anchor="n"))
    found: Clause | None = document.clause("n")
    assert found == NonRefundable(anchor="n")
    assert document.clause("other") is None


def broken(**changes):
    clause = {"kind": "money_back", "anchor": "m", "window_days": 30} | changes
    return json.dumps({"format": 1, "engine": 1, "clauses": [clause]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not readable JSON"),
        ('{"format":1,"engine":1,"clauses":[],"x":"\\ud800"}', "not readable JSON"),
        ("[" * 100_000, "not readable JSON"),
        ("[]", "must be a JSON object"),
        ('{"format":2,"engine":1,"clauses":[]}', "format 2"),
        ('{"format":1,"engine":1,"clauses":{}}', "“clauses” must be a list"),
        ('{"format":1,"engine":1,"clauses":[],"extra":1}', "extra"),
        ('{"format":1,"engine":1,"clauses":[],"auto_approve_limit":{"EUR":1.5}}', "whole minor units"),
        ('{"format":1,"engine":1,"clauses":[],"auto_approve_limit":{"EURO":1}}', "whole minor units"),
        ('{"format":1,"engine":1,"clauses":[7]}', "clause 1"),
        (broken(window_days="30"), "clause 1 (money_back): “window_days” must be int"),
        (broken(window_days=True), "“window_days” must be int"),
        (broken(outcome="maybe"), "'approve', 'review'"),
        (broken(surprise=1), "unknown fields surprise"),
        (broken(selector=[]), "selector must be an object"),
        (broken(selector={"colour": []}), "colour"),
        (broken(selector={"skus": "A"}), "selector “skus” must be a list of texts"),
        (broken(selector={"nature": "both"}), "selector “nature”"),
        (broken(selector={"price_to_minor": 1.5}), "selector “price_to_minor”"),
        ('{"format":1,"engine":1,"clauses":[{"kind":"money_back","anchor":"m"}]}', "“window_days” is missing"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused_with_the_place(text, says):
    with pytest.raises(PolicyInvalid) as caught:
        load_document(text)
    assert says in str(caught.value)
