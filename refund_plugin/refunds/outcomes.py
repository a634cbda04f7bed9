"""Apply what a gateway said about a refund, whoever heard it: the worker's own call, a webhook, or a later question.

Monotonic: the transition table decides; a fact told twice, or late, or out of order, ends in the same state.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from refund_plugin import clock
from refund_plugin.actor import Actor, ActorKind
from refund_plugin.conf import settings
from refund_plugin.events.services import DomainEvent, record
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import hold_account
from refund_plugin.refunds import events
from refund_plugin.refunds.locks import lock_refund
from refund_plugin.refunds.models import Attempt, AttemptPurpose, Refund
from refund_plugin.refunds.release import move_balance
from refund_plugin.refunds.states import ALERTS, HELD, RefundEvent, RefundState, next_state

logger = logging.getLogger(__name__)

GATEWAY = Actor(kind=ActorKind.GATEWAY, label="gateway")
FACTS = frozenset({AnswerKind.PENDING, AnswerKind.SUCCEEDED, AnswerKind.FAILED, AnswerKind.CANCELED})
PENDING_POLL_SECONDS = (10, 60, 600, 3600)
_EVENT_OF = {
    RefundState.UNKNOWN: events.REFUND_UNKNOWN,
    RefundState.PENDING: events.REFUND_PENDING,
    RefundState.SUCCEEDED: events.REFUND_SUCCEEDED,
    RefundState.FAILED: events.REFUND_FAILED,
    RefundState.CANCELED: events.REFUND_CANCELED,
}


@dataclass(frozen=True, slots=True)
class Call:
    """The call to the gateway that an answer belongs to; `fence` is the claim it was made under."""

    attempt_id: int
    fence: int
    purpose: str


def record_answer(*, refund_id: UUID, answer: GatewayAnswer, now: datetime, call: Call | None = None) -> Refund | None:
    """Record an answer and move the refund as the transition table says.

    A caller that lost its lease may still record a fact the gateway told it; its silence and refusals are dropped.

    Args:
        call: the worker's own call; None for a webhook.
        now: UTC.
    Returns:
        The refund after the change; None when there is no such refund.
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund is None:
            return None
        database_now = clock.database_now()
        holds_claim = call is not None and call.fence == refund.fence
        if call is not None:
            _end_attempt(call, answer, database_now)
        if answer.kind in FACTS or holds_claim:
            _apply(refund, answer, call=call, now=now)
        if holds_claim:
            refund.lease_until = None
            refund.due_at = database_now + timedelta(seconds=wait_seconds(refund, answer))
            refund.save(update_fields=["lease_until", "due_at"])
    return refund


def _end_attempt(call: Call, answer: GatewayAnswer, now: datetime) -> None:
    Attempt.objects.filter(pk=call.attempt_id).update(
        ended_at=now, answer=answer.kind, code=answer.code[:80], message=answer.message[:500], raw=dict(answer.raw)
    )


def _apply(refund: Refund, answer: GatewayAnswer, *, call: Call | None, now: datetime) -> None:
    mismatch = _contradiction(refund, answer)
    if mismatch:
        _flag(refund, mismatch, now=now)
        return
    before = refund.state
    after = _target(refund, answer, call)
    if answer.kind == AnswerKind.MAYBE_EXECUTED and call is not None and call.purpose == AttemptPurpose.SEND:
        refund.maybe_executed = True
    if answer.hold:
        hold_account(refund.account, reason=answer.message or answer.code)
    if answer.kind in FACTS:
        refund.gateway_refund_id = answer.gateway_refund_id or refund.gateway_refund_id
        refund.trace_reference = answer.trace_reference or refund.trace_reference
    if after is None:
        refund.save(update_fields=["maybe_executed", "gateway_refund_id", "trace_reference"])
        return
    over_rose = move_balance(refund=refund, before=before, after=after)
    refund.state = after
    if after in (RefundState.FAILED, RefundState.CANCELED):
        refund.failure_code, refund.failure_message = answer.code[:80], answer.message[:500]
    refund.settled_at = None if after in HELD else (refund.settled_at if after == before else now)
    refund.save(
        update_fields=[
            "state",
            "maybe_executed",
            "gateway_refund_id",
            "trace_reference",
            "failure_code",
            "failure_message",
            "settled_at",
        ]
    )
    _tell(refund, before, after, answer, over_rose=over_rose, now=now)


def _target(refund: Refund, answer: GatewayAnswer, call: Call | None) -> str | None:
    # only an answer to this very key proves that the key did nothing; a failed listing proves nothing
    of_this_key = call is not None and call.purpose in (AttemptPurpose.SEND, AttemptPurpose.REPLAY)
    if answer.kind == AnswerKind.DEFINITIVE_NO and refund.state == RefundState.UNKNOWN and not of_this_key:
        return None
    return next_state(refund.state, RefundEvent(answer.kind.value), maybe_executed_before=refund.maybe_executed)


def _contradiction(refund: Refund, answer: GatewayAnswer) -> str:
    if answer.kind not in FACTS:
        return ""
    if refund.gateway_refund_id and answer.gateway_refund_id and answer.gateway_refund_id != refund.gateway_refund_id:
        return f"the gateway names a second object, {answer.gateway_refund_id}"
    if answer.amount is not None and answer.amount != refund.amount:
        return f"the gateway says {answer.amount}, we asked for {refund.amount}"
    return ""


def _flag(refund: Refund, why: str, *, now: datetime) -> None:
    logger.error("refund %s needs a person: %s", refund.pk, why)
    refund.needs_person = why[:200]
    refund.save(update_fields=["needs_person"])
    record(events.refund_event(events.REFUND_ALERT, refund, GATEWAY, why=why), now=now)


def _tell(refund: Refund, before: str, after: str, answer: GatewayAnswer, *, over_rose: bool, now: datetime) -> None:
    told: list[DomainEvent] = []
    if after != before and after in _EVENT_OF:
        told.append(events.refund_event(_EVENT_OF[RefundState(after)], refund, GATEWAY, code=answer.code))
    if (before, after) in ALERTS or over_rose:
        told.append(events.refund_event(events.REFUND_ALERT, refund, GATEWAY, why=f"{before} -> {after}", over=over_rose))
    if told:
        record(*told, now=now)


def wait_seconds(refund: Refund, answer: GatewayAnswer) -> float:
    """Return how long to wait before a worker looks at the refund again."""
    conf = settings()
    if refund.state == RefundState.PENDING:
        return float(PENDING_POLL_SECONDS[min(refund.attempt_count, len(PENDING_POLL_SECONDS)) - 1])
    if answer.retry_after_seconds is not None:
        return min(answer.retry_after_seconds, conf.retry_max_seconds)
    backoff = min(conf.retry_base_seconds * 2.0 ** min(refund.attempt_count - 1, 20), conf.retry_max_seconds)
    return backoff * random.uniform(0.75, 1.25)
