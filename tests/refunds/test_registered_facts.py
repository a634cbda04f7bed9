"""Facts that a host registers are read where a purchase is judged."""

import pytest

from refund_plugin.orders.queries import lines_with_usage
from refund_plugin.refunds.facts import gather_facts
from refund_plugin.rules import register_fact, unregister_fact
from tests.factories import NOW, make_purchase

pytestmark = pytest.mark.django_db


def _facts():
    purchase = make_purchase()
    (facts,) = gather_facts(purchase=purchase, lines=lines_with_usage(purchase), quantities={}, now=NOW).values()
    return facts


def test_a_registered_fact_is_asked_for_with_the_line_and_kept_with_the_decision():
    register_fact("exams_taken", "Exams taken", source=lambda line: line.quantity + 2)
    try:
        facts = _facts()
    finally:
        unregister_fact("exams_taken")
    assert facts.extra == {"exams_taken": 3}
    assert facts.as_json()["extra"] == {"exams_taken": 3}


def test_a_source_that_breaks_leaves_its_fact_unknown():
    register_fact("exams_taken", "Exams taken", source=lambda line: line.no_such_thing)
    try:
        facts = _facts()
    finally:
        unregister_fact("exams_taken")
    assert facts.extra == {"exams_taken": None}


def test_where_nothing_is_registered_facts_are_kept_as_ever():
    assert "extra" not in _facts().as_json()
