"""What staff see on the admin's home page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from wagtail.admin.site_summary import SummaryItem
from wagtail.admin.ui.components import Component

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.refunds.people import may
from refund_plugin.refunds.queries import count_needing_person, needs_person, staff_queue
from refund_plugin.staff.automatic import paused_banner
from refund_plugin.staff.health import worker_silence
from refund_plugin.staff.tables import line_names

SHOWN = 5


class RefundsPanel(Component):
    """The requests that have waited longest for a person."""

    name = "refunds_needing_person"
    template_name = "refund_plugin/staff/home_panel.html"
    order = 120

    class Media:
        css = {"all": ["refund_plugin/staff/staff.css"]}

    def get_context_data(self, parent_context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The oldest few, and how many there are in all."""
        waiting = list(staff_queue(filters=needs_person())[: SHOWN + 1])
        return {
            "rows": [(request, line_names(request)) for request in waiting[:SHOWN]],
            "more": len(waiting) > SHOWN,
            "queue_url": reverse("refund_cases:index"),
            "worker": worker_silence(clock.now()),
            "paused": paused_banner(parent_context["request"].user if parent_context else None),
        }


class RefundsSummaryItem(SummaryItem):
    """How many requests need a person, beside the number of pages."""

    order = 250
    template_name = "refund_plugin/staff/home_summary.html"

    def get_context_data(self, parent_context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The number, and where it leads."""
        return {"waiting": count_needing_person(), "queue_url": reverse("refund_cases:index")}

    def is_shown(self) -> bool:
        """Only to people who may see cases."""
        return may(self.request.user, Action.VIEW_CASES)
