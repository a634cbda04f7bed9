"""Editors can write every kind of clause, and what they wrote is what is frozen and read."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cms_pages.blocks import ClausesBlock
from refund_plugin.rules import (
    Defective,
    DuplicatePurchase,
    FactRule,
    Goodwill,
    ProRated,
    StatutoryWithdrawal,
    UnknownClause,
    clause_kinds,
)
from tests.cms_pages.examples import EMPTY_SELECTOR, document_at, guarantee
from tests.cms_pages.test_editing import form, post

pytestmark = pytest.mark.django_db


def test_every_kind_has_a_block_with_all_its_values_in_its_form():
    blocks = ClausesBlock().child_blocks
    for kind, clause_class in clause_kinds().items():
        values = set(blocks[kind].child_blocks)
        assert values == {field.name for field in fields(clause_class)}, kind
        layout = blocks[kind].meta.form_layout
        assert {*layout.children, *layout.settings} == values, kind


def test_a_fact_of_a_plug_in_is_offered_and_frozen(client, editor, make_page, store, exams):
    page = make_page(guarantee())
    data = form(page, guarantee())
    data |= {
        "clauses-0-value-requires-count": "1",
        "clauses-0-value-requires-0-deleted": "",
        "clauses-0-value-requires-0-order": "0",
        "clauses-0-value-requires-0-type": "item",
        "clauses-0-value-requires-0-id": "",
        "clauses-0-value-requires-0-value-fact": "exams_taken",
        "clauses-0-value-requires-0-value-compare": "at_most",
        "clauses-0-value-requires-0-value-number": "2",
    }
    post(client, page, data)
    assert document_at(store).clauses[0].requires == (FactRule("exams_taken", "at_most", 2),)
    assert "Exams taken: at most 2" in client.get(page.url).content.decode()


def test_a_clause_written_before_there_were_facts_needs_none(make_page, store):
    make_page(guarantee())
    assert document_at(store).clauses[0].requires == ()


def test_a_fact_that_is_not_chosen_yet_sends_the_clause_to_a_person(make_page, store):
    make_page(guarantee(requires=[{"type": "item", "value": {"fact": "", "compare": "at_most", "number": 1}}]))
    assert isinstance(document_at(store).clauses[0], UnknownClause)


def written(kind, **values):
    return {"type": kind, "value": {"title": "", "selector": EMPTY_SELECTOR, "anchor": "it", **values}}


KINDS = [
    (
        written("duplicate_purchase", within_days=7, window_days=30, percent=90, outcome="review"),
        DuplicatePurchase(anchor="it", within_days=7, window_days=30, percent=90, outcome="review"),
        "If you buy the same thing again within 7 days",
    ),
    (
        written("defective", window_days=800, evidence="A picture of the <error>."),
        Defective(anchor="it", window_days=800, evidence="A picture of the <error>."),
        "Please send us: A picture of the &lt;error&gt;.",
    ),
    (written("goodwill", window_days=None, percent=50), Goodwill(anchor="it", percent=50), "may give you up to 50% of the price back"),
    (
        written("statutory_withdrawal", window_days=14),
        StatutoryWithdrawal(anchor="it"),
        "As a consumer you may withdraw within 14 days of buying",
    ),
    (
        written("pro_rated", by="month", window_days=None, fee_percent=0, percent=100, outcome="approve"),
        ProRated(anchor="it", by="month"),
        "the price of every month that has not begun",
    ),
    (
        written("pro_rated", by="day", window_days=None, fee_percent=0, fee_minor=500, currency="EUR", percent=100, outcome="approve"),
        ProRated(anchor="it", by="day", fee_minor=500, currency="EUR"),
        "A fee of €5.00 is kept.",
    ),
    (
        written("pro_rated", by="best", window_days=None, fee_percent=0, percent=100, outcome="approve"),
        ProRated(anchor="it", by="best"),
        "whichever is more",
    ),
]


@pytest.mark.parametrize(("block", "clause", "said"), KINDS, ids=lambda value: value["type"] if isinstance(value, dict) else "")
def test_a_clause_is_written_in_the_form_frozen_and_read_on_the_page(client, editor, make_page, store, block, clause, said):
    page = make_page(guarantee())
    post(client, page, form(page, block))
    assert document_at(store).clauses == (clause,)
    assert said in client.get(page.url).content.decode()


def test_a_clause_about_faults_that_asks_for_no_evidence_is_a_clause(make_page, store):
    make_page(written("defective", window_days=730, evidence=None))
    assert document_at(store).clauses == (Defective(anchor="it"),)


def test_a_withdrawal_shorter_than_the_law_cannot_be_published(client, editor, make_page, store):
    page = make_page(guarantee())
    response = post(client, page, form(page, written("statutory_withdrawal", window_days=7)))
    assert "The law gives consumers 14 days to withdraw" in response.content.decode()
    assert document_at(store).clauses[0].kind == "money_back"
