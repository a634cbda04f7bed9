"""The verbs of a refund request: ask, cancel, approve, decline, ask for evidence, answer."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import ENGINE, Action, Actor, ActorKind
from refund_plugin.errors import InvalidInput, NotAllowed, RefundPluginError, Required, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.orders.models import Payment
from refund_plugin.policies.queries import load_version
from refund_plugin.refunds import events
from refund_plugin.refunds.authority import check_may, check_owns
from refund_plugin.refunds.balances import Balances
from refund_plugin.refunds.brake.models import BrakeReason
from refund_plugin.refunds.brake.services import brake_of, decides_alone, take
from refund_plugin.refunds.checks import (
    MAX_MESSAGE,
    check_size,
    check_submission,
    check_text,
)
from refund_plugin.refunds.facts import FAULTS
from refund_plugin.refunds.law import is_withdrawal, reimburse_by
from refund_plugin.refunds.locks import lock_purchase_for_request, lock_request
from refund_plugin.refunds.models import (
    Decision,
    DecisionOutcome,
    Refund,
    RefundOrigin,
    RefundRequest,
    RequestLine,
)
from refund_plugin.refunds.promise import check_kept, read_promise
from refund_plugin.refunds.quote import Quote, quote_purchase
from refund_plugin.refunds.reserve import LineGrant, do_reserve
from refund_plugin.refunds.states import REQUEST_TRANSITIONS, RefundState, RequestState
from refund_plugin.refunds.subscriptions.services import do_follow
from refund_plugin.rules import Outcome

# no vowels and no look-alikes: a reference spells no word and survives the telephone
ALPHABET = "23456789BCDFGHJKLMNPQRSTVWXZ"
# who acts in a customer's place by their own authority; a door that saw the customer's proof passes the customer instead
ON_BEHALF = frozenset({ActorKind.STAFF, ActorKind.SERVICE})


def request_refund(
    *,
    purchase_id: int,
    lines: Mapping[int, int],
    reason: str,
    by: Actor,
    submission_key: str,
    now: datetime,
    message: str = "",
    channel: str = "web",
    locale: str = "",
    wants_person: bool = False,
    withdrawal: bool = False,
    to_review: bool = False,
    promise: str = "",
) -> RefundRequest:
    """Ask for a refund: judged at once by the policy of the day of the purchase, and the money held when it approves.

    Lines that the policy declines are refused, or looked at by a person when `wants_person` is set. If any line needs a
    person, the whole request waits for one decision. So does what the store's brake holds back; the verdict stays.

    Args:
        lines: units asked for, by line id.
        reason: a value of `RequestReason`.
        submission_key: one per form; asking again with the same key returns the first request and changes nothing.
        withdrawal: the customer declares a statutory withdrawal, which has arrived now; what the policy declines then goes to a
            person, and the money is due within 14 days.
        to_review: leave the decision to a person, whatever the policy says.
        promise: what `make_promise` wrote for the quote that was shown; anything else changes nothing.
        now: UTC.
    Raises:
        NotAllowed: staff or a program that may not approve refunds asks in the customer's place.
        NotFound: unknown purchase, or not the actor's own.
        InvalidInput, QuantityTooHigh, AlreadyRefunded: see `quote_purchase`.
        QuoteChanged: less comes back than was promised.
        ExceedsBalance: another request was faster.
    """
    check_submission(reason=reason, message=message, submission_key=submission_key)
    if by.kind in ON_BEHALF and not by.may(Action.APPROVE):
        raise NotAllowed  # what the policy approves moves money at once
    try:
        with transaction.atomic(durable=True):
            purchase, version, read_at = lock_purchase_for_request(purchase_id)
            check_owns(purchase=purchase, by=by)
            if not withdrawal:  # the law knows no limit to what one may withdraw from
                check_size(lines=len(lines), clauses=len(load_version(version).clauses) if version else 0)
            promised = read_promise(promise, purchase=purchase)
            quote = quote_purchase(
                purchase=purchase,
                quantities=lines,
                version=version,
                fault_reported=reason in FAULTS,
                kept_from=promised.kept_from(now) if promised else None,
                now=now,
            )
            if promised:
                check_kept(promised, quote)
            outcome = DecisionOutcome.REVIEW if to_review else judge(quote, wants_person=wants_person or withdrawal)
            withdrawal = withdrawal or any(is_withdrawal(line.verdict) for line in quote.lines)
            held_back = _do_brake(quote, outcome, at=read_at, now=now)
            outcome = DecisionOutcome.REVIEW if held_back else outcome
            request = RefundRequest.objects.create(
                reference="R-" + "".join(secrets.choice(ALPHABET) for _n in range(8)),
                store=purchase.store,
                purchase=purchase,
                customer=purchase.customer,
                state=_STATE_OF[outcome],
                reason=reason,
                message=message,
                wants_person=wants_person,
                submission_key=submission_key,
                is_withdrawal=withdrawal,
                withdrawn_at=now if withdrawal else None,
                reimburse_by=reimburse_by(now) if withdrawal else None,
                policy_version=quote.version,
                channel=channel,
                locale=locale or purchase.customer.locale,
                tracking_nonce=secrets.token_hex(16),
                created_at=now,
                changed_at=now,
            )
            RequestLine.objects.bulk_create(RequestLine(request=request, line=line.line, quantity=line.quantity) for line in quote.lines)
            _do_decide_by_policy(request, quote, outcome, held_back=held_back, by=by, now=now)
    except (IntegrityError, RefundPluginError):
        first = RefundRequest.objects.filter(purchase_id=purchase_id, submission_key=submission_key).first()
        if first is None:
            raise
        check_owns(purchase=first.purchase, by=by)
        return first
    return request


def judge(quote: Quote, *, wants_person: bool) -> DecisionOutcome:
    """Return what becomes of a request for the lines of a quote."""
    outcomes = {line.verdict.outcome for line in quote.lines}
    if Outcome.REVIEW in outcomes or (wants_person and Outcome.DECLINE in outcomes):
        return DecisionOutcome.REVIEW
    if outcomes == {Outcome.DECLINE}:
        return DecisionOutcome.DECLINED
    if quote.certain.minor == 0 or quote.certain > quote.left_on_payments:
        return DecisionOutcome.REVIEW  # the policy approves, but the payments do not carry it
    return DecisionOutcome.APPROVED


_STATE_OF = {
    DecisionOutcome.APPROVED: RequestState.APPROVED,
    DecisionOutcome.DECLINED: RequestState.DECLINED,
    DecisionOutcome.REVIEW: RequestState.IN_REVIEW,
}
_EVENT_OF = {
    DecisionOutcome.APPROVED: events.REQUEST_APPROVED,
    DecisionOutcome.DECLINED: events.REQUEST_DECLINED,
    DecisionOutcome.REVIEW: events.REQUEST_IN_REVIEW,
}


def _do_brake(quote: Quote, outcome: DecisionOutcome, *, at: datetime, now: datetime) -> BrakeReason | None:
    """Return why a person must decide what the policy answered, if so; else count the money that it approves."""
    if outcome == DecisionOutcome.REVIEW:
        return None
    brake = brake_of(quote.purchase.store)
    if not decides_alone(brake):
        return BrakeReason(brake.mode)
    if outcome != DecisionOutcome.APPROVED:
        return None
    amounts: Counter[str] = Counter()
    for line in quote.lines:
        if line.verdict.outcome == Outcome.APPROVE:
            amounts[line.line.sku] += line.verdict.amount_minor
    return take(brake=brake, currency=quote.purchase.currency, amounts=amounts, at=at, now=now)


def _do_decide_by_policy(
    request: RefundRequest, quote: Quote, outcome: DecisionOutcome, *, held_back: BrakeReason | None, by: Actor, now: datetime
) -> None:
    granted = {
        line.line.pk: line.verdict.amount_minor if outcome == DecisionOutcome.APPROVED and line.verdict.outcome == Outcome.APPROVE else 0
        for line in quote.lines
    }
    decision = Decision.objects.create(
        request=request,
        outcome=outcome,
        policy_version=quote.version,
        facts=[line.facts.as_json() for line in quote.lines],
        verdicts=[line.verdict.as_json() for line in quote.lines],
        amounts={str(pk): amount for pk, amount in granted.items()},
        amount_minor=sum(granted.values()),
        currency=quote.purchase.currency,
        actor_kind=ENGINE.kind,
        actor_label=ENGINE.label,
        brake=held_back or "",
        decided_at=now,
    )
    if outcome == DecisionOutcome.APPROVED:
        grants = [LineGrant(line.line, line.quantity, granted[line.line.pk]) for line in quote.lines]
        do_send(request, decision, grants, quote.payments, step=quote.step, origin=RefundOrigin.ENGINE, now=now)
    told: dict[str, object] = {"decision": decision.pk, "amount_minor": decision.amount_minor, "currency": decision.currency}
    if held_back:
        told["brake"] = held_back.value
    record(
        events.request_event(events.REQUEST_SUBMITTED, request, by, outcome=outcome.value),
        events.request_event(_EVENT_OF[outcome], request, ENGINE, **told),
        now=now,
    )


def do_send(
    request: RefundRequest,
    decision: Decision,
    grants: Sequence[LineGrant],
    payments: Sequence[Payment],
    *,
    step: int,
    origin: RefundOrigin,
    now: datetime,
    refund_id: UUID | None = None,
) -> list[Refund]:
    """Hold what was granted and ring for a worker; the purchase is locked by the caller. `refund_id`: see `do_reserve`."""
    refunds = do_reserve(
        request=request, decision=decision, grants=grants, payments=payments, step=step, origin=origin, now=now, refund_id=refund_id
    )
    if any(payment.subscription_id or payment.invoice_id for payment in payments):
        do_follow(refunds, grants, decision, now=now)
    doorbell.ring(events.DRIVE)
    return refunds


def answer_evidence(*, request_id: UUID, by: Actor, message: str, now: datetime) -> RefundRequest:
    """Give the evidence that was asked for; the request goes back to review.

    Raises:
        NotFound: not the actor's own request.
        NotAllowed: staff or a program that may not ask for evidence answers in the customer's place.
        WrongState: nothing was asked.
        Required, InvalidInput: no message, or one that is overlong or cannot be stored.
    """
    check_text(message, field="message")
    if not message.strip():
        raise Required(_("Write your answer."), field="message")
    if len(message) > MAX_MESSAGE:
        raise InvalidInput(_("Please keep your message under %(max)d characters.") % {"max": MAX_MESSAGE}, field="message")
    with transaction.atomic(durable=True):
        request = lock_request(request_id)
        check_owns(purchase=request.purchase, by=by)
        if by.kind in ON_BEHALF:
            check_may(request=request, by=by, action=Action.ASK_EVIDENCE)
        if request.state != RequestState.NEEDS_EVIDENCE:
            raise WrongState
        request.message = f"{request.message}\n\n{message}".strip()
        request.evidence_question = ""
        do_move(request, RequestState.IN_REVIEW, now=now)
        record(events.request_event(events.EVIDENCE_GIVEN, request, by), now=now)
    return request


def cancel_request(*, request_id: UUID, by: Actor, now: datetime) -> RefundRequest:
    """Take a request back; possible until money has been sent.

    Raises:
        NotFound, NotAllowed: not the actor's own request, nor staff of its store.
        WrongState: it is decided already, or money is on its way.
    """
    with transaction.atomic(durable=True):
        request = lock_request(request_id)
        check_owns(purchase=request.purchase, by=by)
        if by.kind in ON_BEHALF:
            check_may(request=request, by=by, action=Action.DECLINE)
        if RequestState.CANCELED not in REQUEST_TRANSITIONS[request.state]:
            raise WrongState
        balances = Balances.lock(request.refunds.values_list("pk", flat=True))
        refunds = balances.refunds.values()
        if any(refund.state != RefundState.RESERVED or refund.attempt_count or refund.lease_until for refund in refunds):
            raise WrongState(_("The money is already on its way, so this can no longer be taken back."))
        for refund in refunds:
            balances.release(refund)
            refund.settled_at = now
        balances.write(now=now)
        do_move(request, RequestState.CANCELED, now=now)
        record(events.request_event(events.REQUEST_CANCELED, request, by), now=now)
    return request


def do_move(request: RefundRequest, state: RequestState, *, now: datetime) -> None:
    request.state = state
    request.changed_at = now
    request.save(update_fields=["state", "changed_at", "message", "evidence_question"])
