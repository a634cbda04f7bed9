"""Giving a case's customer a voucher or a gift card besides any refund, where the store issues such; and taking it back in time."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django import forms
from django.http import Http404
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.errors import InvalidInput
from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.refunds.checks import MAX_MESSAGE
from refund_plugin.refunds.incentives.limits import DEFAULT_DAYS, MAX_DAYS, MIN_DAYS, most_amount, most_percent
from refund_plugin.refunds.incentives.models import Incentive, IncentiveState
from refund_plugin.refunds.incentives.presenting import called
from refund_plugin.refunds.incentives.services import cancel_incentive, give_incentive, issue_now, offered_by
from refund_plugin.refunds.people import staff_actor
from refund_plugin.staff.cases import FormView
from refund_plugin.staff.forms import SeenForm
from refund_plugin.staff.offering import LABELS
from refund_plugin.staff.verbs import seen_stamp
from refund_plugin.stores.base import CreditKind

PERCENT = "percent"


class GiveForm(SeenForm):
    """What it is worth, how long it lasts, and why."""

    worth = forms.DecimalField(
        label=gettext_lazy("Worth"), min_value=0, max_digits=16, widget=forms.TextInput(attrs={"inputmode": "decimal"})
    )
    unit = forms.ChoiceField(label=gettext_lazy("In"))
    days = forms.IntegerField(
        label=gettext_lazy("Good for, in days"),
        min_value=MIN_DAYS,
        max_value=MAX_DAYS,
        initial=DEFAULT_DAYS,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=gettext_lazy("For your colleagues. The customer does not read it."),
    )
    message = forms.CharField(
        label=gettext_lazy("A few words to the customer"),
        required=False,
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
    )
    key = forms.CharField(widget=forms.HiddenInput, max_length=64)

    def __init__(self, *args: Any, kind: CreditKind, currency: str, formatter: Formatter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = currency
        most = {"amount": formatter.money(most_amount(currency)), "percent": formatter.percent(most_percent())}
        if kind == CreditKind.VOUCHER:
            self.fields["unit"].choices = [(currency, currency), (PERCENT, _("percent off one order"))]  # type: ignore[attr-defined]
            self.fields["worth"].help_text = _("Up to %(amount)s, or %(percent)s off one order.") % most
        else:
            del self.fields["unit"]
            self.fields["worth"].help_text = _("Up to %(amount)s.") % most

    def clean(self) -> dict[str, Any]:
        """Turn the number into an amount, or whole percent."""
        cleaned = super().clean() or {}
        worth = cleaned.get("worth")
        if worth is None:
            return cleaned
        if cleaned.get("unit") == PERCENT:
            if worth != int(worth):
                self.add_error("worth", _("Write a whole number."))
            cleaned["worth"] = int(worth)
            return cleaned
        try:
            cleaned["worth"] = Money.from_decimal(worth, self.currency)
        except InvalidInput as error:
            self.add_error("worth", str(error))
        return cleaned


class GiveView(FormView):
    """Give something besides."""

    action = Action.GIVE_INCENTIVE

    @cached_property
    def kind(self) -> CreditKind | None:
        """What the case's store issues."""
        return offered_by(self.case.store)

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the form for what the store issues."""
        if self.kind is None:
            raise Http404
        return GiveForm(
            data,
            kind=self.kind,
            currency=self.case.purchase.currency,
            formatter=self.formatter,
            initial={"seen": seen_stamp(self.case), "key": uuid4().hex},
            auto_id="give_%s",
        )

    def perform(self, form: Any) -> str:
        """Write it down, and ask the store at once."""
        told, now = form.cleaned_data, clock.now()
        given = give_incentive(
            request_id=self.case.pk,
            worth=told["worth"],
            days=told["days"],
            reason=told["reason"],
            message=told["message"],
            by=staff_actor(self.request.user, self.case.store),
            submission_key=told["key"],
            now=now,
        )
        name = called(given, self.formatter)
        if issue_now(incentive_id=given.pk, now=now).state == IncentiveState.ISSUED:
            return _("The store has issued %(name)s, and the customer is told the code.") % {"name": name}
        return _("The store has not confirmed %(name)s yet. It is asked again by itself; the customer is told once it is good.") % {
            "name": name
        }

    def get_page_subtitle(self) -> str:
        """Name what is done."""
        return str(LABELS[self.kind]) if self.kind else ""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say what will happen."""
        intro = _(
            "A thank-you or an apology. It is no refund: what is owed stays owed. The customer gets the code by mail at once; then it "
            "cannot be taken back here."
        )
        return super().get_context_data(
            heading=self.get_page_subtitle(), intro=intro, submit=_("Give it and tell the customer"), fits=True, **kwargs
        )


class TakeBackView(FormView):
    """Take back what the store has not confirmed yet."""

    action = Action.GIVE_INCENTIVE

    @cached_property
    def incentive(self) -> Incentive:
        """What was to be given, with the case."""
        for incentive in self.case.incentives.all():
            if incentive.pk == self.kwargs["incentive"]:
                return incentive
        raise Http404

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the form, which asks nothing."""
        return SeenForm(data, initial={"seen": seen_stamp(self.case)}, auto_id="take_back_%s")

    def perform(self, form: Any) -> str:
        """Take it back."""
        cancel_incentive(incentive_id=self.incentive.pk, by=staff_actor(self.request.user, self.case.store), now=clock.now())
        return _("It is taken back. The customer hears nothing of it.")

    def get_page_subtitle(self) -> str:
        """Name what is done."""
        return _("Take it back")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say what it is, and what the store said."""
        name = called(self.incentive, self.formatter)
        waiting = self.incentive.state == IncentiveState.WAITING
        intro = _("The store has not issued %(name)s yet, and the customer does not know of it.") % {"name": name}
        return super().get_context_data(
            heading=_("Take back %(name)s") % {"name": name},
            intro=" ".join(part for part in (intro, self.incentive.last_error) if part),
            submit=_("Take it back"),
            fits=waiting,
            **kwargs,
        )
