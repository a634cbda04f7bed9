"""Refunds that were made at the payment provider past this shop: see them, and say which lines they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView
from wagtail.admin import messages
from wagtail.admin.ui.tables import BooleanColumn, Column, DateColumn, TitleColumn
from wagtail.admin.views import generic
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.errors import InvalidInput, RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.orders.models import PurchaseLine
from refund_plugin.refunds.allocate import allocate_external, may_allocate, suggest_allocation
from refund_plugin.refunds.checks import MAX_MESSAGE
from refund_plugin.refunds.models import Allocation, Refund, RefundOrigin
from refund_plugin.refunds.people import may, staff_actor
from refund_plugin.refunds.timeline import payment_name, unbroken
from refund_plugin.staff.permissions import policy
from refund_plugin.staff.tables import AmountColumn


class AllocateForm(forms.Form):
    """How much of the refund belongs to each line, in major units, and why."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=gettext_lazy("How you know. Recorded for your colleagues."),
    )

    def __init__(self, *args: Any, refund: Refund, formatter: Formatter, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.currency = refund.currency
        self.lines: list[PurchaseLine] = list(refund.payment.purchase.lines.all())
        suggested = suggest_allocation(refund)
        for line in self.lines:
            amount = suggested.get(line.pk)
            self.fields[_name(line)] = forms.DecimalField(
                label=line.name,
                required=False,
                min_value=Decimal(0),
                max_value=refund.amount.decimal,
                decimal_places=refund.amount.exponent,
                initial=Money(amount, refund.currency).decimal if amount else None,
                widget=forms.NumberInput(attrs={"step": str(Money(1, refund.currency).decimal), "inputmode": "decimal"}),
                help_text=_("%(paid)s was paid, %(left)s is not refunded yet.")
                % {
                    "paid": formatter.money(Money(line.paid_minor, refund.currency)),
                    "left": formatter.money(Money(line.left_minor, refund.currency)),
                },
            )
        self.order_fields([*(_name(line) for line in self.lines), "reason"])

    def clean(self) -> dict[str, Any]:
        """Turn the entered amounts into minor units."""
        cleaned = super().clean() or {}
        amounts: dict[int, int] = {}
        for line in self.lines:
            if _name(line) in self.errors:
                continue
            try:
                amounts[line.pk] = Money.from_decimal(cleaned.get(_name(line)) or Decimal(0), self.currency).minor
            except InvalidInput as error:
                self.add_error(_name(line), str(error))
        self.amounts: Mapping[int, int] = {pk: amount for pk, amount in amounts.items() if amount}
        return cleaned


def _name(line: PurchaseLine) -> str:
    return f"amount_{line.pk}"


def external_url(refund: Refund) -> str:
    """Return the page of an external refund."""
    return reverse("refund_externals:external", args=[refund.pk])


class ExternalListView(generic.IndexView):
    """The list; the newest first."""

    model = Refund
    permission_policy = policy
    any_permission_required = [Action.VIEW_CASES]
    page_title = gettext_lazy("Refunded elsewhere")
    header_icon = "resubmit"
    template_name = "refund_plugin/staff/purchases.html"
    results_template_name = "refund_plugin/staff/externals_results.html"
    index_url_name = "refund_externals:index"
    index_results_url_name = "refund_externals:index_results"
    default_ordering = "-created_at"
    paginate_by = 50
    search_fields = ["gateway_refund_id", "payment__gateway_payment_id", "payment__purchase__number", "payment__purchase__customer__email"]
    columns = [
        TitleColumn("payment.purchase.number", label=gettext_lazy("Order"), get_url=external_url, classname="refund-reference"),
        Column("payment.purchase.customer.email", label=gettext_lazy("Customer")),
        AmountColumn("amount_minor", label=gettext_lazy("Amount"), sort_key="amount_minor", classname="refund-number"),
        Column("get_state_display", label=gettext_lazy("State"), sort_key="state"),
        BooleanColumn("is_allocated", label=gettext_lazy("Assigned to lines"), sort_key="is_allocated"),
        Column("gateway_refund_id", label=gettext_lazy("The payment provider's number")),
        DateColumn("created_at", label=gettext_lazy("Refunded"), sort_key="created_at"),
    ]

    def get_base_queryset(self) -> QuerySet[Refund]:
        """External refunds with what a row shows, in one statement."""
        parts = Allocation.objects.filter(refund=OuterRef("pk"))
        external = Refund.objects.filter(origin=RefundOrigin.EXTERNAL).annotate(is_allocated=Exists(parts))
        return external.select_related("payment__purchase__customer")

    def order_queryset(self, queryset: QuerySet[Refund]) -> QuerySet[Refund]:
        """Keep rows of equal value in a stable order over pages."""
        return super().order_queryset(queryset).order_by(self.ordering, "pk")


class ExternalView(PermissionCheckedMixin, WagtailAdminTemplateMixin, TemplateView):
    """One external refund, and the form that assigns it to lines."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    header_icon = "resubmit"
    template_name = "refund_plugin/staff/external.html"
    http_method_names = ["get", "post"]

    @cached_property
    def refund(self) -> Refund:
        """The refund with its payment and purchase."""
        found = Refund.objects.filter(origin=RefundOrigin.EXTERNAL)
        return get_object_or_404(found.select_related("store", "payment__purchase__customer"), pk=self.kwargs["pk"])

    @cached_property
    def parts(self) -> list[Allocation]:
        """What it is assigned to."""
        return list(self.refund.allocations.select_related("line").order_by("line__position"))

    @cached_property
    def formatter(self) -> Formatter:
        """Writes amounts and times in the reader's language and the store's time zone."""
        return formatter_for(timezone=self.refund.store.timezone)

    def get_page_title(self) -> str:
        """Name the order."""
        return _("Refund on order %(number)s") % {"number": self.refund.payment.purchase.number}

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, list, refund."""
        listing = {"url": reverse("refund_externals:index"), "label": _("Refunded elsewhere")}
        return [*self.breadcrumbs_items, listing, {"url": "", "label": self.get_page_title()}]

    def make_form(self, data: Any = None) -> AllocateForm | None:
        """Return the form where there is something to assign and this person may."""
        if self.parts or not may_allocate(self.refund) or not may(self.request.user, Action.APPROVE):
            return None
        return AllocateForm(data, refund=self.refund, formatter=self.formatter, auto_id="allocate_%s")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Assign it."""
        if not may(request.user, Action.APPROVE):
            raise PermissionDenied
        form = self.make_form(request.POST)
        if form is None:
            messages.error(request, _("This refund is assigned already, or its money has come back."))
            return redirect(external_url(self.refund))
        if form.is_valid():
            by, reason = staff_actor(request.user, self.refund.store), form.cleaned_data["reason"]
            try:
                allocate_external(refund_id=self.refund.pk, amounts=form.amounts, by=by, reason=reason, now=clock.now())
            except RefundPluginError as error:
                form.add_error(error.field if error.field in form.fields else None, forms.ValidationError(str(error)))
            else:
                messages.success(request, _("The refund is assigned. New requests for this order are judged by the policy again."))
                return redirect(external_url(self.refund))
        return self.render_to_response(self.get_context_data(form=form))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        if "form" not in kwargs:
            kwargs["form"] = self.make_form()
        refund = self.refund
        return super().get_context_data(
            refund=refund,
            purchase=refund.payment.purchase,
            formatter=self.formatter,
            payment=unbroken(payment_name(refund.payment, for_staff=True)),
            parts=[(part.line.name, Money(part.gross_minor, refund.currency), part.counted_quantity) for part in self.parts],
            over=Money(refund.payment.over_minor, refund.currency),
            counts=may_allocate(refund),
            **kwargs,
        )
