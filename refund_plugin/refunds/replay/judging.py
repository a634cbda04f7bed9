"""The engine asked once more: what a document says about facts that were stored, or are so today."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from refund_plugin.errors import InvalidInput
from refund_plugin.policies.floors import floor_of_line
from refund_plugin.rules import (
    Floor,
    Language,
    LineExplanation,
    LineFacts,
    LineVerdict,
    Outcome,
    PolicyDocument,
    Reason,
    evaluate,
    explain_line,
    floor_of,
)

logger = logging.getLogger(__name__)

# conditions that are named otherwise than the fact which they read and which may not have been stored
_BEHIND = {"days_between": "earlier_purchase_at", "right_stands": "consent_proven"}
# conditions worked out from facts that every decision stored, also where they said that nobody knows
_WORKED_OUT = frozenset({"window", "left", "left_day", "left_unit", "currency", "understood"})


class Judged(NamedTuple):
    """An answer as replays compare it: a value of `Outcome`, and minor units, which are 0 for a no."""

    outcome: str
    amount_minor: int

    @property
    def paid_minor(self) -> int:
        """What goes to the customer without a person."""
        return self.amount_minor if self.outcome == Outcome.APPROVE else 0


def was_judged(verdict: Mapping[str, Any]) -> Judged:
    """Return the answer that a decision stored."""
    outcome = verdict["outcome"]
    return Judged(outcome, 0 if outcome == Outcome.DECLINE else verdict["amount_minor"])


def judge(document: PolicyDocument, facts: LineFacts, step: int) -> Judged | None:
    """Return what a document answers beside the law of the buyer's country; None when it cannot be told, as a clause fails."""
    verdict = _evaluate(document, facts, step, floor_of_line(facts))
    return None if verdict is None else _answer(verdict)


def judge_again(
    document: PolicyDocument, stored: Mapping[str, Any], told: Mapping[str, Any], past: Callable[[], PolicyDocument]
) -> Judged | None:
    """Return what a document answers on the facts that a decision stored.

    The law counts as it counted then: as stored with the verdict where it decided, else as it is known now, unless the very policy
    that decided would now be overruled by it. Then it was no law for that decision.

    Args:
        told: the verdict that the decision stored.
        past: returns the policy that decided; asked for seldom.
    Returns:
        None when it cannot be told: the facts cannot be read any more, or the document asks for a fact that was not recorded
        then. A fact that was recorded as unknown sends the line to a person, as it would have.
    """
    step = told["step"]
    try:
        facts, law = LineFacts.from_json(stored), floor_of(told)
    except InvalidInput as error:
        logger.warning("facts that a decision stored cannot be replayed: %s", error)
        return None
    verdict = _evaluate(document, facts, step, law or floor_of_line(facts))
    if verdict is not None and verdict.by_law and law is None:
        then = _evaluate(past(), facts, step, verdict.by_law.floor)
        if then is None or then.by_law:
            verdict = _evaluate(document, facts, step, None)
    if verdict is None:
        return None
    answer = _answer(verdict)
    if verdict.reason is Reason.FACT_MISSING and answer != was_judged(told) and _lacks_records(verdict, stored):
        return None
    return answer


def explain_again(
    document: PolicyDocument, stored: Mapping[str, Any], step: int, answer: Judged, law: Floor | None, language: Language
) -> LineExplanation | None:
    """Say an answer in words; None when the code and the laws that are known now would give another one.

    Args:
        law: what the law was, if that was stored.
    """
    facts = LineFacts.from_json(stored)
    for floor in (law or floor_of_line(facts), None):
        verdict = _evaluate(document, facts, step, floor)
        if verdict is not None and _answer(verdict) == answer:
            return explain_line(verdict, document, facts, language)
    return None


def _evaluate(document: PolicyDocument, facts: LineFacts, step: int, floor: Floor | None) -> LineVerdict | None:
    try:
        return evaluate(document, facts, step, floor)
    except Exception as error:  # a plug-in's clause may raise anything; that line cannot be told, and the others go on
        logger.warning("a line cannot be judged by the draft: %s: %s", type(error).__name__, error)
        return None


def _answer(verdict: LineVerdict) -> Judged:
    return Judged(verdict.outcome.value, 0 if verdict.outcome is Outcome.DECLINE else verdict.amount_minor)


def _lacks_records(verdict: LineVerdict, stored: Mapping[str, Any]) -> bool:
    """Tell whether one of the unknown facts was never asked for then, so that nobody knows whether it could have been known."""
    return any(not result.known and not _was_recorded(result.name, stored) for result in verdict.conditions)


def _was_recorded(name: str, stored: Mapping[str, Any]) -> bool:
    behind = _BEHIND.get(name, name)
    return behind in _WORKED_OUT or behind in stored or behind in stored.get("extra", {})
