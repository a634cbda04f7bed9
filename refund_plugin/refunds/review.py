"""The verbs of a person who decides: approve, decline, ask for evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import Required, WrongState
from refund_plugin.events.services import DomainEvent, record
from refund_plugin.money import Money
from refund_plugin.refunds import events
from refund_plugin.refunds.authority import check_may
from refund_plugin.refunds.checks import check_amounts, check_open, check_reason, check_text, suggested_amounts
from refund_plugin.refunds.locks import lock_request
from refund_plugin.refunds.manual.services import do_claim, why_not_by_hand
from refund_plugin.refunds.models import Decision, DecisionOutcome, Refund, RefundOrigin, RefundRequest
from refund_plugin.refunds.quote import amount_step, sendable_payments
from refund_plugin.refunds.reserve import LineGrant
from refund_plugin.refunds.services import do_move, do_send
from refund_plugin.refunds.states import RequestState


def approve_request(
    *, request_id: UUID, by: Actor, reason: str, now: datetime, amounts: Mapping[int, int] | None = None, by_hand: bool = False
) -> RefundRequest:
    """Approve a request, fully or for less, and hold the money.

    Args:
        amounts: minor units by line id; the verdicts' own amounts when omitted. A line that is missing gets nothing.
        reason: recorded with the decision; required.
        by_hand: nothing is sent, because `by` gives it in another way, such as store credit.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: the request is not open; or it cannot be paid by hand, see `why_not_by_hand`.
        InvalidInput: an amount below zero, above what is left, or none at all; a missing reason.
        ExceedsBalance: more than is left on the purchase's payments.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        request = lock_request(request_id)
        check_may(request=request, by=by, action=Action.APPROVE)
        check_open(request, RequestState.APPROVED)
        engine = request.decisions.exclude(verdicts=[]).first()
        suggested = suggested_amounts(engine) if engine else {}
        asked = list(request.lines.select_related("line"))
        granted = {item.line_id: (suggested if amounts is None else amounts).get(item.line_id, 0) for item in asked}
        payments = sendable_payments(request.purchase)
        step = amount_step(payments=payments, currency=request.purchase.currency)
        check_amounts(asked=asked, granted=granted, amounts=amounts or {}, currency=request.purchase.currency, step=step)
        check_may(request=request, by=by, action=Action.APPROVE, amount=Money(sum(granted.values()), request.purchase.currency))
        decision = _do_record_decision(
            request, DecisionOutcome.APPROVED, by=by, reason=reason, granted=granted, override=granted != suggested, now=now
        )
        grants = [LineGrant(item.line, item.quantity, granted[item.line_id]) for item in asked]
        refunds = do_send(request, decision, grants, payments, step=step, origin=RefundOrigin.STAFF, now=now)
        if by_hand:
            _do_claim_all(request, refunds, by=by, now=now)
        do_move(request, RequestState.APPROVED, now=now)
        record(_decision_event(events.REQUEST_APPROVED, request, decision, by), now=now)
    return request


def _do_claim_all(request: RefundRequest, refunds: Sequence[Refund], *, by: Actor, now: datetime) -> None:
    check_may(request=request, by=by, action=Action.PAY_BY_HAND)
    for refund in refunds:
        if problem := why_not_by_hand(refund):
            raise WrongState(problem)
        do_claim(refund, by=by, now=now)


def decline_request(*, request_id: UUID, by: Actor, reason: str, now: datetime) -> RefundRequest:
    """Decline a request that is open.

    Args:
        reason: told to the customer; required.
    Raises:
        NotFound, NotAllowed, WrongState, Required: as in `approve_request`.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        request = lock_request(request_id)
        check_may(request=request, by=by, action=Action.DECLINE)
        check_open(request, RequestState.DECLINED)
        engine = request.decisions.exclude(verdicts=[]).first()
        override = bool(engine and any(suggested_amounts(engine).values()))
        decision = _do_record_decision(request, DecisionOutcome.DECLINED, by=by, reason=reason, granted={}, override=override, now=now)
        do_move(request, RequestState.DECLINED, now=now)
        record(_decision_event(events.REQUEST_DECLINED, request, decision, by), now=now)
    return request


def ask_for_evidence(*, request_id: UUID, by: Actor, question: str, now: datetime) -> RefundRequest:
    """Ask the customer for something that is needed to decide.

    Raises:
        NotFound, NotAllowed, WrongState: as in `approve_request`.
        Required, InvalidInput: no question, or one that cannot be stored.
    """
    check_text(question, field="question")
    if not question.strip():
        raise Required(_("Write what you need from the customer."), field="question")
    with transaction.atomic(durable=True):
        request = lock_request(request_id)
        check_may(request=request, by=by, action=Action.ASK_EVIDENCE)
        check_open(request, RequestState.NEEDS_EVIDENCE)
        decision = _do_record_decision(request, DecisionOutcome.EVIDENCE, by=by, reason=question, granted={}, override=False, now=now)
        request.evidence_question = question
        do_move(request, RequestState.NEEDS_EVIDENCE, now=now)
        record(_decision_event(events.EVIDENCE_ASKED, request, decision, by), now=now)
    return request


def _do_record_decision(
    request: RefundRequest, outcome: DecisionOutcome, *, by: Actor, reason: str, granted: Mapping[int, int], override: bool, now: datetime
) -> Decision:
    return Decision.objects.create(
        request=request,
        outcome=outcome,
        policy_version=request.policy_version,
        amounts={str(pk): amount for pk, amount in granted.items()},
        amount_minor=sum(granted.values()),
        currency=request.purchase.currency,
        reason=reason,
        is_override=override,
        actor_kind=by.kind,
        actor_id=by.id,
        actor_label=by.label,
        decided_at=now,
    )


def _decision_event(kind: str, request: RefundRequest, decision: Decision, by: Actor) -> DomainEvent:
    return events.request_event(kind, request, by, decision=decision.pk, amount_minor=decision.amount_minor, currency=decision.currency)
