"""The steps of a request with their times, for customers and staff: never a claim that the rows do not prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from refund_plugin.actor import ActorKind
from refund_plugin.localize import formatter_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.arrival import arrival_text
from refund_plugin.refunds.incentives.models import IncentiveState
from refund_plugin.refunds.incentives.presenting import called, code_end, last_day
from refund_plugin.refunds.models import Decision, DecisionOutcome, Refund, RefundRequest, WaitsFor
from refund_plugin.refunds.outcomes import NOT_ENDED
from refund_plugin.refunds.states import GONE, OVER, RefundState, RequestState, Settlement

STOPPED_BY_DISPUTE = "dispute"  # the failure code of such a refund
TAKEN_BACK = "taken_back"  # the failure code of one that staff canceled before it was sent
DONE, NOW, NEXT, PROBLEM = "done", "now", "next", "problem"


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `state` is `done`, `now`, `next` or `problem`; `at` is UTC."""

    code: str
    title: str
    state: str
    at: datetime | None = None
    detail: str = ""
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What a customer, or the staff, sees of a request.

    Attributes:
        status_code: stable name of the status, for programs.
        final: nothing will change any more by itself.
    """

    status_code: str
    settlement: Settlement
    final: bool
    amount: Money
    next_step: str
    steps: Sequence[Step] = field(default_factory=tuple)


def settlement_of(refunds: Sequence[Refund]) -> Settlement:
    """Derive what has become of the money from its refunds; superseded ones do not count."""
    superseded = {refund.supersedes_id for refund in refunds}
    live = [refund for refund in refunds if refund.pk not in superseded and (refund.owed or refund.state not in OVER)]
    stopped = any(refund.state == RefundState.CANCELED and refund.failure_code == STOPPED_BY_DISPUTE for refund in refunds)
    ended = any(refund.state == RefundState.FAILED or refund.failure_code == TAKEN_BACK for refund in refunds)
    if not live and not stopped and ended:
        return Settlement.GIVEN_UP
    if not live:
        return Settlement.STOPPED if stopped else Settlement.NONE
    # what has gone has gone, also when a person must look at it for another reason
    if any(refund.state in OVER or (refund.needs_person and refund.state not in GONE) for refund in live):
        return Settlement.NEEDS_PERSON
    done = sum(refund.state in GONE for refund in live)
    if done == len(live):
        return Settlement.STOPPED if stopped else Settlement.COMPLETE
    return Settlement.PARTIAL if done else Settlement.IN_PROGRESS


def payment_name(payment: Payment, *, for_staff: bool = False) -> str:
    """Return how people call the means of payment: `Visa •••• 4242`."""
    if for_staff:
        names, other = {"card": _("the card"), "sepa_debit": _("the bank account")}, _("the way it was paid")
    else:
        names, other = {"card": _("your card"), "sepa_debit": _("your bank account")}, _("the way you paid")
    brand = payment.brand.title() or names.get(payment.method, other)
    return f"{brand} •••• {payment.last4}" if payment.last4 else str(brand)


def unbroken(text: str) -> str:
    """Keep the digits of a card on the line of the dots that stand for the others."""
    return text.replace("•••• ", "••••\N{NO-BREAK SPACE}")


def timeline(request: RefundRequest, *, for_staff: bool = False) -> Timeline:
    """Return the steps of a request; reads its store, decisions, refunds (with payments) and incentives, prefetched or not.

    When the subscription ended is told if the refunds come from `queries.refunds_for_timeline`.

    Args:
        for_staff: add who decided and why, and speak about the customer instead of to them.
    """
    decisions = list(request.decisions.all())
    refunds = list(request.refunds.all())
    settlement = settlement_of(refunds)
    amount = _granted(request, decisions)
    steps = [Step("asked", _asked_title(decisions, for_staff), DONE, request.created_at)]
    for decision in decisions:
        steps.append(_decision_step(decision, for_staff))
    steps += _waiting_steps(request, for_staff)
    steps += _subscription_steps(refunds, for_staff)
    superseded = {refund.supersedes_id for refund in refunds}
    for refund in refunds:
        if refund.pk not in superseded or for_staff:
            steps += _money_steps(refund, for_staff)
    for given in _incentive_steps(request, for_staff):
        steps.insert(_place_of(given, steps), given)
    if request.state == RequestState.CANCELED:
        steps.append(Step("canceled", _("You took the request back") if not for_staff else _("Taken back"), DONE, request.changed_at))
    status = _status(request, settlement, refunds)
    return Timeline(
        status_code=status,
        settlement=settlement,
        final=status in ("declined", "canceled", "refunded"),
        amount=amount,
        next_step=str((STAFF_NEXT_STEPS if for_staff else NEXT_STEPS)[status]),
        steps=steps,
    )


def was_begun_by_shop(decisions: Sequence[Decision]) -> bool:
    """Tell whether nobody asked: the shop's own staff began the refund, and the policy was never read for it."""
    return bool(decisions) and decisions[0].actor_kind == ActorKind.STAFF


def _asked_title(decisions: Sequence[Decision], for_staff: bool) -> str:
    if was_begun_by_shop(decisions):
        return _("Begun in the shop’s back office") if for_staff else _("The shop began a refund for you")
    return _("Asked for a refund") if for_staff else _("You asked for a refund")


def _granted(request: RefundRequest, decisions: Sequence[Decision]) -> Money:
    approved = [decision for decision in decisions if decision.outcome == DecisionOutcome.APPROVED]
    return approved[-1].amount if approved else Money.zero(request.purchase.currency)


def _decision_step(decision: Decision, for_staff: bool) -> Step:
    by_policy = decision.actor_kind == "engine"
    titles = {
        DecisionOutcome.APPROVED: _("Approved, by the policy") if by_policy else _("Approved"),
        DecisionOutcome.DECLINED: _("Declined, by the policy") if by_policy else _("Declined"),
        DecisionOutcome.REVIEW: _("A person looks at it"),
        DecisionOutcome.EVIDENCE: _("We asked you a question") if not for_staff else _("Evidence asked for"),
    }
    detail = decision.reason if decision.reason and (for_staff or decision.outcome != DecisionOutcome.APPROVED) else ""
    if for_staff and decision.actor_label and not by_policy:
        detail = f"{decision.actor_label}: {detail}"
    amount = decision.amount if decision.outcome == DecisionOutcome.APPROVED else None
    return Step(decision.outcome, titles[DecisionOutcome(decision.outcome)], DONE, decision.decided_at, detail, amount)


def _waiting_steps(request: RefundRequest, for_staff: bool) -> list[Step]:
    if request.state == RequestState.IN_REVIEW:
        return [
            Step("deciding", _("We decide"), NOW, detail=_("usually within two working days")),
            Step("told", _("We write to you") if not for_staff else _("The customer is told"), NEXT),
        ]
    if request.state == RequestState.NEEDS_EVIDENCE:
        answer = _("Your answer") if not for_staff else _("The customer's answer")
        return [Step("your_answer", answer, NOW, detail=request.evidence_question), Step("deciding", _("We decide"), NEXT)]
    return []


def _money_steps(refund: Refund, for_staff: bool) -> list[Step]:
    name, amount = payment_name(refund.payment, for_staff=for_staff), refund.amount
    sent = Step("sent", _("Sent to %(name)s") % {"name": name}, DONE, refund.first_sent_at, amount=amount)
    finished = Step("finished", _("Finished"), NEXT)
    if refund.state == RefundState.SUCCEEDED:
        return [sent, Step("refunded", _("Refunded to %(name)s") % {"name": name}, DONE, refund.settled_at, arrival_text(refund), amount)]
    if refund.state == RefundState.PENDING:
        booking = _("Your bank books it") if not for_staff else _("The customer's bank books it")
        return [sent, Step("booking", booking, NOW, detail=arrival_text(refund), amount=amount), finished]
    if refund.state == RefundState.UNKNOWN:
        checking = _("The payment provider has not confirmed it yet. We ask again until it does; it is never sent twice.")
        return [Step("checking", _("We check that the money has left"), NOW, refund.first_sent_at, checking, amount), finished]
    if refund.state == RefundState.MANUAL_CLAIMED:
        title = _("A person pays it to you") if not for_staff else _("%(name)s pays it by hand") % {"name": refund.claimed_by_label}
        return [Step("paying_by_hand", title, NOW, refund.claimed_at, amount=amount), finished]
    if refund.state == RefundState.MANUAL_PAID:
        proof = refund.proof or {}
        reference, is_credit = str(proof.get("reference", "")), proof.get("method") == "store_credit"
        title = _("Given as store credit") if is_credit else _("Paid by a person")
        detail = _("reference: %(reference)s") % {"reference": reference}
        if is_credit:  # it is money: to look at a case is not to spend it, and the page opens to whoever knows number and address
            mailed = _("the code ends in %(end)s; it is in our mail to you")
            mailed = _("the code ends in %(end)s; it is in our mail to the customer") if for_staff else mailed
            detail = mailed % {"end": code_end(reference)}
        return [Step("paid_by_hand", title, DONE, refund.settled_at, detail, amount)]
    by_dispute = refund.state == RefundState.CANCELED and refund.failure_code == STOPPED_BY_DISPUTE
    if refund.state == RefundState.FAILED or (refund.state == RefundState.CANCELED and refund.owed and not by_dispute):
        detail = (
            _("The payment provider could not send it. A person is looking for another way; you need not do anything.")
            if not for_staff
            else _("The payment provider could not send it.")
        )
        return [Step("failed", _("The money did not go through"), PROBLEM, refund.settled_at, detail, amount)]
    if by_dispute:
        detail = _("The payment was disputed with the bank before the money was sent.")
        return [Step("stopped", _("The money was not sent"), PROBLEM, refund.settled_at, detail, amount)]
    if refund.state == RefundState.CANCELED and refund.failure_code == TAKEN_BACK:
        detail = refund.failure_message if for_staff else _("We took it back before it was sent. If you did not expect that, tell us.")
        return [Step("taken_back", _("The money was not sent"), PROBLEM, refund.settled_at, detail, amount)]
    if refund.state == RefundState.CANCELED:
        return []
    if reason := waiting_reason(refund, for_staff=for_staff):
        later = Step("sending", _("We send the money to %(name)s") % {"name": name}, NEXT, amount=amount)
        if refund.waits_for == WaitsFor.SUBSCRIPTION:
            return [Step("ending_subscription", _("The subscription is ended first"), NOW, detail=reason), later, finished]
        return [Step("waits_for_person", _("A person looks at it before it is sent"), NOW, detail=reason), later, finished]
    sending = Step("sending", _("We send the money to %(name)s") % {"name": name}, NOW, detail=_("this takes a few seconds"), amount=amount)
    return [sending, finished]


def waiting_reason(refund: Refund, *, for_staff: bool = False) -> str:
    """Say why a refund that is approved is not sent yet; empty when nothing holds it back, or when it was sent."""
    if refund.state != RefundState.RESERVED or not refund.waits_for:
        return ""
    if refund.waits_for == WaitsFor.SUBSCRIPTION:
        return _(
            "So that it cannot renew, the subscription ends before the money is sent. We wait for the payment provider to confirm that."
        )
    if for_staff:
        return refund.needs_person
    if refund.needs_person == NOT_ENDED:
        return _("The subscription has to end before the money is sent. A person sees to it; you need not do anything.")
    return _("Nothing was sent yet. A person checks the payment first; you need not do anything.")


def _subscription_steps(refunds: Sequence[Refund], for_staff: bool) -> list[Step]:
    """Tell when the subscription ended; not while another part still waits for the end of its own."""
    moments = [moment for refund in refunds if (moment := getattr(refund, "subscription_ended_at", None))]
    if not moments or any(refund.waits_for == WaitsFor.SUBSCRIPTION and refund.state == RefundState.RESERVED for refund in refunds):
        return []
    title = _("The customer's subscription has ended") if for_staff else _("Your subscription has ended")
    return [Step("subscription_ended", title, DONE, max(moments))]


def _incentive_steps(request: RefundRequest, for_staff: bool) -> list[Step]:
    """Tell what the customer was given besides; only staff hear of what is not issued."""
    formatter, steps = formatter_for(timezone=request.store.timezone), []
    for incentive in request.incentives.all():
        name = called(incentive, formatter)
        if incentive.state == IncentiveState.ISSUED:
            title = _("Given besides: %(name)s") if for_staff else _("We gave you %(name)s")
            by = f"{incentive.given_by_label}: {incentive.reason}" if incentive.given_by_label else incentive.reason
            detail = by if for_staff else _("good until %(day)s") % {"day": last_day(incentive, formatter)}
            steps.append(Step("incentive", title % {"name": name}, DONE, incentive.issued_at, detail))
        elif for_staff and incentive.state == IncentiveState.WAITING:
            title = _("The store is asked for %(name)s") % {"name": name}
            state = PROBLEM if incentive.last_error else NOW
            steps.append(Step("incentive_waiting", title, state, incentive.created_at, incentive.last_error))
        elif for_staff:
            title = _("Taken back before it was given: %(name)s") % {"name": name}
            steps.append(Step("incentive_canceled", title, DONE, incentive.created_at))
    return steps


def _place_of(step: Step, steps: Sequence[Step]) -> int:
    """Return where a step with a time stands among others: behind the last one that was not later."""
    return 1 + max((place for place, other in enumerate(steps) if other.at and step.at and other.at <= step.at), default=len(steps) - 1)


def _status(request: RefundRequest, settlement: Settlement, refunds: Sequence[Refund]) -> str:
    if request.state != RequestState.APPROVED:
        return str(request.state)
    unfinished = [refund for refund in refunds if refund.state not in OVER | GONE]
    if settlement == Settlement.IN_PROGRESS and all(refund.waits_for == WaitsFor.SUBSCRIPTION for refund in unfinished):
        return "waiting_subscription"
    return {
        Settlement.NONE: "approved",
        Settlement.IN_PROGRESS: "sending",
        Settlement.PARTIAL: "sending",
        Settlement.COMPLETE: "refunded",
        Settlement.NEEDS_PERSON: "needs_person",
        Settlement.STOPPED: "disputed",
        Settlement.GIVEN_UP: "given_up",
    }[settlement]


NEXT_STEPS = {
    RequestState.SUBMITTED: _lazy("We are looking at your request."),
    RequestState.IN_REVIEW: _lazy("A person looks at your request, usually within two working days. We write to you."),
    RequestState.NEEDS_EVIDENCE: _lazy("We need an answer from you before we can decide."),
    RequestState.DECLINED: _lazy("Nothing will be refunded. If the facts are wrong or it does not work, tell us."),
    RequestState.CANCELED: _lazy("You took the request back. You can ask again while the policy allows it."),
    "approved": _lazy("The money is about to be sent."),
    "waiting_subscription": _lazy("First the subscription is ended, so that it cannot renew; then the money is sent to you."),
    "sending": _lazy("The money is on its way. Nothing is left for you to do."),
    "refunded": _lazy("The money has left us. Your bank needs some working days to show it."),
    "needs_person": _lazy("Something with the money needs a person. We are on it; you need not do anything."),
    "disputed": _lazy("You disputed the payment with your bank, and your bank decides now. So that it is not paid twice, we send nothing."),
    "given_up": _lazy("This refund is closed: nothing more is sent. If that is not what you expect, tell us."),
}
STAFF_NEXT_STEPS = {
    RequestState.SUBMITTED: _lazy("The policy has not answered yet."),
    RequestState.IN_REVIEW: _lazy("Waits for a person to decide. The customer reads: usually within two working days."),
    RequestState.NEEDS_EVIDENCE: _lazy("Waits for the customer's answer."),
    RequestState.DECLINED: _lazy("Nothing will be refunded."),
    RequestState.CANCELED: _lazy("The request was taken back. Nothing will be refunded."),
    "approved": _lazy("The money is about to be sent."),
    "waiting_subscription": _lazy("Waits for the end of the subscription, which the payment provider confirms; then the money is sent."),
    "sending": _lazy("The money is on its way."),
    "refunded": _lazy("The money has left us. The customer's bank needs some working days to show it."),
    "needs_person": _lazy("Something with the money needs a person; the refund says what."),
    "disputed": _lazy("The payment is disputed, so nothing was sent: the customer's bank decides."),
    "given_up": _lazy("Nothing is owed any more: somebody gave the refund up and said why."),
}
