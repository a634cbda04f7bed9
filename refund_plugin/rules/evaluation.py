"""From a policy and the facts of a line to a verdict: one loop over clauses and conditions.

The first clause that concerns the line and whose conditions all hold decides. When a condition cannot be known and no
other is missed, a person decides. When all concerned clauses are missed, the answer is no and cites the one that missed
by least; one that is about another kind of case, or gives nothing anyway, concerns nobody who misses it. When none concerns
the line, a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from refund_plugin.errors import InvalidInput, QuantityTooHigh
from refund_plugin.rules.clauses import Clause
from refund_plugin.rules.documents import CompiledClause, PolicyDocument
from refund_plugin.rules.facts import LineFacts, Reading
from refund_plugin.rules.floor import ByLaw, Floor, Right
from refund_plugin.rules.floor_clauses import rights_of
from refund_plugin.rules.verdicts import ClauseTrace, ConditionResult, Held, LineVerdict, Outcome, Reason

ONE_DAY = timedelta(days=1)


def evaluate(document: PolicyDocument, facts: LineFacts, step: int = 1, floor: Floor | None = None) -> LineVerdict:
    """Judge one line; same document, facts, step and floor give the same verdict, byte for byte.

    Args:
        step: minor units that amounts must be multiples of for the gateway; amounts are rounded down to it, so never
            above what is due.
        floor: what the law gives the buyer (`floor_for`). Where it gives more than the policy, it decides, and the verdict says so
            in `by_law`; else the verdict is the same as without it.

    Raises:
        QuantityTooHigh: more units asked for than are left (and some are left).
        InvalidInput: a step below 1, or no unit asked for of a line that has some left.
    """
    verdict = _judge(document, facts, step)
    if floor is None or (verdict.full and verdict.outcome is Outcome.APPROVE) or verdict.reason in _NOTHING_LEFT:
        return verdict
    best = verdict
    for right, law in rights_of(floor, tuple(document.auto_approve_limit.items())):
        if right is Right.CONFORMITY and not facts.fault_reported:
            continue  # nobody said that it does not work
        given = _judge(law, facts, step)
        if given.clause_index is not None and _worth(given) > _worth(best):
            # what the policy said about each of its clauses stays on record
            best = replace(given, clause_index=None, considered=verdict.considered, by_law=ByLaw(floor, right))
    return best


_NOTHING_LEFT = (Reason.NOTHING_PAID, Reason.ALREADY_REFUNDED)


def _worth(verdict: LineVerdict) -> tuple[bool, int, bool]:
    """Order answers by what they are worth to the customer: any chance over none, then the amount, then certainty."""
    return verdict.outcome is not Outcome.DECLINE, verdict.amount_minor, verdict.outcome is Outcome.APPROVE


def _judge(document: PolicyDocument, facts: LineFacts, step: int) -> LineVerdict:
    """Judge one line by one document alone."""
    if step < 1:
        raise InvalidInput("The step must be at least 1 minor unit.", field="step")
    if facts.paid_minor <= 0:
        return _plain(facts, Outcome.DECLINE, Reason.NOTHING_PAID, step)
    if facts.refunded_quantity >= facts.quantity or facts.refunded_minor >= facts.paid_minor:
        return _plain(facts, Outcome.DECLINE, Reason.ALREADY_REFUNDED, step)
    if facts.asked_quantity > facts.quantity - facts.refunded_quantity:
        raise QuantityTooHigh(field="quantity")
    if facts.asked_quantity < 1:
        raise InvalidInput("Ask for at least one unit.", field="quantity")

    reading = Reading(facts)
    answers: list[ConditionResult | None] = [None] * len(document.conditions)
    considered: list[ClauseTrace] = []
    closest: ClauseTrace | None = None
    closest_by: tuple[int, int] = (0, 0)
    for index, compiled in enumerate(document.compiled):
        if compiled.selector is not None and not compiled.selector.matches(facts):
            considered.append(compiled.not_concerned)
            continue
        clause = compiled.clause
        for number in compiled.conditions:
            if answers[number] is None:
                answers[number] = document.conditions[number].check(reading)
        results = tuple([result for number in compiled.conditions if (result := answers[number]) is not None])
        held = _held(results)
        trace = ClauseTrace(index, clause.anchor, clause.kind, held, results)
        considered.append(trace)
        if held is Held.MISSED:
            by = _missed_by(results)
            if (closest is None or by < closest_by) and _is_citable(compiled, results):
                closest, closest_by = trace, by
        elif held is Held.UNKNOWN:
            return _cite(facts, Outcome.REVIEW, clause.unknown_reason, step, trace, considered)
        else:
            return _decide(document, clause, trace, considered, reading, step)
    if closest is None:
        return _plain(facts, Outcome.REVIEW, Reason.NO_CLAUSE, step, tuple(considered))
    return _cite(facts, Outcome.DECLINE, Reason.CONDITIONS_MISSED, step, closest, considered)


def _held(results: tuple[ConditionResult, ...]) -> Held:
    held = Held.HELD
    for result in results:
        if not result.known:
            held = Held.UNKNOWN
        elif not result.met:
            # one surely missed condition is enough, whatever the unknown ones are
            return Held.MISSED
    return held


def _is_citable(compiled: CompiledClause, results: tuple[ConditionResult, ...]) -> bool:
    """Tell whether a no may cite a clause that is missed: not one that gives nothing anyway, or is about another kind of case."""
    return compiled.clause.decides() is not Outcome.DECLINE and all(results[number].met for number in compiled.circumstances)


def _missed_by(results: tuple[ConditionResult, ...]) -> tuple[int, int]:
    """Return how far off a clause is: the number of missed conditions, then by how much relative to what they needed."""
    missed = [result for result in results if result.known and not result.met]
    return len(missed), sum(result.missed_by * 1_000 // (abs(result.needed) + 1) for result in missed)


@dataclass(frozen=True, slots=True)
class _Due:
    amount_minor: int
    full: bool


def _due(clause: Clause, reading: Reading, step: int, *, used_more: int = 0) -> _Due:
    """Work out the amount for the asked units.

    It is the cumulative due after them less the cumulative due before them, each rounded once: however a quantity is
    spread over requests, the parts add up to what one request would have given.
    """
    facts = reading.facts
    share = clause.share(reading, used_more=used_more)
    before, after = facts.refunded_quantity, facts.refunded_quantity + facts.asked_quantity

    def cumulative(units: int, numerator: int, denominator: int) -> int:
        denominator *= facts.quantity
        return (2 * facts.paid_minor * units * numerator + denominator) // (2 * denominator)  # half up

    def due_for(units: int) -> int:
        return clause.less(cumulative(units, share.numerator, share.denominator)) // step * step

    due = due_for(after) - due_for(before)
    whole = cumulative(after, 1, 1) // step * step - cumulative(before, 1, 1) // step * step
    left = (facts.paid_minor - facts.refunded_minor) // step * step
    amount = max(0, min(due, left))
    return _Due(amount, amount == whole)


def _decide(
    document: PolicyDocument, clause: Clause, trace: ClauseTrace, considered: list[ClauseTrace], reading: Reading, step: int
) -> LineVerdict:
    facts = reading.facts
    outcome, reason = clause.decides(), clause.held_reason
    if outcome is Outcome.DECLINE:
        return _cite(facts, outcome, reason, step, trace, considered)
    due = _due(clause, reading, step)
    if due.amount_minor == 0:
        return _cite(facts, Outcome.DECLINE, Reason.AMOUNT_ZERO, step, trace, considered)
    limit = document.auto_approve_limit.get(facts.currency)
    if outcome is Outcome.REVIEW:
        reason = Reason.CLAUSE_REVIEWS
    elif limit is not None and due.amount_minor > limit:
        outcome, reason = Outcome.REVIEW, Reason.ABOVE_LIMIT
    ask_until = _ask_until(clause, reading)
    next_amount = _due(clause, reading, step, used_more=1).amount_minor
    # on the last day there is no waiting: tomorrow this clause no longer holds
    shrinks = next_amount < due.amount_minor and (ask_until is None or facts.now + ONE_DAY <= ask_until)
    return _cite(
        facts,
        outcome,
        reason,
        step,
        trace,
        considered,
        due=due,
        ask_until=ask_until,
        next_amount_minor=next_amount if shrinks else None,
    )


def _ask_until(clause: Clause, reading: Reading) -> datetime | None:
    ends = [end for condition in clause.all_conditions() if (end := condition.until(reading)) is not None]
    return min(ends) if ends else None


def _plain(facts: LineFacts, outcome: Outcome, reason: Reason, step: int, considered: tuple[ClauseTrace, ...] = ()) -> LineVerdict:
    return LineVerdict(line_id=facts.line_id, outcome=outcome, reason=reason, currency=facts.currency, considered=considered, step=step)


def _cite(
    facts: LineFacts,
    outcome: Outcome,
    reason: Reason,
    step: int,
    trace: ClauseTrace,
    considered: list[ClauseTrace],
    *,
    due: _Due | None = None,
    ask_until: datetime | None = None,
    next_amount_minor: int | None = None,
) -> LineVerdict:
    return LineVerdict(
        line_id=facts.line_id,
        outcome=outcome,
        reason=reason,
        currency=facts.currency,
        amount_minor=due.amount_minor if due else 0,
        full=due.full if due else False,
        clause_anchor=trace.anchor,
        clause_kind=trace.kind,
        clause_index=trace.position,
        conditions=trace.conditions,
        considered=tuple(considered),
        ask_until=ask_until,
        next_amount_minor=next_amount_minor,
        step=step,
    )
