"""The page on which a person says that a recorded use does not count."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.orders.access import MAX_NOTE, correct_access, facts_of_use
from refund_plugin.orders.models import CorrectionReason
from refund_plugin.refunds.people import staff_actor
from refund_plugin.staff.cases import FormView
from refund_plugin.staff.forms import SeenForm
from refund_plugin.staff.use import UseRow, use_row
from refund_plugin.staff.verbs import seen_stamp


class CorrectionForm(SeenForm):
    """Why it does not count."""

    reason = forms.ChoiceField(
        label=gettext_lazy("Why it does not count"),
        choices=CorrectionReason.choices,
        widget=forms.RadioSelect,
        help_text=gettext_lazy("The customer reads this."),
        error_messages={"required": gettext_lazy("Choose one of the reasons.")},
    )
    note = forms.CharField(
        label=gettext_lazy("What you found"),
        max_length=MAX_NOTE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=gettext_lazy("Recorded for your colleagues. The customer does not read it."),
        error_messages={"required": gettext_lazy("Say what you found, for your colleagues.")},
    )


class CorrectAccessView(FormView):
    """One recorded use of the case's lines, and the form that takes it out of the facts."""

    template_name = "refund_plugin/staff/correct_access.html"
    action = Action.CORRECT_ACCESS

    @cached_property
    def use(self) -> UseRow:
        """The recorded use, which belongs to a line of the case."""
        lines = [item.line_id for item in self.case.lines.all()]
        fact = facts_of_use(lines).filter(pk=self.kwargs["fact"]).first()
        if fact is None:
            raise Http404
        return use_row(fact, self.formatter)

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the form for reason and note."""
        return CorrectionForm(data, initial={"seen": seen_stamp(self.case)}, auto_id="correct_%s")

    def perform(self, form: Any) -> str:
        """Add the correction."""
        by = staff_actor(self.request.user, self.case.store)
        told = form.cleaned_data
        correct_access(fact_id=self.use.fact_id, reason=told["reason"], note=told["note"], by=by, now=clock.now())
        return _("It does not count any more. The request keeps the verdict of the moment it was asked; the order shows today's.")

    def get_page_subtitle(self) -> str:
        """Name what is done."""
        return _("Correct a record")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say what is corrected, and what comes of it."""
        return super().get_context_data(
            use=self.use,
            intro=_("The record stays, marked with your reason, and counts in no verdict from now on. This cannot be undone."),
            submit=_("It does not count"),
            **kwargs,
        )
