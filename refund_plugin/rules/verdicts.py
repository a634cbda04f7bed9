"""What the engine answers about a line, with everything it looked at on the way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from refund_plugin.rules.floor import ByLaw


class Outcome(StrEnum):
    """The three answers."""

    APPROVE = "approve"
    DECLINE = "decline"
    REVIEW = "review"


class Reason(StrEnum):
    """Why the answer is what it is; stable codes."""

    CLAUSE_HOLDS = "clause_holds"
    NON_REFUNDABLE = "non_refundable"
    CONDITIONS_MISSED = "conditions_missed"
    NO_CLAUSE = "no_clause"
    FACT_MISSING = "fact_missing"
    UNKNOWN_CLAUSE = "unknown_clause"
    CLAUSE_REVIEWS = "clause_reviews"
    ABOVE_LIMIT = "above_limit"
    ALREADY_REFUNDED = "already_refunded"
    NOTHING_PAID = "nothing_paid"
    AMOUNT_ZERO = "amount_zero"


class Held(StrEnum):
    """What became of one clause."""

    NOT_CONCERNED = "not_concerned"
    MISSED = "missed"
    UNKNOWN = "unknown"
    HELD = "held"


# Named tuples, because an evaluation makes hundreds of these two: they are built several times faster than frozen dataclasses.
class ConditionResult(NamedTuple):
    """What a condition read, what it needed, and by how much it missed (0 when met); in the condition's own unit."""

    name: str
    fact_value: int | None
    needed: int
    met: bool
    missed_by: int
    known: bool

    def as_json(self) -> dict[str, Any]:
        """Return plain data; written out, because `_asdict` takes three times as long and a verdict has dozens of these."""
        return {
            "name": self.name,
            "fact_value": self.fact_value,
            "needed": self.needed,
            "met": self.met,
            "missed_by": self.missed_by,
            "known": self.known,
        }


class ClauseTrace(NamedTuple):
    """One clause on the way to the verdict; `position` counts from 0."""

    position: int
    anchor: str
    kind: str
    held: Held
    conditions: tuple[ConditionResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineVerdict:
    """The engine's answer for one line.

    Attributes:
        amount_minor: to give back for the asked units, in minor units of `currency` and a multiple of `step`; 0 when
            declined; on review what a person would confirm, 0 when nobody can tell.
        full: the amount is all that was paid for the asked units.
        clause_anchor, clause_kind, clause_index: the clause that decided or, on a decline, that missed by least; "" and
            None when none is cited.
        conditions: of that clause.
        considered: every clause up to the deciding one, in order.
        ask_until: the last second, UTC, in which asking gets this answer; None when it does not end or for a decline.
        next_amount_minor: what it would be after one more unit or day of use; None when the amount does not shrink.
        by_law: that the law gave more than the policy and decided; then no clause of the policy is cited, `conditions` are the
            right's, and `considered` is what the policy said. None when the policy decided.
    """

    line_id: str
    outcome: Outcome
    reason: Reason
    currency: str
    amount_minor: int = 0
    full: bool = False
    clause_anchor: str = ""
    clause_kind: str = ""
    clause_index: int | None = None
    conditions: tuple[ConditionResult, ...] = ()
    considered: tuple[ClauseTrace, ...] = ()
    ask_until: datetime | None = None
    next_amount_minor: int | None = None
    step: int = 1
    by_law: ByLaw | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain data for JSON with a stable shape; `floor` is there only where the law decided."""
        law = {"floor": self.by_law.as_json()} if self.by_law else {}
        return {
            "line_id": self.line_id,
            "outcome": self.outcome.value,
            "reason": self.reason.value,
            "currency": self.currency,
            "amount_minor": self.amount_minor,
            "full": self.full,
            "clause_anchor": self.clause_anchor,
            "clause_kind": self.clause_kind,
            "clause_index": self.clause_index,
            "conditions": [result.as_json() for result in self.conditions],
            "considered": [
                {
                    "position": trace.position,
                    "anchor": trace.anchor,
                    "kind": trace.kind,
                    "held": trace.held.value,
                    "conditions": [result.as_json() for result in trace.conditions],
                }
                for trace in self.considered
            ],
            "ask_until": self.ask_until.isoformat() if self.ask_until else None,
            "next_amount_minor": self.next_amount_minor,
            "step": self.step,
            **law,
        }


def verdict_bytes(verdict: LineVerdict) -> bytes:
    """Return the verdict as canonical JSON in UTF-8: equal verdicts are equal byte for byte."""
    return json.dumps(verdict.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
