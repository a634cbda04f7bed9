"""The queue: requests that need a person first, every other one a tab away."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from wagtail.admin.views import generic

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.queries import queue_counts, staff_queue
from refund_plugin.staff.automatic import paused_banner
from refund_plugin.staff.filters import SHOW_CHOICES, QueueFilterSet, queue_filter_data
from refund_plugin.staff.health import worker_silence
from refund_plugin.staff.tables import queue_columns


class QueueView(generic.IndexView):
    """The list page."""

    model = RefundRequest
    any_permission_required = [Action.VIEW_CASES]
    page_title = _("Refund requests")
    header_icon = "resubmit"
    template_name = "refund_plugin/staff/queue.html"
    results_template_name = "refund_plugin/staff/queue_results.html"
    index_url_name = "refund_cases:index"
    index_results_url_name = "refund_cases:index_results"
    default_ordering = "reimburse_due"  # what the law wants back soonest, then the longest wait
    paginate_by = 50
    filterset_class = QueueFilterSet
    search_fields = ["reference", "purchase__number", "customer__email"]
    columns = queue_columns()

    def get_base_queryset(self) -> QuerySet[RefundRequest]:
        """Start from the room's own query, so that list and counts mean the same."""
        return staff_queue()

    def get_filterset_kwargs(self) -> dict[str, Any]:
        """Show what needs a person unless another tab is chosen."""
        return {**super().get_filterset_kwargs(), "data": queue_filter_data(self.request.GET)}

    def order_queryset(self, queryset: QuerySet[RefundRequest]) -> QuerySet[RefundRequest]:
        """Keep rows of equal value in a stable order over pages, and those whose money is not due by law behind the others."""
        ordering: Any = self.ordering
        if ordering.lstrip("-") == "reimburse_due":
            due = F("reimburse_due")
            ordering = due.desc(nulls_last=True) if ordering.startswith("-") else due.asc(nulls_last=True)
        return super().order_queryset(queryset).order_by(ordering, "created_at", "reference")

    @cached_property
    def is_filtering(self) -> bool:
        """Tell whether anything but the tab narrows the list."""
        return bool(self.filters and self.filters.is_valid() and set(self.filters.form.changed_data) - {"show"})

    @cached_property
    def shown(self) -> str:
        """The chosen tab."""
        return str(queue_filter_data(self.request.GET)["show"])

    def get_context_data(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Add the tabs with their counts and the health of the background work."""
        counts = queue_counts()
        tabs = [
            {"value": value, "label": label, "count": getattr(counts, value), "url": f"{self.index_url}?show={value}"}
            for value, label in SHOW_CHOICES
        ]
        return super().get_context_data(
            *args, tabs=tabs, shown=self.shown, worker=worker_silence(clock.now()), paused=paused_banner(self.request.user), **kwargs
        )
