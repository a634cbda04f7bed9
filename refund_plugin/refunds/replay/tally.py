"""What a replay counts. Keys are `kind:what`, and for money `kind:currency:what` in minor units:

- `cases` read, and how many of them have a `changed` line;
- `lines:before>after`, lines by the answer given and the draft's; `lines:amount`, whose answer is the same and the amount another;
  `lines:unread`, whose facts could not be gathered;
- `kept` (without a kind), changed lines that can be looked at;
- money that goes without a person `before` and `after`, how much `more` and how much `less` lines get; and what waits for a
  person, `review_before` and `review_after`. Lines of which nobody can tell are in no sum.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from refund_plugin.refunds.replay.judging import Judged
from refund_plugin.refunds.replay.models import Answer, ReplayChange
from refund_plugin.rules import Outcome

MAX_KEPT = 10_000  # changed lines of one run that can be looked at; all are counted


@dataclass(slots=True)
class Page:
    """What one page of the past gives.

    Attributes:
        cursor: where the next page begins; None at the end of its kind.
        room: how many changed lines the run may still keep; the others are only counted.
        changes: lines whose answer is another one, or cannot be told, as far as there is room; not saved.
        denied: customers who get a no where it was none.
    """

    kind: str
    room: int
    cursor: int | None = None
    cases: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    changes: list[ReplayChange] = field(default_factory=list)
    denied: set[int] = field(default_factory=set)

    def add_case(self, changed: int) -> None:
        """Count a request or purchase with so many changed lines."""
        self.cases += 1
        self.counts[f"{self.kind}:cases"] += 1
        if changed:
            self.counts[f"{self.kind}:changed"] += 1

    def add_unread(self, lines: int) -> None:
        """Count lines of which not even today's answer can be told."""
        if lines:
            self.counts[f"{self.kind}:lines:unread"] += lines

    def add_line(self, before: Judged, after: Judged | None, *, currency: str, customer_id: int, **where: Any) -> bool:
        """Count a line, and keep it if the draft's answer is another one or cannot be told; tell whether it is another one.

        Args:
            after: None when it cannot be told.
            where: the other fields of `ReplayChange`.
        """
        counts, kind = self.counts, self.kind
        after_outcome = Answer.UNCLEAR.value if after is None else after.outcome
        counts[f"{kind}:lines:{before.outcome}>{after_outcome}"] += 1
        if after is not None:
            self._add_money(before, after, f"{kind}:{currency}")
            if before == after:
                return False
            if before.outcome == after.outcome:
                counts[f"{kind}:lines:amount"] += 1
        denied = after_outcome == Outcome.DECLINE and before.outcome != Outcome.DECLINE
        if denied:
            self.denied.add(customer_id)
        if len(self.changes) < self.room:
            self.changes.append(
                ReplayChange(
                    kind=kind,
                    before=before.outcome,
                    after=after_outcome,
                    before_minor=before.amount_minor,
                    after_minor=0 if after is None else after.amount_minor,
                    currency=currency,
                    denied=denied,
                    **where,
                )
            )
        return after is not None

    def _add_money(self, before: Judged, after: Judged, prefix: str) -> None:
        counts, was, will = self.counts, before.paid_minor, after.paid_minor
        if was:
            counts[f"{prefix}:before"] += was
        if will:
            counts[f"{prefix}:after"] += will
        if will > was:
            counts[f"{prefix}:more"] += will - was
        elif was > will:
            counts[f"{prefix}:less"] += was - will
        if before.outcome == Outcome.REVIEW and before.amount_minor:
            counts[f"{prefix}:review_before"] += before.amount_minor
        if after.outcome == Outcome.REVIEW and after.amount_minor:
            counts[f"{prefix}:review_after"] += after.amount_minor
