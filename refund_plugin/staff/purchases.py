"""Purchases, for the customer on the telephone: find one, see what the policy says now, and ask on their behalf."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import BigIntegerField, Count, OuterRef, QuerySet, Subquery, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView
from wagtail.admin import messages
from wagtail.admin.views import generic
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin

from refund_plugin import clock, content
from refund_plugin.actor import Action
from refund_plugin.errors import RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.refunds.people import may, staff_actor
from refund_plugin.refunds.presenting import quote_lines
from refund_plugin.refunds.quote import Quote, quote_purchase
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.timeline import payment_name
from refund_plugin.staff.forms import OnBehalfForm
from refund_plugin.staff.permissions import policy
from refund_plugin.staff.tables import purchase_columns


class PurchaseListView(generic.IndexView):
    """The list of purchases; the newest first."""

    model = Purchase
    permission_policy = policy
    any_permission_required = [Action.VIEW_CASES]
    page_title = gettext_lazy("Purchases")
    header_icon = "clipboard-list"
    results_template_name = "refund_plugin/staff/purchases_results.html"
    template_name = "refund_plugin/staff/purchases.html"
    index_url_name = "refund_purchases:index"
    index_results_url_name = "refund_purchases:index_results"
    default_ordering = "-purchased_at"
    paginate_by = 50
    search_fields = ["number", "customer__email"]
    columns = purchase_columns()

    def get_base_queryset(self) -> QuerySet[Purchase]:
        """Purchases with what a row shows, in a fixed number of statements."""
        paid = PurchaseLine.objects.filter(purchase=OuterRef("pk")).order_by().values("purchase").annotate(sum=Sum("paid_minor"))
        return (
            Purchase.objects.filter(store__is_internal=False)
            .select_related("customer", "store")
            .prefetch_related("lines")
            .annotate(paid_minor=Subquery(paid.values("sum"), output_field=BigIntegerField()), request_count=Count("refund_requests"))
        )

    def order_queryset(self, queryset: QuerySet[Purchase]) -> QuerySet[Purchase]:
        """Keep rows of equal value in a stable order over pages."""
        return super().order_queryset(queryset).order_by(self.ordering, "-pk")


class PurchaseView(PermissionCheckedMixin, WagtailAdminTemplateMixin, TemplateView):
    """One purchase: what was bought and paid, what the policy says at this moment, and what was asked before."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    header_icon = "clipboard-list"
    template_name = "refund_plugin/staff/purchase.html"
    http_method_names = ["get", "post"]

    @cached_property
    def purchase(self) -> Purchase:
        """The purchase with its customer and store."""
        return get_object_or_404(Purchase.objects.select_related("customer", "store").prefetch_related("lines"), pk=self.kwargs["pk"])

    @cached_property
    def quote(self) -> Quote:
        """What the policy says now."""
        return quote_purchase(purchase=self.purchase, now=clock.now())

    @cached_property
    def formatter(self) -> Formatter:
        """Writes amounts and times in the reader's language and the store's time zone."""
        return formatter_for(timezone=self.purchase.store.timezone)

    def get_page_title(self) -> str:
        """Name the purchase."""
        return _("Order %(number)s") % {"number": self.purchase.number}

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, purchases, purchase."""
        purchases = {"url": reverse("refund_purchases:index"), "label": _("Purchases")}
        return [*self.breadcrumbs_items, purchases, {"url": "", "label": self.purchase.number}]

    def make_form(self, data: Any = None) -> OnBehalfForm:
        """Return the form for a request on the customer's behalf, with the lines that have something left."""
        lines = [line for line in self.quote.lines if line.max_quantity > 0 and line.line.left_minor > 0]
        initial = {"submission_key": uuid.uuid4().hex}
        return OnBehalfForm(data, lines=lines, initial=initial, auto_id="behalf_%s")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Ask for a refund on the customer's behalf; the policy judges it as if the customer had asked."""
        if not may(request.user, Action.APPROVE):
            raise PermissionDenied  # what the policy approves moves money at once
        form = self.make_form(request.POST)
        if form.is_valid():
            try:
                made = request_refund(
                    purchase_id=self.purchase.pk,
                    lines=form.quantities,
                    reason=form.cleaned_data["reason"],
                    message=form.cleaned_data["message"],
                    wants_person=form.cleaned_data["wants_person"],
                    withdrawal=form.cleaned_data["withdrawal"],
                    submission_key=form.cleaned_data["submission_key"],
                    by=staff_actor(request.user, self.purchase.store),
                    channel="staff",
                    now=clock.now(),
                )
            except RefundPluginError as error:
                form.add_error(error.field if error.field in form.fields else None, forms.ValidationError(str(error)))
            else:
                messages.success(request, _("Request %(reference)s is made.") % {"reference": made.reference})
                return redirect("refund_cases:case", made.pk)
        return self.render_to_response(self.get_context_data(form=form))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        kwargs.setdefault("form", self.make_form() if may(self.request.user, Action.APPROVE) else None)
        purchase, version = self.purchase, self.quote.version
        return super().get_context_data(
            purchase=purchase,
            formatter=self.formatter,
            quote=self.quote,
            lines=quote_lines(self.quote, self.formatter),
            payments=[(payment, payment_name(payment, for_staff=True)) for payment in self.quote.payments],
            requests=purchase.refund_requests.order_by("-created_at"),
            policy_url=content.policy_pages().policy_url(version) if version else "",
            **kwargs,
        )
