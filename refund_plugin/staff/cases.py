"""One case on one page, and the pages that confirm what a person does with it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.views.generic import TemplateView
from wagtail.admin import messages
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin

from refund_plugin import clock, content
from refund_plugin.actor import Action
from refund_plugin.errors import NotFound, RefundPluginError, WrongState
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.refunds.access.queries import access_notes
from refund_plugin.refunds.ledger.queries import credit_notes_of
from refund_plugin.refunds.manual.worklist import transfer_text
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.people import approval_limits, may, staff_actor
from refund_plugin.refunds.presenting import CaseLine, case_lines, decides_unseen, may_retry, total, why_a_person, without_verdict
from refund_plugin.refunds.queries import case, next_case
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.timeline import payment_name, timeline
from refund_plugin.staff.forms import RetryForm, SeenForm
from refund_plugin.staff.offering import offered_to
from refund_plugin.staff.permissions import policy
from refund_plugin.staff.refund_cards import refund_card
from refund_plugin.staff.use import use_rows
from refund_plugin.staff.verbs import VERBS, Verb, seen_stamp


class CaseMixin(PermissionCheckedMixin, WagtailAdminTemplateMixin):
    """A page about one case; people who may not see cases are turned away before it is looked for."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    header_icon = "resubmit"
    request: HttpRequest
    kwargs: dict[str, Any]

    @cached_property
    def case(self) -> RefundRequest:
        """The case with all that hangs on it."""
        try:
            return case(self.kwargs["pk"])
        except NotFound as error:
            raise Http404 from error

    @cached_property
    def formatter(self) -> Formatter:
        """Writes amounts and times in the reader's language and the store's time zone."""
        return formatter_for(timezone=self.case.store.timezone)

    @cached_property
    def lines(self) -> list[CaseLine]:
        """The lines with their verdicts."""
        lines = case_lines(self.case, self.formatter)
        return [without_verdict(line) for line in lines] if decides_unseen(self.case) else lines

    @cached_property
    def limit(self) -> Money | None:
        """The most this person may approve at once, in the case's currency; None when there is no limit."""
        currency = self.case.purchase.currency
        minor = approval_limits(self.request.user).get(currency)
        return None if minor is None else Money(minor, currency)

    @property
    def case_url(self) -> str:
        """This case's page."""
        return reverse("refund_cases:case", args=[self.case.pk])

    def get_page_title(self) -> str:
        """Name the case."""
        return _("Request %(reference)s") % {"reference": self.case.reference}

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, queue, case."""
        queue = {"url": reverse("refund_cases:index"), "label": _("Refund requests")}
        return [*self.breadcrumbs_items, queue, {"url": self.case_url, "label": self.case.reference}]


class CaseView(CaseMixin, TemplateView):
    """Verdict and amount, what the customer said, the facts, the money, the timeline, the mails; the verbs beside them."""

    template_name = "refund_plugin/staff/case.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        request, formatter = self.case, self.formatter
        following = next_case(request)
        offered = [verb for verb in VERBS if verb.fits(request) and may(self.request.user, verb.action)]
        version = request.policy_version
        give_label, waiting_incentives = offered_to(self.request.user, request)
        return super().get_context_data(
            case=request,
            give_label=give_label,
            waiting_incentives=waiting_incentives,
            formatter=formatter,
            lines=self.lines,
            suggested=total(self.lines, request.purchase.currency),
            unseen=decides_unseen(request),
            timeline=timeline(request, for_staff=True),
            why=why_a_person(request),
            verbs=[(verb, verb.form(self)) for verb in offered],
            is_open=any(verb.fits(request) for verb in VERBS),
            payments=[
                (payment, payment_name(payment, for_staff=True), Money(payment.captured_minor, payment.currency))
                for payment in request.purchase.payments.all()
            ],
            refunds=[refund_card(refund, self.request.user) for refund in request.refunds.all()],
            transfer_text=transfer_text(request.reference, request.purchase.number),
            mails=request.messages.order_by("created_at", "pk"),
            access=access_notes([item.line_id for item in request.lines.all()]),
            uses=use_rows([item.line_id for item in request.lines.all()], formatter),
            may_correct=may(self.request.user, Action.CORRECT_ACCESS),
            credit_notes=credit_notes_of(request),
            may_see_books=may(self.request.user, Action.VIEW_BOOKS),
            policy_url=content.policy_pages().policy_url(version) if version else "",
            next_url=reverse("refund_cases:case", args=[following.pk]) if following else "",
            **kwargs,
        )


class FormView(CaseMixin, TemplateView):
    """A form about a case on a page of its own: the confirmation without a dialog, and where errors are shown."""

    template_name = "refund_plugin/staff/confirm.html"
    http_method_names = ["get", "post"]
    action: Action

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Turn away who may see cases but not do this."""
        if not may(request.user, self.action):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the form, empty or bound."""
        raise NotImplementedError

    def perform(self, form: Any) -> str:
        """Call the service; return what to tell the person."""
        raise NotImplementedError

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Do it, or say what keeps it from being done."""
        if request.POST.get("seen") != seen_stamp(self.case):
            return self.refuse_stale(request)
        form = self.make_form(request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        try:
            done = self.perform(form)
        except WrongState as error:  # somebody was faster by a moment
            messages.error(request, str(error))
            return redirect(self.case_url)
        except RefundPluginError as error:
            form.add_error(error.field if error.field in form.fields else None, forms.ValidationError(str(error)))
            return self.render_to_response(self.get_context_data(form=form))
        following = next_case(self.case)
        buttons = [messages.button(reverse("refund_cases:case", args=[following.pk]), _("Next request"))] if following else []
        messages.success(request, done, buttons=buttons)
        return redirect(self.case_url)

    def refuse_stale(self, request: HttpRequest) -> HttpResponse:
        """Show the form again, with what was written and the case as it is now."""
        data = request.POST.copy()
        data["seen"] = seen_stamp(self.case)
        form = self.make_form(data)
        form.add_error(None, forms.ValidationError(str(WrongState())))
        return self.render_to_response(self.get_context_data(form=form))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the form and the case."""
        kwargs.setdefault("form", self.make_form())
        return super().get_context_data(case=self.case, case_url=self.case_url, formatter=self.formatter, **kwargs)


class VerbView(FormView):
    """Approve, decline, or ask the customer."""

    verb: Verb = VERBS[0]

    @property
    def action(self) -> Action:  # type: ignore[override]
        """The verb's permission."""
        return self.verb.action

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the verb's form."""
        return self.verb.form(self, data)

    def perform(self, form: Any) -> str:
        """Call the verb's service."""
        self.verb.do(self.case, form, staff_actor(self.request.user, self.case.store), clock.now())
        return str(self.verb.done) % {"reference": self.case.reference}

    def get_page_subtitle(self) -> str:
        """Name the verb."""
        return str(self.verb.label)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the verb's texts."""
        return super().get_context_data(
            heading=self.verb.label, intro=self.verb.intro, submit=self.verb.submit, fits=self.verb.fits(self.case), **kwargs
        )


class RetryView(FormView):
    """Send the money of a failed refund again."""

    action = Action.APPROVE

    @cached_property
    def refund(self) -> Refund:
        """The failed refund, which belongs to the case."""
        for refund in self.case.refunds.all():
            if refund.pk == self.kwargs["refund"]:
                return refund
        raise Http404

    def make_form(self, data: Any = None) -> SeenForm:
        """Return the form for the reason."""
        return RetryForm(data, initial={"seen": seen_stamp(self.case)}, auto_id="retry_%s")

    def perform(self, form: Any) -> str:
        """Make the successor."""
        by = staff_actor(self.request.user, self.case.store)
        retry_refund(refund_id=self.refund.pk, by=by, reason=form.cleaned_data["reason"], now=clock.now())
        return _("%(amount)s is being sent again.") % {"amount": self.formatter.money(self.refund.amount)}

    def get_page_subtitle(self) -> str:
        """Name what is done."""
        return _("Send again")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say what failed, and what will happen."""
        intro = _("%(amount)s to %(name)s failed: %(why)s. A new refund is sent in its place.") % {
            "amount": self.formatter.money(self.refund.amount),
            "name": payment_name(self.refund.payment, for_staff=True),
            "why": self.refund.failure_message or self.refund.failure_code or _("no reason given"),
        }
        return super().get_context_data(
            heading=_("Send %(amount)s again") % {"amount": self.formatter.money(self.refund.amount)},
            intro=intro,
            submit=_("Send again"),
            fits=may_retry(self.refund),
            **kwargs,
        )
