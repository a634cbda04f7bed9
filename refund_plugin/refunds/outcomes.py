"""Apply what a gateway said about refunds, whoever heard it: the worker's own call, a webhook, a listing, or a later question.

Monotonic: the transition table decides; a fact told twice, or late, or out of order, ends in the same state.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Actor, ActorKind
from refund_plugin.conf import settings
from refund_plugin.errors import ExceedsBalance, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import DomainEvent, record
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import hold_account
from refund_plugin.orders.models import Payment
from refund_plugin.refunds import absence, events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.balances import Balances, has_open_dispute
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Attempt, AttemptPurpose, Refund, RefundOrigin, WaitsFor
from refund_plugin.refunds.retry import do_supersede
from refund_plugin.refunds.states import ALERTS, DRIVEN, EXTERNAL_ROWS, FLAGS, HELD, OVER, REFUSED, RefundEvent, RefundState, next_state

logger = logging.getLogger(__name__)

GATEWAY = Actor(kind=ActorKind.GATEWAY, label="gateway")
FACTS = frozenset({AnswerKind.PENDING, AnswerKind.SUCCEEDED, AnswerKind.FAILED, AnswerKind.CANCELED})
UNSENT = (RefundState.RESERVED, RefundState.PROCESSING)
PENDING_POLL_SECONDS = (10, 60, 600, 3600)
CONTRADICTED_SECONDS = 3600.0  # until a person has looked, the gateway will hardly say anything else
OVER_PAID = "more is gone from this payment than was captured"
REVIVED = "a refund that had ended was paid after all, and this may be the same debt"
ELSEWHERE = "something was refunded at the gateway meanwhile, and this may be the same money"
STOPPING = (OVER_PAID, REVIVED, ELSEWHERE)  # reasons of `needs_person` for which nothing goes out until somebody has looked
NOT_ENDED = "the gateway does not end the subscription: end it there, then the refund goes out"
_EVENT_OF = {
    RefundState.UNKNOWN: events.REFUND_UNKNOWN,
    RefundState.PENDING: events.REFUND_PENDING,
    RefundState.SUCCEEDED: events.REFUND_SUCCEEDED,
    RefundState.FAILED: events.REFUND_FAILED,
    RefundState.CANCELED: events.REFUND_CANCELED,
    RefundState.MANUAL_CLAIMED: events.REFUND_MANUAL_CLAIMED,
    RefundState.MANUAL_PAID: events.REFUND_MANUAL_PAID,
}


@dataclass(frozen=True, slots=True)
class Call:
    """The call to the gateway that an answer belongs to.

    Attributes:
        fence: the claim it was made under.
        started_at: by the database's clock. What is known to have ended since then is not undone by the answer, which may be
            older than the end; and a listing tells of no later moment, however late it is recorded.
    """

    attempt_id: int
    fence: int
    purpose: str
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody heard about a refund.

    Attributes:
        answer: None when a complete listing does not have the refund.
        call: the worker's own call; None for a webhook or a reconciliation.
        told_at: when the gateway made this statement (UTC), if it says so; an older one than the end is no news.
        asked_at: when it was asked for, by the database's clock, if somebody asked: what was heard since then stands.
    """

    refund_id: UUID
    answer: GatewayAnswer | None
    call: Call | None = None
    told_at: datetime | None = None
    asked_at: datetime | None = None


def record_answer(
    *, refund_id: UUID, answer: GatewayAnswer, now: datetime, call: Call | None = None, told_at: datetime | None = None
) -> Refund | None:
    """Record one answer; see `record_answers`.

    Returns:
        The refund after the change; None when there is no such refund.
    """
    refunds = record_answers([Told(refund_id, answer, call, told_at)], now=now)
    return refunds[0] if refunds else None


def record_answers(told: Sequence[Told], *, now: datetime) -> list[Refund]:
    """Record answers and move their refunds as the transition table says, all in one transaction.

    A caller that lost its lease may still record a fact the gateway told it; its silence and refusals are dropped.

    Args:
        told: each refund at most once.
        now: UTC.
    """
    with transaction.atomic(durable=True):
        balances = Balances.lock(item.refund_id for item in told)
        recorder = _Recorder(balances, now)
        for item in told:
            recorder.take(item)
        recorder.write()
    return list(balances.refunds.values())


def do_apply(
    balances: Balances, refund: Refund, event: RefundEvent, *, actor: Actor, now: datetime, code: str = "", message: str = ""
) -> str | None:
    """Move a locked refund as the table says for `event`; the caller writes the balances in the same transaction.

    Returns:
        The new state; None when the event is ignored in this state.
    Raises:
        WrongState: the table refuses the event in this state.
    """
    before = refund.state
    if (before, event) in REFUSED:
        raise WrongState
    told: list[DomainEvent] = []
    after = next_state(before, event, maybe_executed_before=refund.maybe_executed)
    over_rose = False
    if after is not None:
        if event == RefundEvent.CANCEL:
            balances.release(refund)
        else:
            over_rose = balances.move(refund, after)
        if after in OVER:
            refund.failure_code, refund.failure_message = code[:80], message[:500]
        refund.settled_at = None if after in HELD else (refund.settled_at if after == before else now)
        if after != before and after in _EVENT_OF:
            told.append(events.refund_event(_EVENT_OF[RefundState(after)], refund, actor, code=code, was=before))
    if after == RefundState.RESERVED and refund.needs_person in STOPPING:
        refund.waits_for = WaitsFor.PERSON  # it was claimed when it was to be stopped
    if (before, event) in FLAGS:
        refund.needs_person = f"could not be stopped: {code or event.value}"[:200]
    alarming = (before, event) in ALERTS and after != before
    if alarming or over_rose or (before, event) in FLAGS:
        why = f"{before} -> {after}" if after is not None else f"{event.value} while {before}"
        told.append(events.refund_event(events.REFUND_ALERT, refund, actor, why=why, over=over_rose))
        raise_alert(
            kind="money_over" if over_rose else _alert_kind(before, event),
            key=f"refund:{refund.pk}:{before}:{event.value}",
            why=f"{refund.amount}: {why}" + (f" ({code})" if code else ""),
            store_id=refund.store_id,
            refund=refund,
            payment=refund.payment,
            now=now,
        )
    revived = before in OVER and after is not None and after not in OVER
    if over_rose or revived:  # a successor may be about to pay the same debt
        stop_unsent(balances, refund.payment, why=OVER_PAID if over_rose else REVIVED)
    balances.touch(refund)
    balances.told += told
    return after


def _alert_kind(before: str, event: RefundEvent) -> str:
    if event == RefundEvent.CANCEL:
        return "refund_not_stopped"
    return "refund_returned" if before == RefundState.SUCCEEDED else "refund_contradiction"


def stop_unsent(balances: Balances, payment: Payment, *, why: str) -> None:
    """The gateway told of money that we did not expect: what was not sent on this locked payment waits for a person.

    What a worker has claimed keeps the reason and is stopped before it is sent, or when it comes back unsent; what waits for the
    end of its subscription goes on to a person after that.

    Args:
        why: one of `STOPPING`, which staff read; they may let it go on (`manual.services.look_at_refund`).
    """
    others = Refund.objects.filter(payment=payment, state__in=UNSENT).exclude(pk__in=list(balances.refunds))
    found = list(for_update(others.order_by("pk")))
    for other in found:
        _stop(other, why)
        Refund.objects.filter(pk=other.pk).update(waits_for=other.waits_for, needs_person=other.needs_person)
    for other in balances.refunds.values():
        if other.payment_id == payment.pk and other.state in UNSENT:
            _stop(other, why)
            balances.touch(other)


def _stop(refund: Refund, why: str) -> None:
    if refund.state == RefundState.RESERVED:
        ends = refund.waits_for == WaitsFor.SUBSCRIPTION or refund.needs_person == NOT_ENDED
        refund.waits_for = WaitsFor.SUBSCRIPTION if ends else WaitsFor.PERSON
    refund.needs_person = why


class _Recorder:
    """Takes answers one by one and writes their consequences together."""

    def __init__(self, balances: Balances, now: datetime) -> None:
        self._balances = balances
        self._now = now
        self._database_now = clock.database_now()
        self._answers: dict[int, GatewayAnswer | None] = {}
        self._absent: list[Refund] = []

    def take(self, told: Told) -> None:
        """Apply one answer in memory."""
        refund = self._balances.refunds.get(told.refund_id)
        if refund is None:
            return
        call, answer = told.call, told.answer
        if call is not None:
            self._end_attempt(call, answer)
        holds_claim = call is not None and call.fence == refund.fence
        if answer is None:
            if holds_claim and call is not None:
                self._note_absent(refund, looked_at=call.started_at or self._database_now)
        elif answer.kind in FACTS:
            self._apply_fact(refund, answer, told)
        elif holds_claim and call is not None:
            self._apply_silence(refund, answer, call)
        if holds_claim:
            refund.lease_until = None
            refund.due_at = self._database_now + timedelta(seconds=_wait_seconds(refund, answer, self._database_now))
            self._balances.touch(refund)

    def write(self) -> None:
        """Write what was taken; the successors of refunds that were proven absent come last, when what they held is free."""
        self._write_attempts()
        self._balances.write(now=self._now)
        for refund in self._absent:
            _succeed_absent(refund, now=self._now)

    def _end_attempt(self, call: Call, answer: GatewayAnswer | None) -> None:
        self._answers[call.attempt_id] = answer

    def _write_attempts(self) -> None:
        attempts = Attempt.objects.in_bulk(self._answers)
        for pk, attempt in attempts.items():
            answer = self._answers[pk]
            attempt.ended_at, attempt.answer = self._database_now, "absent"
            if answer is not None:
                attempt.answer, attempt.code, attempt.message = answer.kind, answer.code[:80], answer.message[:500]
                attempt.raw = dict(answer.raw)
        if attempts:  # they are there: "insert or update" writes each row its own values without a CASE for every column
            fields = ["ended_at", "answer", "code", "message", "raw"]
            Attempt.objects.bulk_create(attempts.values(), update_conflicts=True, unique_fields=["pk"], update_fields=fields)

    def _apply_fact(self, refund: Refund, answer: GatewayAnswer, told: Told) -> None:
        if _is_old_news(refund, answer, told):
            logger.info("refund %s had ended when the gateway said that it is %s", refund.pk, answer.kind)
            return
        event = RefundEvent(answer.kind.value)
        if (refund.state, event) in EXTERNAL_ROWS:
            self._contradict(refund, f"the gateway paid it too ({answer.gateway_refund_id}), after a person had")
            return
        mismatch = _contradiction(refund, answer)
        if mismatch:
            self._contradict(refund, mismatch)
            return
        if refund.state == RefundState.UNKNOWN:
            refund.failure_code = refund.failure_message = ""  # an earlier "no" was not the last word
        refund.gateway_refund_id = answer.gateway_refund_id or refund.gateway_refund_id
        refund.trace_reference = answer.trace_reference or refund.trace_reference
        after = do_apply(self._balances, refund, event, actor=GATEWAY, now=self._now, code=answer.code, message=answer.message)
        if after is not None:
            refund.told_at, refund.heard_at = told.told_at, self._database_now

    def _apply_silence(self, refund: Refund, answer: GatewayAnswer, call: Call) -> None:
        if answer.hold:
            hold_account(refund.account, reason=answer.message or answer.code)
        is_lost = absence.is_lost(refund, answer)
        if is_lost:
            self._alert_lost(refund)
        sent = call.purpose in (AttemptPurpose.SEND, AttemptPurpose.REPLAY)
        if answer.kind == AnswerKind.MAYBE_EXECUTED and sent:
            refund.maybe_executed = True
            refund.stored_error = answer.idempotent_replayed
        event: RefundEvent | None = RefundEvent(answer.kind.value)
        if call.purpose in (AttemptPurpose.LIST, AttemptPurpose.RETRIEVE):
            event = RefundEvent.NOT_EXECUTED  # nobody could look, and looking sends nothing
        elif call.purpose == AttemptPurpose.BURN:
            event = self._event_of_burning(refund, answer)
        elif event == RefundEvent.DEFINITIVE_NO and is_lost:
            event = RefundEvent.MAYBE_EXECUTED
        elif event == RefundEvent.DEFINITIVE_NO and absence.wants_burning(refund, answer):
            refund.failure_code, refund.failure_message = (answer.code or event.value)[:80], answer.message[:500]
            event = RefundEvent.MAYBE_EXECUTED
        if event == RefundEvent.PROVEN_ABSENT:
            self._prove_absent(refund, message=answer.message)
        elif event == RefundEvent.DEFINITIVE_NO and call.purpose == AttemptPurpose.BURN:
            code, message = refund.failure_code, refund.failure_message  # of the "no" that the key was burnt for
            do_apply(self._balances, refund, event, actor=GATEWAY, now=self._now, code=code, message=message)
        elif event is not None:
            do_apply(self._balances, refund, event, actor=GATEWAY, now=self._now, code=answer.code, message=answer.message)

    def _alert_lost(self, refund: Refund) -> None:
        why = f"{refund.amount} may have been sent, and the gateway does not know the payment: is the account's key the right one?"
        raise_alert(
            kind="refund_contradiction",
            key=f"refund:{refund.pk}:{absence.MISSING}",
            why=why,
            store_id=refund.store_id,
            refund=refund,
            payment=refund.payment,
            now=self._now,
        )

    def _event_of_burning(self, refund: Refund, answer: GatewayAnswer) -> RefundEvent | None:
        if answer.code == absence.KEY_KNOWN:
            refund.key_known_at = self._database_now
        if refund.failure_code:  # the gateway said "no" already
            never = answer.code in absence.NEVER_BURNT
            # what is kept under such a key tells nothing: its listings are read before the "no" is believed
            refund.stored_error = never
            stands = answer.code == absence.KEY_BURNT or (never and absence.absent_twice(refund))
            return RefundEvent.DEFINITIVE_NO if stands else None
        return RefundEvent.PROVEN_ABSENT if answer.code == absence.KEY_BURNT else None

    def _prove_absent(self, refund: Refund, *, message: str = "") -> None:
        event = RefundEvent.PROVEN_ABSENT
        after = do_apply(self._balances, refund, event, actor=GATEWAY, now=self._now, code="absent", message=message)
        if after == RefundState.FAILED:
            self._absent.append(refund)

    def _note_absent(self, refund: Refund, *, looked_at: datetime) -> None:
        if refund.state == RefundState.PROCESSING and not refund.maybe_executed:
            refund.listed_at, refund.list_first = looked_at, False
            do_apply(self._balances, refund, RefundEvent.NOT_EXECUTED, actor=SYSTEM, now=self._now)
            return
        if refund.state == RefundState.PROCESSING:
            do_apply(self._balances, refund, RefundEvent.MAYBE_EXECUTED, actor=SYSTEM, now=self._now)
        if refund.state == RefundState.UNKNOWN:
            refund.absent_since = refund.absent_since or looked_at
            refund.absent_at = looked_at
            if absence.is_proven_by_stored_error(refund, self._database_now):
                self._prove_absent(refund)
        else:
            do_apply(self._balances, refund, RefundEvent.PROVEN_ABSENT, actor=SYSTEM, now=self._now)
        self._balances.touch(refund)

    def _contradict(self, refund: Refund, why: str) -> None:
        if refund.state == RefundState.PROCESSING:  # something was executed, though not what was asked for
            refund.maybe_executed = True
            do_apply(self._balances, refund, RefundEvent.MAYBE_EXECUTED, actor=GATEWAY, now=self._now, code="contradiction")
        if refund.needs_person != why[:200]:  # said again at every question, it would fill the case without an end
            refund.needs_person = why[:200]
            record(events.refund_event(events.REFUND_ALERT, refund, GATEWAY, why=why), now=self._now)
        self._balances.touch(refund)
        key = f"refund:{refund.pk}:{why[:60]}"
        raise_alert(kind="refund_contradiction", key=key, why=why, store_id=refund.store_id, refund=refund, now=self._now)


def _succeed_absent(refund: Refund, *, now: datetime) -> None:
    """The gateway surely did nothing and the key is dead, so the debt goes to a refund with a key of its own."""
    if refund.origin == RefundOrigin.EXTERNAL or refund.payment.over_minor or has_open_dispute(refund.payment):
        return  # a person decides; the failed refund asks for one
    if refund.payment.unallocated_minor:
        return  # what went past us may be the same money
    if refund.list_first:  # the records were restored, and the successor that paid it may be among what they do not know
        return
    if refund.supersedes is not None and refund.supersedes.failure_code == "absent":
        return  # the gateway refuses without listing anything: another try would end the same
    try:
        do_supersede(refund, origin=RefundOrigin(refund.origin), by=SYSTEM, reason="absent", now=now)
    except ExceedsBalance:
        logger.warning("refund %s is absent at the gateway, and its money was given away meanwhile", refund.pk)
        return
    doorbell.ring(events.DRIVE)


def _is_old_news(refund: Refund, answer: GatewayAnswer, told: Told) -> bool:
    """Tell a late delivery from a gateway that contradicts itself, which would count as "paid after all".

    Moments of one clock are compared: what the gateway said with what it said before; a call of ours with when we heard.
    """
    if refund.state not in OVER or answer.kind not in (AnswerKind.PENDING, AnswerKind.SUCCEEDED):
        return False
    if answer.gateway_refund_id != refund.gateway_refund_id:
        return False
    if told.asked_at is not None:
        return refund.heard_at is not None and told.asked_at <= refund.heard_at
    if told.told_at is not None:
        ended_at = refund.told_at or refund.heard_at
        return ended_at is not None and told.told_at <= ended_at
    began_at = told.call.started_at if told.call is not None else None
    return began_at is not None and refund.heard_at is not None and began_at <= refund.heard_at


def _contradiction(refund: Refund, answer: GatewayAnswer) -> str:
    if refund.gateway_refund_id and answer.gateway_refund_id and answer.gateway_refund_id != refund.gateway_refund_id:
        return f"the gateway names a second object, {answer.gateway_refund_id}"
    if answer.amount is not None and answer.amount != refund.amount:
        return f"the gateway says {answer.amount}, we asked for {refund.amount}"
    return ""


def _wait_seconds(refund: Refund, answer: GatewayAnswer | None, now: datetime) -> float:
    """Return how long to wait before a worker looks at the refund again."""
    if refund.state not in DRIVEN:
        return 0.0
    if answer is not None and answer.kind in FACTS and _contradiction(refund, answer):
        return CONTRADICTED_SECONDS
    if refund.state == RefundState.PENDING:
        return float(PENDING_POLL_SECONDS[min(max(refund.attempt_count, 1), len(PENDING_POLL_SECONDS)) - 1])
    if answer is None:
        return absence.wait_seconds(refund)
    if refund.failure_code and answer.kind == AnswerKind.DEFINITIVE_NO:
        return 0.0  # its key is burnt now
    if answer.code == absence.KEY_KNOWN:  # ask for what is kept under the key, or wait until the gateway has forgotten it
        return 0.0 if absence.is_key_known(refund, now) else absence.BETWEEN_LISTINGS.total_seconds()
    if answer.retry_after_seconds is not None:
        return min(answer.retry_after_seconds, settings().retry_max_seconds)
    return backoff_seconds(refund.attempt_count)


def backoff_seconds(attempts: int) -> float:
    """Return the pause after so many attempts: doubling, with jitter, up to `RETRY_MAX_SECONDS`."""
    conf = settings()
    return min(conf.retry_base_seconds * 2.0 ** min(max(attempts, 1) - 1, 20), conf.retry_max_seconds) * random.uniform(0.75, 1.25)
