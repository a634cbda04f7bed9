"""Filters of the staff's lists."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _
from wagtail.admin.filters import WagtailFilterSet

from refund_plugin import clock
from refund_plugin.money import EXPONENTS
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.queries import money_needs_person, needs_person
from refund_plugin.refunds.states import RequestState
from refund_plugin.stores.queries import customer_stores

DEFAULT_SHOW = "needs_person"
SHOW_CHOICES = [
    ("needs_person", _("Needs a person")),
    ("in_review", _("Waits for our answer")),
    ("needs_evidence", _("Waits for the customer")),
    ("money", _("Money is stuck")),
    ("everything", _("All requests")),
]
SHOWN = {
    "needs_person": needs_person,
    "in_review": lambda: Q(state=RequestState.IN_REVIEW),
    "needs_evidence": lambda: Q(state=RequestState.NEEDS_EVIDENCE),
    "money": money_needs_person,
    "everything": Q,
}
DAYS_AGO = [
    ("1", _("More than a day ago")),
    ("3", _("More than 3 days ago")),
    ("7", _("More than a week ago")),
    ("14", _("More than 2 weeks ago")),
]


class QueueFilterSet(WagtailFilterSet):
    """Filters of the queue. `show` is always one of its choices: the view puts the default there."""

    show = django_filters.ChoiceFilter(
        label=_("Show"), method="filter_show", choices=SHOW_CHOICES, empty_label=None, initial=DEFAULT_SHOW, widget=forms.RadioSelect
    )
    state = django_filters.MultipleChoiceFilter(label=_("State"), choices=RequestState.choices, widget=forms.CheckboxSelectMultiple)
    reason = django_filters.MultipleChoiceFilter(label=_("Reason"), choices=RequestReason.choices, widget=forms.CheckboxSelectMultiple)
    age = django_filters.ChoiceFilter(
        label=_("Asked"), method="filter_age", choices=DAYS_AGO, empty_label=_("Any time"), widget=forms.RadioSelect
    )
    amount_from = django_filters.NumberFilter(label=_("Amount from"), method="filter_amount_from", min_value=0)
    amount_to = django_filters.NumberFilter(label=_("Amount to"), method="filter_amount_to", min_value=0)
    store = django_filters.ModelChoiceFilter(
        label=_("Store"), queryset=customer_stores(), empty_label=_("All stores"), widget=forms.RadioSelect
    )

    class Meta:
        model = RefundRequest
        fields: list[str] = []

    def filter_show(self, queryset: QuerySet[RefundRequest], name: str, value: str) -> QuerySet[RefundRequest]:
        """Keep what the tab shows."""
        return queryset.filter(SHOWN[value]())

    def filter_age(self, queryset: QuerySet[RefundRequest], name: str, days: str) -> QuerySet[RefundRequest]:
        """Keep requests older than so many days."""
        return queryset.filter(created_at__lt=clock.now() - timedelta(days=int(days)))

    def filter_amount_from(self, queryset: QuerySet[RefundRequest], name: str, value: Decimal) -> QuerySet[RefundRequest]:
        """Keep amounts of at least so many euro, dollars, yen …: whatever the request's currency is."""
        return queryset.filter(_per_exponent("amount_minor__gte", value, ROUND_CEILING))

    def filter_amount_to(self, queryset: QuerySet[RefundRequest], name: str, value: Decimal) -> QuerySet[RefundRequest]:
        """Keep amounts of at most so many euro, dollars, yen …"""
        return queryset.filter(_per_exponent("amount_minor__lte", value, ROUND_FLOOR))


def _per_exponent(lookup: str, value: Decimal, rounding: str) -> Q:
    condition = Q()
    for exponent in sorted(set(EXPONENTS.values())):
        currencies = [code for code, decimals in EXPONENTS.items() if decimals == exponent]
        minor = int(value.scaleb(exponent).to_integral_value(rounding))
        condition |= Q(purchase__currency__in=currencies, **{lookup: minor})
    return condition


def queue_filter_data(query: Any) -> Any:
    """Return the query string's data with the default tab filled in."""
    data = query.copy()
    if data.get("show") not in SHOWN:
        data["show"] = DEFAULT_SHOW
    return data
