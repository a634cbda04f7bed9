"""Alerts: what about the money a person must look at, what stands behind it, and that somebody has looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView
from wagtail.admin import messages
from wagtail.admin.filters import WagtailFilterSet
from wagtail.admin.ui.components import Component
from wagtail.admin.ui.tables import Column, DateColumn, TitleColumn
from wagtail.admin.views import generic
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin
from wagtail.admin.widgets import AdminAutoHeightTextInput

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.refunds.alerts import look_at
from refund_plugin.refunds.checks import MAX_MESSAGE
from refund_plugin.refunds.models import Alert, RefundRequest
from refund_plugin.refunds.people import may, staff_actor
from refund_plugin.staff.alert_advice import ADVICE
from refund_plugin.staff.permissions import policy
from refund_plugin.stores.services import ensure_default_store

KINDS: Mapping[str, Any] = {
    "access_stuck": gettext_lazy("Access was not taken away"),
    "brake": gettext_lazy("Automatic refunds held back"),
    "dispute": gettext_lazy("A dispute has changed"),
    "dispute_inquiry": gettext_lazy("The bank asks"),
    "dispute_lost": gettext_lazy("Dispute lost"),
    "dispute_opened": gettext_lazy("Payment disputed"),
    "dispute_won": gettext_lazy("Dispute won"),
    "external_refund": gettext_lazy("Refunded elsewhere"),
    "fraud_warning": gettext_lazy("Fraud warning"),
    "history_unknown": gettext_lazy("Earlier refunds are not known"),
    "incentive_stuck": gettext_lazy("The store does not issue what was given"),
    "invoice_note_failed": gettext_lazy("No note on the invoice"),
    "invoice_note_stands": gettext_lazy("A note on the invoice is no longer true"),
    "ledger_differs": gettext_lazy("The books do not add up"),
    "money_over": gettext_lazy("More gone than paid"),
    "reconcile_differs": gettext_lazy("The payment provider tells it differently"),
    "reconcile_failed": gettext_lazy("The comparison did not finish"),
    "reconcile_missing": gettext_lazy("The payment provider does not have it"),
    "reconcile_payment": gettext_lazy("A payment or dispute that cannot be recorded"),
    "reconcile_unknown_here": gettext_lazy("Ours, and not known here"),
    "refund_contradiction": gettext_lazy("The payment provider contradicts itself"),
    "refund_not_stopped": gettext_lazy("Could not be stopped"),
    "refund_returned": gettext_lazy("The money came back"),
    "reimburse_overdue": gettext_lazy("Later than the law allows"),
    "reimburse_soon": gettext_lazy("Due by law soon"),
    "saleor_refuses": gettext_lazy("Saleor refuses the App"),
    "selftest_failed": gettext_lazy("The self-test failed"),
    "store_books_stuck": gettext_lazy("The store does not show a refund"),
    "subscription_not_ended": gettext_lazy("A subscription was not ended"),
    "webhook_parked": gettext_lazy("A webhook cannot be applied"),
}
SHOW = [("open", gettext_lazy("Nobody has looked yet")), ("looked", gettext_lazy("Looked at")), ("all", gettext_lazy("All"))]
SHOWN = {"open": Q(looked_at__isnull=True), "looked": Q(looked_at__isnull=False), "all": Q()}
PANEL_SHOWN = 5


def kind_label(alert: Alert) -> str:
    """Return what sort of trouble it is, in words."""
    return str(KINDS.get(alert.kind, alert.kind.replace("_", " ")))


def alert_url(alert: Alert) -> str:
    """Return an alert's page."""
    return reverse("refund_alerts:alert", args=[alert.pk])


def open_alerts() -> int:
    """Count the alerts that nobody has looked at, in every store."""
    return Alert.objects.filter(looked_at__isnull=True).count()


class AlertFilterSet(WagtailFilterSet):
    """Filters of the list. `show` is always one of its choices: the view puts the default there."""

    show = django_filters.ChoiceFilter(
        label=gettext_lazy("Show"), method="filter_show", choices=SHOW, empty_label=None, initial="open", widget=forms.RadioSelect
    )
    kind = django_filters.MultipleChoiceFilter(
        label=gettext_lazy("What"), choices=sorted(KINDS.items(), key=lambda item: str(item[1])), widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Alert
        fields: list[str] = []

    def filter_show(self, queryset: QuerySet[Alert], name: str, value: str) -> QuerySet[Alert]:
        """Keep what is asked for."""
        return queryset.filter(SHOWN[value])


class AlertListView(generic.IndexView):
    """The list: those that nobody has looked at, the newest first."""

    model = Alert
    permission_policy = policy
    any_permission_required = [Action.VIEW_CASES]
    page_title = gettext_lazy("Alerts")
    header_icon = "warning"
    template_name = "refund_plugin/staff/purchases.html"
    results_template_name = "refund_plugin/staff/alerts_results.html"
    index_url_name = "refund_alerts:index"
    index_results_url_name = "refund_alerts:index_results"
    default_ordering = "-raised_at"
    paginate_by = 50
    filterset_class = AlertFilterSet
    search_fields = ["why", "refund__request__reference", "payment__purchase__number", "payment__gateway_payment_id"]
    columns = [
        TitleColumn("why", label=gettext_lazy("Alert"), get_url=alert_url, classname="refund-alert"),
        Column("kind", label=gettext_lazy("What"), accessor=kind_label, sort_key="kind"),
        Column("refund.request.reference", label=gettext_lazy("Request"), classname="refund-reference"),
        DateColumn("raised_at", label=gettext_lazy("Raised"), sort_key="raised_at"),
        Column("looked_by_label", label=gettext_lazy("Looked at by"), sort_key="looked_by_label"),
    ]

    def get_base_queryset(self) -> QuerySet[Alert]:
        """Alerts with what a row shows, in one statement."""
        return Alert.objects.select_related("refund__request")

    def get_filterset_kwargs(self) -> dict[str, Any]:
        """Show what nobody has looked at unless something else is asked for."""
        data = self.request.GET.copy()
        if data.get("show") not in SHOWN:
            data["show"] = "open"
        return {**super().get_filterset_kwargs(), "data": data}

    @cached_property
    def is_filtering(self) -> bool:
        """Tell whether anything narrows the list but what is shown by default."""
        return bool(self.filters and self.filters.is_valid() and set(self.filters.form.changed_data) - {"show"})

    def order_queryset(self, queryset: QuerySet[Alert]) -> QuerySet[Alert]:
        """Keep rows of equal value in a stable order over pages."""
        return super().order_queryset(queryset).order_by(self.ordering, "-pk")


class LookForm(forms.Form):
    """What was found."""

    note = forms.CharField(
        label=gettext_lazy("What you found"),
        max_length=MAX_MESSAGE,
        widget=AdminAutoHeightTextInput(attrs={"rows": 2}),
        help_text=gettext_lazy("Recorded for your colleagues. If the same happens again, a new alert is raised."),
    )


class AlertView(PermissionCheckedMixin, WagtailAdminTemplateMixin, TemplateView):
    """One alert, where it leads, and the form to say that one has looked."""

    permission_policy = policy
    permission_required = Action.VIEW_CASES
    header_icon = "warning"
    template_name = "refund_plugin/staff/alert.html"
    http_method_names = ["get", "post"]

    @cached_property
    def alert(self) -> Alert:
        """The alert with what it is about."""
        found = Alert.objects.select_related("store", "refund__request", "refund__payment__purchase", "payment__purchase", "account")
        return get_object_or_404(found, pk=self.kwargs["pk"])

    @cached_property
    def formatter(self) -> Formatter:
        """Writes times in the reader's language and the store's time zone."""
        return formatter_for(timezone=(self.alert.store or ensure_default_store()).timezone)

    def get_page_title(self) -> str:
        """Name the trouble."""
        return kind_label(self.alert)

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, alerts, alert."""
        listing = {"url": reverse("refund_alerts:index"), "label": _("Alerts")}
        return [*self.breadcrumbs_items, listing, {"url": "", "label": kind_label(self.alert)}]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Say that one has looked."""
        if not may(request.user, Action.APPROVE):
            raise PermissionDenied
        form = LookForm(request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        by = replace(staff_actor(request.user, self.alert.store or ensure_default_store()), store_id=self.alert.store_id)
        alert = look_at(alert_id=self.alert.pk, by=by, note=form.cleaned_data["note"], now=clock.now())
        if alert.looked_by_id == by.id:
            messages.success(request, _("Recorded that you have looked."))
        else:
            messages.warning(request, _("%(name)s had looked before you.") % {"name": alert.looked_by_label})
        return redirect("refund_alerts:index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        alert = self.alert
        asks = alert.looked_at is None and may(self.request.user, Action.APPROVE)
        kwargs.setdefault("form", LookForm() if asks else None)
        return super().get_context_data(
            alert=alert,
            kind=kind_label(alert),
            advice=ADVICE.get(alert.kind, ""),
            formatter=self.formatter,
            links=_links(alert),
            details=[(str(key).replace("_", " "), value) for key, value in sorted(alert.details.items())],
            **kwargs,
        )


def _links(alert: Alert) -> list[tuple[str, str]]:
    """Return where somebody looks next, as label and address."""
    links = []
    refund = alert.refund
    request = refund.request if refund else RefundRequest.objects.filter(pk=alert.details.get("request")).first()
    if request is not None:
        links.append((_("Request %(reference)s") % {"reference": request.reference}, reverse("refund_cases:case", args=[request.pk])))
    elif refund is not None:
        links.append((_("The refund made elsewhere"), reverse("refund_externals:external", args=[refund.pk])))
    if "dispute" in alert.details:
        links.append((_("The dispute"), reverse("refund_disputes:dispute", args=[alert.details["dispute"]])))
    payment = alert.payment or (refund.payment if refund else None)
    if payment is not None:
        number = payment.purchase.number
        links.append((_("Order %(number)s") % {"number": number}, reverse("refund_purchases:purchase", args=[payment.purchase_id])))
    return links


class AlertsPanel(Component):
    """The newest alerts that nobody has looked at, and how many there are in all."""

    name = "refund_alerts"
    template_name = "refund_plugin/staff/alerts_panel.html"
    order = 110

    class Media:
        css = {"all": ["refund_plugin/staff/staff.css"]}

    def get_context_data(self, parent_context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The few and the number."""
        waiting = Alert.objects.filter(looked_at__isnull=True)
        rows = [(alert, kind_label(alert)) for alert in waiting.order_by("-raised_at", "-pk")[:PANEL_SHOWN]]
        count = len(rows) if len(rows) < PANEL_SHOWN else waiting.count()
        return {"rows": rows, "count": count, "more": count > len(rows), "alerts_url": reverse("refund_alerts:index")}
