"""What a clause could not decide: requests that went to a person because its facts, or the clause itself, were not known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from refund_plugin.actor import ActorKind
from refund_plugin.policies.models import Policy
from refund_plugin.refunds.models import Decision, DecisionOutcome
from refund_plugin.rules import Reason

COUNTED_DAYS = 30
# Enough to see a pattern; a page is not the place to read more.
READ = 2_000
NAMED = 5

_NOT_KNOWN = frozenset({Reason.FACT_MISSING.value, Reason.UNKNOWN_CLAUSE.value})


@dataclass(slots=True, kw_only=True)
class Undecided:
    """What one clause left to people.

    Attributes:
        unknown: names of the facts that were not known; "understood" when the clause itself was not.
        lines, requests: how many.
        newest: some of the requests, as (id, reference), the newest first.
    """

    anchor: str
    unknown: set[str] = field(default_factory=set)
    lines: int = 0
    requests: int = 0
    newest: list[tuple[UUID, str]] = field(default_factory=list)


def undecided_by_clause(*, policy: Policy, now: datetime) -> Sequence[Undecided]:
    """Return what the policy's clauses left to people in the last `COUNTED_DAYS`, the clause with the most requests first.

    Only what the engine answered counts, each request once; asks the database once.

    Args:
        now: UTC.
    """
    decisions = (
        Decision.objects.filter(
            policy_version__policy=policy,
            outcome=DecisionOutcome.REVIEW,
            actor_kind=ActorKind.ENGINE,
            decided_at__gte=now - timedelta(days=COUNTED_DAYS),
        )
        .order_by("-id")
        .values_list("request_id", "request__reference", "verdicts")[:READ]
    )
    found: dict[str, Undecided] = {}
    counted: set[tuple[str, UUID]] = set()
    for request_id, reference, verdicts in decisions:
        for verdict in verdicts:
            anchor = verdict.get("clause_anchor", "")
            if verdict.get("reason") not in _NOT_KNOWN:
                continue
            clause = found.setdefault(anchor, Undecided(anchor=anchor))
            clause.lines += 1
            clause.unknown |= {each["name"] for each in verdict.get("conditions", ()) if not each["known"]}
            if (anchor, request_id) not in counted:
                counted.add((anchor, request_id))
                clause.requests += 1
                if len(clause.newest) < NAMED:
                    clause.newest.append((request_id, reference))
    return sorted(found.values(), key=lambda clause: (-clause.requests, clause.anchor))
