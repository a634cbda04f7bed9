"""Which event makes which mail, and what it says. Every amount, date and reason is computed, never typed in.

A request that the policy decides at once gets one mail, "received and decided", instead of two in the same second; one that
waits for a person gets "received" and later "decided". "Paid" follows when the gateway has confirmed that the money left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.urls import reverse
from django.utils.translation import gettext as _

from refund_plugin.actor import ActorKind
from refund_plugin.events.models import Event
from refund_plugin.localize import formatter_for
from refund_plugin.messaging.letters import Letter, LineNote
from refund_plugin.messaging.parts import decision_of, formatter_of, names_of, notes_of, refund_of, request_letter
from refund_plugin.orders.events import PURCHASE_LIST_ASKED
from refund_plugin.orders.models import Customer
from refund_plugin.policies.consent_models import Consent
from refund_plugin.policies.events import CONSENT_GIVEN
from refund_plugin.refunds import events
from refund_plugin.refunds.arrival import arrival_text
from refund_plugin.refunds.incentives.models import IncentiveState
from refund_plugin.refunds.incentives.presenting import called, how_to_use, last_day
from refund_plugin.refunds.law import WITHDRAWAL_CHANNEL, exact_time
from refund_plugin.refunds.models import Decision, DecisionOutcome, RefundRequest
from refund_plugin.refunds.timeline import payment_name, was_begun_by_shop
from refund_plugin.refunds.tracking import absolute_url, purchases_url


def compose(event: Event, *, customer: Customer, request: RefundRequest | None) -> Letter | None:
    """Write the mail that belongs to an event, in Django's active language; None when nobody is to be told."""
    return COMPOSERS[event.kind](event, customer, request)


def _submitted(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    if request is None:
        return None
    outcome = event.payload.get("outcome")
    decision = next(iter(request.decisions.all()), None)
    if request.channel == WITHDRAWAL_CHANNEL:
        return _withdrawal_receipt(request, decision)
    if decision is None or outcome == DecisionOutcome.REVIEW:
        return request_letter(
            "received",
            request,
            subject=_("We received your refund request %(reference)s"),
            heading=_("A person looks at your request"),
            paragraphs=(
                _("We received your refund request. This one needs a person to decide, usually within two working days."),
                _("We write to you as soon as it is decided. There is nothing you need to do."),
            ),
            lines=tuple(LineNote(name=name, value="") for name in names_of(request).values()),
        )
    if outcome == DecisionOutcome.DECLINED:
        return request_letter(
            "received_declined",
            request,
            subject=_("Our answer to your refund request %(reference)s"),
            heading=_("The policy does not refund this"),
            paragraphs=(
                _("We received your refund request and looked at it right away. Here is what we found, and why."),
                _("Are the facts not right, or does something not work? Ask again and choose that a person looks at it."),
            ),
            lines=notes_of(request, decision),
        )
    return _approved_letter(
        "received_approved", request, decision, _("We received your refund request, and the refund policy approves it right away.")
    )


def _withdrawal_receipt(request: RefundRequest, decision: Decision | None) -> Letter:
    """Acknowledge a withdrawal: what was declared, and when it arrived. Source: Directive 2011/83/EU art. 11a(4)."""
    approved = decision is not None and decision.outcome == DecisionOutcome.APPROVED
    amount = formatter_of(request).money(decision.amount) if approved and decision else ""
    if approved:
        next_step = _("You get %(amount)s back. The money goes back the way you paid, and we write again once it has left us.")
    else:
        next_step = _("The money that is owed to you goes back the way you paid. A person looks at it first, and we write to you.")
    return request_letter(
        "withdrawal_received",
        request,
        subject=_("Receipt of your withdrawal (%(reference)s)"),
        heading=_("We have received your withdrawal"),
        amount=amount,
        paragraphs=(
            _("This is the acknowledgement of receipt. Please keep it. You told us that you withdraw from the contract about:"),
            *(f"– {name}" for name in names_of(request).values()),
            next_step.replace("%(amount)s", amount),
        ),
    )


def _approved(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    decision = decision_of(event, request)
    if request is None or decision is None or event.actor_kind == ActorKind.ENGINE:
        return None  # the policy's own decision was told with "received"
    if was_begun_by_shop(list(request.decisions.all())):
        return _approved_letter("approved", request, decision, _("We give you a refund for your order."))
    return _approved_letter("approved", request, decision, _("We looked at your refund request and approved it."))


def _approved_letter(kind: str, request: RefundRequest, decision: Decision, opening: str) -> Letter:
    language = formatter_of(request)
    amount = language.money(decision.amount)
    refunds = [refund for refund in request.refunds.all() if refund.decision_id == decision.pk and refund.supersedes_id is None]
    to_where = tuple(
        (_("Goes to"), _("%(amount)s to %(payment)s") % {"amount": language.money(refund.amount), "payment": payment_name(refund.payment)})
        for refund in refunds
    )
    when = ((_("Arrives"), arrival_text(refunds[0])),) if refunds else ()
    return request_letter(
        kind,
        request,
        subject=_("Your refund of %(amount)s is approved (%(reference)s)"),
        heading=_("You get %(amount)s back"),
        amount=amount,
        paragraphs=(
            opening,
            _("The money goes back the way you paid. We write again once it has left us. There is nothing you need to do."),
        ),
        lines=notes_of(request, decision),
        rows=(*to_where, *when),
    )


def _declined(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    decision = decision_of(event, request)
    if request is None or decision is None or event.actor_kind == ActorKind.ENGINE:
        return None
    return request_letter(
        "declined",
        request,
        subject=_("Our answer to your refund request %(reference)s"),
        heading=_("We looked at your request and cannot refund it"),
        paragraphs=(_("A person read what you wrote and looked at the facts. This is their answer:"),),
        quote=decision.reason,
    )


def _evidence_asked(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    decision = decision_of(event, request)
    if request is None or decision is None:
        return None
    return request_letter(
        "evidence_asked",
        request,
        subject=_("A question about your refund request %(reference)s"),
        heading=_("We have a question"),
        paragraphs=(_("To decide about your refund we need something from you:"),),
        quote=decision.reason,
        link_text=_("Answer the question"),
    )


def _evidence_given(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    if request is None or event.actor_kind not in (ActorKind.CUSTOMER, ActorKind.SERVICE):
        return None
    return request_letter(
        "evidence_received",
        request,
        subject=_("Thank you for your answer (%(reference)s)"),
        heading=_("Thank you, we have your answer"),
        paragraphs=(_("A person looks at it, usually within two working days. We write to you as soon as it is decided."),),
    )


def _canceled(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    if request is None:
        return None
    return request_letter(
        "canceled",
        request,
        subject=_("Your refund request %(reference)s was taken back"),
        heading=_("The request was taken back"),
        paragraphs=(_("Nothing will be refunded for it. You can ask again while the refund policy allows it."),),
    )


def _paid(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    refund = refund_of(event, request)
    if request is None or refund is None:
        return None
    trace = ((_("Your bank's trace number"), refund.trace_reference),) if refund.trace_reference else ()
    return request_letter(
        "paid",
        request,
        subject=_("We sent you %(amount)s (%(reference)s)"),
        heading=_("%(amount)s is on its way to your account"),
        amount=formatter_of(request).money(refund.amount),
        paragraphs=(_("The money has left us and goes back the way you paid. There is nothing left for you to do."),),
        rows=((_("Goes to"), payment_name(refund.payment)), (_("Arrives"), arrival_text(refund)), *trace),
    )


def _paid_by_hand(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    refund = refund_of(event, request)
    if request is None or refund is None or refund.proof is None:
        return None
    is_credit = refund.proof.get("method") == "store_credit"
    said = (
        _("You have it as store credit now. There is nothing left for you to do.")
        if is_credit
        else _("A person paid it to you, not through the payment provider. There is nothing left for you to do.")
    )
    return request_letter(
        "paid",
        request,
        subject=_("We sent you %(amount)s (%(reference)s)"),
        heading=_("%(amount)s is yours as store credit") if is_credit else _("%(amount)s is on its way to your account"),
        amount=formatter_of(request).money(refund.amount),
        paragraphs=(said,),
        rows=((_("Reference"), str(refund.proof.get("reference", ""))),),
    )


def _failed(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    refund = refund_of(event, request)
    if request is None or refund is None:
        return None
    return request_letter(
        "failed",
        request,
        subject=_("Your refund of %(amount)s is delayed (%(reference)s)"),
        heading=_("Your %(amount)s did not go through yet"),
        amount=formatter_of(request).money(refund.amount),
        paragraphs=(
            _("The payment provider could not send the money back the way you paid. You are still owed it."),
            _("A person is looking for another way, and we write to you. There is nothing you need to do."),
        ),
        rows=((_("Was to go to"), payment_name(refund.payment)),),
    )


def _incentive(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    if request is None:
        return None
    given = next((each for each in request.incentives.all() if str(each.pk) == event.payload["incentive"]), None)
    if given is None or given.state != IncentiveState.ISSUED:
        return None
    language = formatter_of(request)
    return request_letter(
        "incentive",
        request,
        subject=_("For you from %(store)s: %(name)s"),
        heading=_("For you: %(name)s"),
        name=called(given, language),
        paragraphs=(
            _("Your code is %(code)s.") % {"code": given.code},
            how_to_use(given),
            _("It has nothing to do with any money that is owed to you: that stays as it is."),
        ),
        quote=given.message,
        rows=((_("Good until"), last_day(given, language)),),
    )


def _purchase_list(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    return Letter(
        kind="purchase_list",
        customer=customer,
        request=None,
        subject=_("Your purchases at %(store)s") % {"store": customer.store.name},
        heading=_("Here are your purchases"),
        paragraphs=(
            _("You asked for the list of what you bought with this address. From there you can ask for a refund."),
            _("The link works for two days. If you did not ask for it, you can ignore this mail: nobody else can open the list."),
        ),
        link_text=_("See my purchases"),
        link_url=purchases_url(customer),
    )


def _consent_confirmation(event: Event, customer: Customer, request: RefundRequest | None) -> Letter | None:
    """Hand over what the customer agreed to, on a durable medium. Source: Directive 2011/83/EU art. 8(7)."""
    consent = Consent.objects.filter(pk=event.payload["consent"]).select_related("line__purchase").first()
    if consent is None:
        return None
    number = consent.line.purchase.number if consent.line else consent.order_number
    about = ((_("About"), consent.line.name),) if consent.line else ()
    given = exact_time(consent.given_at, formatter_for(timezone=customer.store.timezone))
    return Letter(
        kind="consent_confirmation",
        customer=customer,
        request=None,
        subject=_("What you agreed to for order %(number)s") % {"number": number},
        heading=_("You asked us to begin at once"),
        paragraphs=(_("This confirms what you read and agreed to when you bought. Please keep it."),),
        quote=consent.wording,
        rows=((_("Order"), number), *about, (_("Agreed"), given)),
        link_text=_("Withdraw from contract here"),
        link_url=absolute_url(reverse("refund_plugin:withdraw_start"), store=customer.store),
    )


Composer = Callable[[Event, Customer, RefundRequest | None], Letter | None]
COMPOSERS: Mapping[str, Composer] = {
    events.REQUEST_SUBMITTED: _submitted,
    events.REQUEST_APPROVED: _approved,
    events.REQUEST_DECLINED: _declined,
    events.REQUEST_CANCELED: _canceled,
    events.EVIDENCE_ASKED: _evidence_asked,
    events.EVIDENCE_GIVEN: _evidence_given,
    events.REFUND_SUCCEEDED: _paid,
    events.REFUND_MANUAL_PAID: _paid_by_hand,
    events.REFUND_FAILED: _failed,
    events.INCENTIVE_ISSUED: _incentive,
    PURCHASE_LIST_ASKED: _purchase_list,
    CONSENT_GIVEN: _consent_confirmation,
}
