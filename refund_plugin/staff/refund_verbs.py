"""What a person can do with one refund of a case: pay it by hand, give the proof, give it back or up, take it back, say they looked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _
from wagtail.admin.widgets import AdminAutoHeightTextInput, AdminDateInput

from refund_plugin import clock
from refund_plugin.actor import Action, Actor
from refund_plugin.refunds.checks import MAX_MESSAGE
from refund_plugin.refunds.manual import services
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.retry import give_up_refund
from refund_plugin.refunds.states import OVER, RefundState
from refund_plugin.refunds.take_back import take_back_refund, why_not_taken_back
from refund_plugin.staff.forms import SeenForm

METHODS = [
    ("bank", _("Bank transfer")),
    ("store_credit", _("Store credit or voucher")),
    ("other", _("Another way")),
]


class ClaimForm(SeenForm):
    """Nothing to fill in: the page says what will happen."""


class ProofForm(SeenForm):
    """How it was paid."""

    method = forms.ChoiceField(label=_("How it was paid"), choices=METHODS, initial="bank", widget=forms.RadioSelect)
    reference = forms.CharField(
        label=_("Reference"),
        max_length=services.MAX_REFERENCE,
        help_text=_("What finds this payment again: the transfer's reference, the voucher's number."),
    )
    paid_on = forms.DateField(label=_("Day it was paid"), widget=AdminDateInput)
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("For your colleagues. No account numbers, please."),
    )


class ReleaseForm(SeenForm):
    """The machine pays as soon as this is sent, so somebody must be sure."""

    not_paid = forms.BooleanField(
        label=_("I have made sure that nobody has paid it by hand"),
        error_messages={"required": _("Make sure first: the payment provider is asked to pay it at once.")},
    )


class BouncedForm(SeenForm):
    """Why the payment came back."""

    reason = forms.CharField(
        label=_("What the bank says"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("Recorded with the refund, for your colleagues."),
    )


class GiveUpForm(SeenForm):
    """Why nothing is owed any more."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("Why is the money not owed any more? Recorded with the refund."),
    )


class TakeBackForm(SeenForm):
    """Why it is not to be sent."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("Why should it not be sent? Recorded with the refund, for your colleagues."),
    )


class LookForm(SeenForm):
    """What was found."""

    note = forms.CharField(
        label=_("What you found"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("Recorded for your colleagues."),
    )


@dataclass(frozen=True, slots=True)
class RefundVerb:
    """One verb.

    Attributes:
        fits: whether the refund's state allows it; the refund comes with its payment.
        do: calls the service with the validated form.
        instructs: the page shows how to pay by hand.
    """

    name: str
    action: Action
    label: Any
    submit: Any
    icon: str
    intro: Any
    done: Any
    form_class: type[SeenForm]
    fits: Callable[[Refund], bool]
    do: Callable[[Refund, Any, Actor, datetime], object]
    instructs: bool = False

    def form(self, refund: Refund, *, seen: str, data: Any = None) -> SeenForm:
        """Return the verb's form."""
        initial: dict[str, Any] = {"seen": seen}
        if self.form_class is ProofForm:
            initial["paid_on"] = clock.now().astimezone(ZoneInfo(refund.store.timezone)).date()
        return self.form_class(data=data, initial=initial, auto_id=f"{self.name}_%s")


def _claim(refund: Refund, form: ClaimForm, by: Actor, now: datetime) -> None:
    services.claim_by_hand(refund_id=refund.pk, by=by, now=now)


def _prove(refund: Refund, form: ProofForm, by: Actor, now: datetime) -> None:
    told = form.cleaned_data
    services.give_proof(
        refund_id=refund.pk,
        by=by,
        method=told["method"],
        reference=told["reference"],
        paid_on=told["paid_on"],
        note=told["note"],
        now=now,
    )


def _release(refund: Refund, form: ReleaseForm, by: Actor, now: datetime) -> None:
    services.release_claim(refund_id=refund.pk, by=by, now=now)


def _bounce(refund: Refund, form: BouncedForm, by: Actor, now: datetime) -> None:
    services.report_bounced(refund_id=refund.pk, by=by, reason=form.cleaned_data["reason"], now=now)


def _give_up(refund: Refund, form: GiveUpForm, by: Actor, now: datetime) -> None:
    give_up_refund(refund_id=refund.pk, by=by, reason=form.cleaned_data["reason"], now=now)


def _take_back(refund: Refund, form: TakeBackForm, by: Actor, now: datetime) -> None:
    take_back_refund(refund_id=refund.pk, by=by, reason=form.cleaned_data["reason"], now=now)


def _look(refund: Refund, form: LookForm, by: Actor, now: datetime) -> None:
    services.look_at_refund(refund_id=refund.pk, by=by, note=form.cleaned_data["note"], now=now)


REFUND_VERBS = (
    RefundVerb(
        name="claim",
        action=Action.PAY_BY_HAND,
        label=_("Pay by hand"),
        submit=_("I pay it by hand"),
        icon="user",
        intro=_("From now on the payment provider is not asked to pay it. Pay first, then come back and say how."),
        done=_("%(amount)s is yours to pay. The payment provider will not pay it."),
        form_class=ClaimForm,
        fits=lambda refund: not services.why_not_by_hand(refund),
        do=_claim,
        instructs=True,
    ),
    RefundVerb(
        name="proof",
        action=Action.PAY_BY_HAND,
        label=_("It is paid"),
        submit=_("Record the payment"),
        icon="check",
        intro=_("Say how it was paid, after it was. The refund is finished then, and the payment provider never pays it."),
        done=_("%(amount)s is recorded as paid."),
        form_class=ProofForm,
        fits=lambda refund: refund.state == RefundState.MANUAL_CLAIMED and not services.why_not_proven(refund),
        do=_prove,
    ),
    RefundVerb(
        name="release",
        action=Action.PAY_BY_HAND,
        label=_("Give it back to the machine"),
        submit=_("Give it back"),
        icon="undo",
        intro=_("The payment provider is asked to pay it at once. If somebody has paid it by hand, the customer is paid twice."),
        done=_("%(amount)s is sent through the payment provider."),
        form_class=ReleaseForm,
        fits=lambda refund: refund.state == RefundState.MANUAL_CLAIMED,
        do=_release,
    ),
    RefundVerb(
        name="bounced",
        action=Action.PAY_BY_HAND,
        label=_("It came back"),
        submit=_("Record that it came back"),
        icon="undo",
        intro=_("The customer is owed the money again. Then send it again or pay it by hand, with what they tell you."),
        done=_("%(amount)s came back and is owed again."),
        form_class=BouncedForm,
        fits=lambda refund: refund.state == RefundState.MANUAL_PAID,
        do=_bounce,
    ),
    RefundVerb(
        name="give_up",
        action=Action.APPROVE,
        label=_("Give it up"),
        submit=_("Nothing is owed any more"),
        icon="cross",
        intro=_("No money moves, and what was held for it is free again. Only when the customer was paid otherwise, or does not want it."),
        done=_("%(amount)s is not owed any more."),
        form_class=GiveUpForm,
        fits=lambda refund: refund.state in OVER and refund.owed,
        do=_give_up,
    ),
    RefundVerb(
        name="take_back",
        action=Action.APPROVE,
        label=_("Take it back"),
        submit=_("It is not to be sent"),
        icon="cross",
        intro=_("It was not sent yet, and never will be. What was held for it is free again, and the customer reads so."),
        done=_("%(amount)s is taken back and is not sent."),
        form_class=TakeBackForm,
        fits=lambda refund: not why_not_taken_back(refund),
        do=_take_back,
    ),
    RefundVerb(
        name="look",
        action=Action.APPROVE,
        label=_("I have looked"),
        submit=_("I have looked"),
        icon="view",
        intro=_("The warning goes away, and what was held back for it is sent. Look at the payment provider first."),
        done=_("The warning about %(amount)s is gone."),
        form_class=LookForm,
        fits=lambda refund: bool(refund.needs_person),
        do=_look,
    ),
)
