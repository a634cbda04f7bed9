"""Disputes, inquiries and fraud warnings: what the bank wants, by when, what can be done, and the evidence to hand in."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View
from wagtail.admin import messages
from wagtail.admin.ui.tables import Column, DateColumn, TitleColumn
from wagtail.admin.views import generic
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.errors import RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.refunds.checks import MAX_MESSAGE
from refund_plugin.refunds.disputes import may_refund_in_full, refund_in_full
from refund_plugin.refunds.models import Dispute, DisputeKind, DisputeOutcome
from refund_plugin.refunds.people import may, staff_actor
from refund_plugin.refunds.timeline import payment_name, unbroken
from refund_plugin.staff.evidence import evidence_zip, gather_evidence
from refund_plugin.staff.permissions import policy
from refund_plugin.staff.tables import AmountColumn


class ReasonForm(forms.Form):
    """Refund in full, with a reason."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=gettext_lazy("Recorded with your decision, for your colleagues."),
    )


def dispute_url(dispute: Dispute) -> str:
    """Return a dispute's page."""
    return reverse("refund_disputes:dispute", args=[dispute.pk])


class DueColumn(Column):
    """A day and time to come, in the store's time zone; Wagtail's own column only counts back."""

    def get_value(self, instance: Any) -> str:
        """Write it."""
        due = super().get_value(instance)
        return formatter_for(timezone=instance.store.timezone).datetime(due) if due else ""


class DisputeListView(generic.IndexView):
    """The list; the newest first."""

    model = Dispute
    permission_policy = policy
    any_permission_required = [Action.VIEW_CASES]
    page_title = gettext_lazy("Disputes")
    header_icon = "warning"
    template_name = "refund_plugin/staff/purchases.html"
    results_template_name = "refund_plugin/staff/disputes_results.html"
    index_url_name = "refund_disputes:index"
    index_results_url_name = "refund_disputes:index_results"
    default_ordering = "-opened_at"
    paginate_by = 50
    search_fields = ["gateway_dispute_id", "payment__gateway_payment_id", "payment__purchase__number", "payment__purchase__customer__email"]
    columns = [
        TitleColumn("payment.purchase.number", label=gettext_lazy("Order"), get_url=dispute_url, classname="refund-reference"),
        Column("get_kind_display", label=gettext_lazy("What"), sort_key="kind"),
        AmountColumn("amount_minor", label=gettext_lazy("Amount"), sort_key="amount_minor", classname="refund-number"),
        DueColumn("evidence_due", label=gettext_lazy("Evidence due"), sort_key="evidence_due"),
        Column("get_outcome_display", label=gettext_lazy("State"), sort_key="outcome"),
        Column("payment.purchase.customer.email", label=gettext_lazy("Customer")),
        Column("reason", label=gettext_lazy("Reason"), sort_key="reason"),
        DateColumn("opened_at", label=gettext_lazy("Opened"), sort_key="opened_at"),
    ]

    def get_base_queryset(self) -> QuerySet[Dispute]:
        """Disputes with what a row shows, in one statement."""
        return Dispute.objects.select_related("store", "payment__purchase__customer")

    def order_queryset(self, queryset: QuerySet[Dispute]) -> QuerySet[Dispute]:
        """Keep rows of equal value in a stable order over pages."""
        return super().order_queryset(queryset).order_by(self.ordering, "-pk")


class DisputeMixin(PermissionCheckedMixin):
    """A view of one dispute, for those who may see cases."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    request: HttpRequest
    kwargs: dict[str, Any]

    @cached_property
    def dispute(self) -> Dispute:
        """The dispute with its payment and purchase."""
        found = Dispute.objects.select_related("store", "payment__purchase__customer", "payment__purchase__store")
        return get_object_or_404(found, pk=self.kwargs["pk"])


class DisputeView(DisputeMixin, WagtailAdminTemplateMixin, TemplateView):
    """One dispute, and the full refund that settles it while it is only an inquiry or a warning."""

    header_icon = "warning"
    template_name = "refund_plugin/staff/dispute.html"
    http_method_names = ["get", "post"]

    @cached_property
    def formatter(self) -> Formatter:
        """Writes amounts and times in the reader's language and the store's time zone."""
        return formatter_for(timezone=self.dispute.store.timezone)

    def get_page_title(self) -> str:
        """Name the dispute."""
        return _("%(kind)s on order %(number)s") % {
            "kind": self.dispute.get_kind_display().capitalize(),
            "number": self.dispute.payment.purchase.number,
        }

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, disputes, dispute."""
        disputes = {"url": reverse("refund_disputes:index"), "label": _("Disputes")}
        return [*self.breadcrumbs_items, disputes, {"url": "", "label": self.get_page_title()}]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refund in full."""
        if not may(request.user, Action.APPROVE):
            raise PermissionDenied
        form = ReasonForm(request.POST)
        if form.is_valid():
            by, reason = staff_actor(request.user, self.dispute.store), form.cleaned_data["reason"]
            try:
                made = refund_in_full(dispute_id=self.dispute.pk, by=by, reason=reason, now=clock.now())
            except RefundPluginError as error:
                form.add_error(None, forms.ValidationError(str(error)))
            else:
                messages.success(
                    request, _("Everything that was left of the order goes back: %(reference)s.") % {"reference": made.reference}
                )
                return redirect("refund_cases:case", made.pk)
        return self.render_to_response(self.get_context_data(form=form))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        dispute, purchase = self.dispute, self.dispute.payment.purchase
        settles = may_refund_in_full(dispute)
        kwargs.setdefault("form", ReasonForm() if settles and may(self.request.user, Action.APPROVE) else None)
        left = sum((payment.left for payment in purchase.payments.all()), Money.zero(purchase.currency))
        return super().get_context_data(
            dispute=dispute,
            purchase=purchase,
            formatter=self.formatter,
            payment=unbroken(payment_name(dispute.payment, for_staff=True)),
            what=_what(dispute),
            settles=settles,
            left=left,
            requests=purchase.refund_requests.order_by("-created_at"),
            **kwargs,
        )


class EvidenceView(DisputeMixin, View):
    """The evidence as a file."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Write it anew from the records."""
        archive = evidence_zip(gather_evidence(self.dispute, now=clock.now()))
        name = re.sub(r"[^A-Za-z0-9_-]", "-", self.dispute.gateway_dispute_id)[:80]
        response = HttpResponse(archive, content_type="application/zip")
        response["Content-Disposition"] = f'attachment; filename="evidence-{name}.zip"'
        response["Cache-Control"] = "private, no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response


def _what(dispute: Dispute) -> str:
    """Say in a sentence how it stands and what may be done."""
    if dispute.outcome == DisputeOutcome.OPEN:
        return {
            DisputeKind.WARNING: _("The card's bank suspects fraud. A full refund now may avoid a dispute and its fee."),
            DisputeKind.INQUIRY: _("The customer's bank asks; no money was taken yet. A full refund settles it, or answer with evidence."),
            DisputeKind.FORMAL: _("The bank has taken the money. Do not refund it as well; hand in evidence at the payment provider."),
        }[DisputeKind(dispute.kind)]
    return {
        DisputeOutcome.WON: _("The bank decided for us, and the money is back."),
        DisputeOutcome.LOST: _("The bank decided for the customer and keeps the money."),
        DisputeOutcome.CLOSED: _("It is closed. No money was taken."),
    }[DisputeOutcome(dispute.outcome)]
