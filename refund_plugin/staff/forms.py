"""What staff fill in: amounts in major units, and a reason for every decision."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin.errors import InvalidInput
from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.refunds.checks import MAX_MESSAGE
from refund_plugin.refunds.models import RequestReason
from refund_plugin.refunds.presenting import CaseLine
from refund_plugin.refunds.quote import QuoteLine


class SeenForm(forms.Form):
    """Carries which state of the case the person saw, so that an answer to an older one is not taken."""

    seen = forms.CharField(widget=forms.HiddenInput, max_length=80)


class DeclineForm(SeenForm):
    """Decline, with the reason the customer reads."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 3}),
        help_text=_("The customer reads this. Say which fact decides, and what they can still do."),
    )


class EvidenceForm(SeenForm):
    """Ask the customer for what is missing."""

    question = forms.CharField(
        label=_("Question"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 3}),
        help_text=_("The customer reads this, and answers on their tracking page. Ask for one thing, and say why."),
    )


class RetryForm(SeenForm):
    """Send the money of a failed refund again."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=_("What has changed since it failed? Recorded with the new refund."),
    )


class ApproveForm(SeenForm):
    """Approve, line by line, in full or for less."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 3}),
        help_text=_("Recorded with your decision, for your colleagues."),
    )

    def __init__(self, *args: Any, lines: list[CaseLine], formatter: Formatter, limit: Money | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines, self.limit = lines, limit
        for line in lines:
            self.fields[amount_name(line.line_id)] = _amount_field(line, formatter)
        self.order_fields([*(amount_name(line.line_id) for line in lines), "reason"])

    def clean(self) -> dict[str, Any]:
        """Turn the entered amounts into minor units, each within what is left on its line."""
        cleaned = super().clean() or {}
        self.amounts: Mapping[int, int] = {}
        amounts: dict[int, int] = {}
        for line in self.lines:
            name = amount_name(line.line_id)
            if name in self.errors:
                continue
            try:
                amounts[line.line_id] = Money.from_decimal(cleaned.get(name) or Decimal(0), line.paid.currency).minor
            except InvalidInput as error:
                self.add_error(name, str(error))
        if not self.errors and not any(amounts.values()):
            self.add_error(None, forms.ValidationError(gettext("Enter at least one amount above zero, or decline the request.")))
        self.amounts = amounts
        return cleaned


class OnBehalfForm(forms.Form):
    """Ask for a refund for a customer who called or wrote."""

    reason = forms.ChoiceField(label=_("Why the customer asks"), choices=RequestReason.choices)
    message = forms.CharField(
        label=_("What the customer said"),
        required=False,
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 3}),
        help_text=_("In their words. It is shown with the request."),
    )
    wants_person = forms.BooleanField(
        label=_("Have a person look, also where the policy declines"),
        required=False,
        help_text=_("Choose this when the facts above seem wrong, or a goodwill refund may be due."),
    )
    withdrawal = forms.BooleanField(
        label=_("The customer withdraws from the contract"),
        required=False,
        help_text=_("A statutory withdrawal, in whatever words. It is never declined by the policy, and the money is due within 14 days."),
    )
    submission_key = forms.CharField(widget=forms.HiddenInput, max_length=64)

    def __init__(self, *args: Any, lines: list[QuoteLine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = lines
        for line in lines:
            self.fields[quantity_name(line.line.pk)] = forms.IntegerField(
                label=line.line.name,
                required=False,
                min_value=0,
                max_value=line.max_quantity,
                initial=0,
                widget=forms.NumberInput(attrs={"inputmode": "numeric"}),
            )

    @property
    def line_fields(self) -> list[tuple[QuoteLine, forms.BoundField]]:
        """Each line with the field for its quantity."""
        return [(line, self[quantity_name(line.line.pk)]) for line in self.lines]

    @property
    def quantities(self) -> dict[int, int]:
        """Units asked for by line id; lines without any are left out. Only after `is_valid()`."""
        entered = {line.line.pk: self.cleaned_data.get(quantity_name(line.line.pk)) or 0 for line in self.lines}
        return {pk: quantity for pk, quantity in entered.items() if quantity}


def amount_name(line_id: int) -> str:
    """Return the form field's name for a line's amount."""
    return f"amount_{line_id}"


def quantity_name(line_id: int) -> str:
    """Return the form field's name for a line's quantity."""
    return f"quantity_{line_id}"


def _amount_field(line: CaseLine, formatter: Formatter) -> forms.DecimalField:
    step = Money(1, line.paid.currency).decimal
    return forms.DecimalField(
        label=gettext("%(name)s, in %(currency)s") % {"name": line.name, "currency": line.paid.currency},
        required=False,
        min_value=Decimal(0),
        max_value=line.left.decimal,
        decimal_places=line.paid.exponent,
        initial=line.suggested.decimal if line.suggested else None,
        widget=forms.NumberInput(attrs={"step": str(step), "inputmode": "decimal"}),
        help_text=(
            gettext("The policy gives %(suggested)s; you may give up to %(left)s. Empty means nothing.")
            if line.shows_verdict
            else gettext("You may give up to %(left)s. Empty means nothing.")
        )
        % {"suggested": formatter.money(line.suggested), "left": formatter.money(line.left)},
    )
