"""Editors can write every kind of clause, and what they wrote is what is frozen and read."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cms_pages.blocks import ClausesBlock
from refund_plugin.rules import FactRule, UnknownClause, clause_kinds, register_fact, unregister_fact
from tests.cms_pages.examples import document_at, guarantee
from tests.cms_pages.test_editing import form, post

pytestmark = pytest.mark.django_db


@pytest.fixture
def exams():
    register_fact("exams_taken", "Exams taken")
    yield
    unregister_fact("exams_taken")


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
