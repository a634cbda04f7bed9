"""Any clause can ask for any registered fact; what nobody knows sends the line to a person and is never held against anyone."""

from __future__ import annotations

import json

import pytest

from refund_plugin.errors import InvalidInput, PolicyInvalid
from refund_plugin.rules import (
    FactRule,
    LineFacts,
    MoneyBack,
    NonRefundable,
    Outcome,
    ProRated,
    Reason,
    UnusedOnly,
    describe_clause,
    dump_document,
    evaluate,
    explain_line,
    lint,
    load_document,
    read_sources,
    register_fact,
    registered_facts,
    unregister_fact,
)
from tests.rules.building import BERLIN, ENGLISH, at, line, policy

EXAMS = FactRule("exams_taken", "at_most", 1)
CERTIFIED = FactRule("certificate_issued", "at_least", 1)


@pytest.fixture(autouse=True)
def host_facts():
    register_fact("exams_taken", "Exams taken")
    register_fact("certificate_issued", "Certificate issued", "yes_no")
    register_fact("course_done", "Course done", "percent")
    yield
    for name in ("exams_taken", "certificate_issued", "course_done"):
        unregister_fact(name)


def back(*requires):
    return MoneyBack(anchor="back", window_days=30, requires=requires)


def explain(document, facts):
    return explain_line(evaluate(document, facts), document, facts, ENGLISH)


@pytest.mark.parametrize(("taken", "outcome"), [(0, Outcome.APPROVE), (1, Outcome.APPROVE), (2, Outcome.DECLINE)])
def test_a_guarantee_that_allows_one_exam_pays_until_the_second(taken, outcome):
    assert evaluate(policy(back(EXAMS)), line(extra={"exams_taken": taken})).outcome is outcome


@pytest.mark.parametrize("extra", [{}, {"exams_taken": None}])
def test_a_fact_that_nobody_knows_sends_the_line_to_a_person(extra):
    document, facts = policy(back(EXAMS)), line(extra=extra)
    verdict = evaluate(document, facts)
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.FACT_MISSING)
    assert "needs a fact that we do not have yet (Exams taken)" in explain(document, facts).sentence


def test_a_fact_of_a_plug_in_that_is_gone_sends_the_line_to_a_person():
    text = dump_document(policy(back(EXAMS)))
    unregister_fact("exams_taken")
    document = load_document(text)
    assert evaluate(document, line()).outcome is Outcome.REVIEW
    assert "exams_taken" in explain(document, line()).sentence


def test_a_no_says_what_was_needed_and_found():
    assert explain(policy(back(EXAMS)), line(extra={"exams_taken": 3})).sentence == (
        "The 30-day guarantee needs this: Exams taken: at most 1; we found 3."
    )
    assert explain(policy(back(FactRule("certificate_issued"))), line(extra={"certificate_issued": True})).sentence == (
        "The 30-day guarantee needs this: Certificate issued: no; we found yes."
    )


def test_the_facts_used_are_told_in_their_own_units():
    rules = (FactRule("course_done", "at_most", 20), CERTIFIED, FactRule("downloads", "at_least", 1))
    told = explain(policy(back(*rules)), line(downloads=2, extra={"course_done": 15, "certificate_issued": 1})).facts
    assert told[1:] == (("Course done", "15% (20% allowed)"), ("Certificate issued", "yes"), ("Downloads", "2 (at least 1 needed)"))


def test_what_a_clause_needs_is_in_its_description():
    said = describe_clause(back(EXAMS, CERTIFIED), ENGLISH)
    assert said.summary.endswith("This needs: Exams taken: at most 1; Certificate issued: yes.")
    assert said.bullet == "30 days to change your mind. (Exams taken: at most 1; Certificate issued: yes)"


def test_something_is_not_refundable_only_once_its_certificate_is_issued():
    document = policy(NonRefundable(anchor="final", reason="You passed.", requires=(CERTIFIED,)), MoneyBack(anchor="back", window_days=30))
    assert evaluate(document, line(extra={"certificate_issued": 1})).clause_anchor == "final"
    assert evaluate(document, line(extra={"certificate_issued": 0})).clause_anchor == "back"


def test_a_no_never_cites_a_clause_that_would_have_given_nothing():
    document = policy(NonRefundable(anchor="final", requires=(CERTIFIED,)), UnusedOnly(anchor="unused", window_days=2))
    verdict = evaluate(document, line(downloads=9, activations=9, extra={"certificate_issued": 0}))
    assert (verdict.reason, verdict.clause_anchor) == (Reason.CONDITIONS_MISSED, "unused")


def test_a_line_that_only_misses_a_refusal_is_not_mentioned_by_the_policy():
    verdict = evaluate(policy(NonRefundable(anchor="final", requires=(CERTIFIED,))), line(extra={"certificate_issued": 0}))
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.NO_CLAUSE)


def test_use_by_another_fact_does_not_make_an_unopened_product_used():
    document = policy(UnusedOnly(anchor="u", window_days=30, requires=(FactRule("quantity", "at_least", 1),)))
    assert explain(document, line()).sentence.startswith("You have not opened it,")


def test_a_fact_may_end_a_pro_rated_right_too():
    document = policy(ProRated(anchor="p", by="unit", requires=(EXAMS,)))
    units = {"units_granted": 4, "units_used": 1}
    assert evaluate(document, line(**units, extra={"exams_taken": 0})).amount_minor == 1365
    assert evaluate(document, line(**units, extra={"exams_taken": 2})).outcome is Outcome.DECLINE


def test_facts_that_are_needed_survive_being_written_and_a_clause_without_them_is_written_as_before():
    document = policy(back(EXAMS, CERTIFIED), back())
    text = dump_document(document)
    assert load_document(text) == document
    first, second = json.loads(text)["clauses"]
    assert first["requires"][0] == {"fact": "exams_taken", "compare": "at_most", "number": 1}
    assert "requires" not in second


@pytest.mark.parametrize(
    "requires",
    [7, [7], [{"fact": "x"}], [{"fact": 1, "compare": "at_most", "number": 1}], [{"fact": "x", "compare": "is", "number": 1}]],
)
def test_facts_that_cannot_be_read_are_refused_with_the_place(requires):
    clause = {"kind": "money_back", "anchor": "m", "window_days": 30, "requires": requires}
    with pytest.raises(PolicyInvalid, match=r"clause 1 \(money_back\).*requires"):
        load_document(json.dumps({"format": 1, "engine": 1, "clauses": [clause]}))


def test_stored_facts_keep_what_was_registered_and_are_written_as_before_without_any():
    facts = line(extra={"exams_taken": 2, "certificate_issued": True, "course_done": None})
    stored = json.loads(json.dumps(facts.as_json()))
    assert stored["extra"] == {"exams_taken": 2, "certificate_issued": 1, "course_done": None}
    assert LineFacts.from_json(stored) == facts
    assert LineFacts.from_json(stored).as_json() == stored
    assert "extra" not in line().as_json()


@pytest.mark.parametrize("extra", [{"exams_taken": "2"}, {"exams_taken": 1.5}, [1]])
def test_a_fact_that_is_no_whole_number_is_refused(extra):
    with pytest.raises(InvalidInput):
        line(extra=extra)


def test_a_source_that_fails_leaves_its_fact_unknown_and_the_others_known(caplog):
    def broken(subject):
        raise RuntimeError("the exam server is down")

    register_fact("exams_taken", "Exams taken", source=broken)
    register_fact("certificate_issued", "Certificate issued", "yes_no", lambda subject: subject == "line-7")
    register_fact("course_done", "Course done", "percent", lambda subject: "half")
    found = read_sources("line-7")
    assert found == {"exams_taken": None, "certificate_issued": 1, "course_done": None}
    assert "the exam server is down" in caplog.text
    verdict = evaluate(policy(back(EXAMS)), line(extra=found))
    assert verdict.outcome is Outcome.REVIEW


def test_a_fact_every_line_has_cannot_be_registered_again():
    with pytest.raises(InvalidInput):
        register_fact("downloads", "Mine")
    with pytest.raises(InvalidInput):
        register_fact("not a name", "Mine")
    assert registered_facts()["downloads"].label_id == "Downloads"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ((FactRule("gone", "at_most", 1),), ("warning", "fact_unknown")),
        ((FactRule("exams_taken", "at_most", -1),), ("error", "fact_range")),
        ((FactRule("course_done", "at_most", 101),), ("error", "fact_range")),
        ((EXAMS, FactRule("exams_taken", "at_least", 2)), ("error", "fact_contradiction")),
    ],
)
def test_the_linter_names_facts_that_make_no_sense(rules, found):
    findings = lint(policy(back(*rules)))
    assert [(finding.severity, finding.code) for finding in findings] == [found]
    assert findings[0].text()


def test_a_clause_behind_one_that_asks_for_less_can_never_apply_and_one_behind_more_can():
    def unreachable(first, second):
        clauses = (MoneyBack(anchor="a", window_days=30, requires=(first,)), MoneyBack(anchor="b", window_days=20, requires=(second,)))
        return [finding.code for finding in lint(policy(*clauses))] == ["unreachable"]

    assert unreachable(FactRule("exams_taken", "at_most", 2), FactRule("exams_taken", "at_most", 1))
    assert not unreachable(FactRule("exams_taken", "at_most", 1), FactRule("exams_taken", "at_most", 2))
    assert unreachable(FactRule("exams_taken", "at_least", 1), FactRule("exams_taken", "at_least", 2))
    assert not unreachable(FactRule("exams_taken", "at_least", 1), FactRule("exams_taken", "at_most", 2))


def test_a_fact_changes_nothing_about_when_the_right_to_ask_ends():
    verdict = evaluate(policy(back(EXAMS)), line(extra={"exams_taken": 0}))
    assert verdict.ask_until == at("2026-04-02T23:59:59", BERLIN)
