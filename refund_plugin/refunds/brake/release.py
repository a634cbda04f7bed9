"""Let a person approve at once what only the brake held back: after a busy day, or when a pause turned out to be needless."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import F, Prefetch

from refund_plugin.actor import Actor
from refund_plugin.errors import RefundPluginError
from refund_plugin.money import Money
from refund_plugin.refunds.brake.models import BrakeReason
from refund_plugin.refunds.checks import suggested_amounts
from refund_plugin.refunds.models import Decision, RefundRequest
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.states import RequestState

AT_ONCE = 50
# the policy approved these; what it observed or suggested may also be a decline
_APPROVED_BY_POLICY = (BrakeReason.HOUR, BrakeReason.DAY, BrakeReason.PAUSED, BrakeReason.OVER_LIMIT)


@dataclass(frozen=True, slots=True)
class Held:
    """A request that the policy approved and the brake held back."""

    request: RefundRequest
    amount: Money
    reason: BrakeReason


@dataclass(frozen=True, slots=True)
class Released:
    """What became of the requests: how many were approved, and each that was not with the reason."""

    approved: int
    refused: Sequence[tuple[RefundRequest, str]]


def approvable(store_id: int, *, among: Collection[UUID] | None = None) -> list[Held]:
    """Return what was held back, at most `AT_ONCE`: what the law wants back soonest first, then the oldest.

    Args:
        among: only these requests.
    """
    decisions = Decision.objects.filter(brake__in=_APPROVED_BY_POLICY)
    waiting = RefundRequest.objects.filter(store=store_id, state=RequestState.IN_REVIEW, decisions__in=decisions)
    if among is not None:
        waiting = waiting.filter(pk__in=among)
    waiting = waiting.select_related("customer", "purchase").prefetch_related(Prefetch("decisions", decisions, to_attr="held_decisions"))
    found = []
    for request in waiting.order_by(F("reimburse_by").asc(nulls_last=True), "created_at", "reference")[:AT_ONCE]:
        decision: Decision = request.held_decisions[0]
        amount = Money(sum(suggested_amounts(decision).values()), decision.currency)
        found.append(Held(request, amount, BrakeReason(decision.brake)))
    return found


def release_held(*, held: Sequence[Held], by: Actor, reason: str, now: datetime) -> Released:
    """Approve each request as a person would, with the amounts the policy gave; one that cannot be approved stops no other.

    What `approve_request` refuses is told in the answer.
    """
    approved, refused = 0, []
    for item in held:
        try:
            approve_request(request_id=item.request.pk, by=by, reason=reason, now=now)
            approved += 1
        except RefundPluginError as error:
            refused.append((item.request, str(error)))
    return Released(approved, refused)
