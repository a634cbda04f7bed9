"""The pages on which a person deals with one refund: each verb with what it does, and how to pay by hand."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.utils.functional import cached_property

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.refunds.manual.services import why_not_by_hand
from refund_plugin.refunds.manual.worklist import transfer_text
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.timeline import payment_name, unbroken
from refund_plugin.staff.cases import FormView
from refund_plugin.staff.forms import SeenForm
from refund_plugin.staff.refund_verbs import REFUND_VERBS, RefundVerb
from refund_plugin.staff.verbs import seen_stamp


class RefundVerbView(FormView):
    """One verb on a page of its own."""

    template_name = "refund_plugin/staff/refund_verb.html"
    verb: RefundVerb = REFUND_VERBS[0]

    @property
    def action(self) -> Action:  # type: ignore[override]
        """The verb's permission."""
        return self.verb.action

    @cached_property
    def refund(self) -> Refund:
        """The refund, which belongs to the case."""
        for refund in self.case.refunds.all():
            if refund.pk == self.kwargs["refund"]:
                return refund
        raise Http404

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the verb's form."""
        return self.verb.form(self.refund, seen=seen_stamp(self.case), data=data)

    def perform(self, form: Any) -> str:
        """Call the verb's service."""
        self.verb.do(self.refund, form, staff_actor(self.request.user, self.case.store), clock.now())
        return str(self.verb.done) % {"amount": self.formatter.money(self.refund.amount)}

    def get_page_subtitle(self) -> str:
        """Name the verb."""
        return str(self.verb.label)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the verb's texts, and why it cannot be done where it cannot."""
        fits = self.verb.fits(self.refund)
        problem = "" if fits else why_not_by_hand(self.refund) if self.verb.instructs else ""
        return super().get_context_data(
            heading=self.verb.label,
            intro=self.verb.intro,
            submit=self.verb.submit,
            fits=fits,
            problem=problem,
            payment_name=unbroken(payment_name(self.refund.payment, for_staff=True)),
            instructs=self.verb.instructs,
            transfer_text=transfer_text(self.case.reference, self.case.purchase.number),
            **{**kwargs, "refund": self.refund},
        )
