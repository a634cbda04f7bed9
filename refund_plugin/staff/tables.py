"""Columns of the staff's lists."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from wagtail.admin.ui.tables import Column, DateColumn, TitleColumn

from refund_plugin import clock
from refund_plugin.money import Money, format_money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.law import WARN_BEFORE
from refund_plugin.refunds.models import RefundRequest


class AmountColumn(Column):
    """An amount of money, written in the reader's language, figures under figures."""

    def get_value(self, instance: Any) -> str:
        """Write the amount that the accessor gives in minor units."""
        minor = super().get_value(instance)
        return "" if minor is None else format_money(Money(int(minor), instance.currency), get_language() or "en")


class StateColumn(Column):
    """Where the request stands, and whether its money is stuck."""

    cell_template_name = "refund_plugin/staff/cells/state.html"


class AskedColumn(Column):
    """When the customer asked, and until when the law wants the money back, while it is due."""

    cell_template_name = "refund_plugin/staff/cells/asked.html"

    def get_cell_context_data(self, instance: Any, parent_context: Any) -> dict[str, Any]:
        """Tell those that are due soon, or late, from the others."""
        due, now = instance.reimburse_due, clock.now()
        is_urgent = due is not None and due <= now + WARN_BEFORE
        return {**super().get_cell_context_data(instance, parent_context), "due": due, "is_urgent": is_urgent}


class CustomerColumn(Column):
    """The customer's address, and the order below it."""

    cell_template_name = "refund_plugin/staff/cells/customer.html"


def line_names(request: RefundRequest) -> str:
    """Name what the request asks for: `Grain (2), Print school`."""
    return ", ".join(f"{item.line.name} ({item.quantity})" if item.quantity > 1 else item.line.name for item in request.lines.all())


def bought_names(purchase: Purchase) -> str:
    """Name what was bought."""
    return ", ".join(f"{line.name} ({line.quantity})" if line.quantity > 1 else line.name for line in purchase.lines.all())


def case_url(request: RefundRequest) -> str:
    """Return the case page."""
    return reverse("refund_cases:case", args=[request.pk])


def purchase_url(purchase: Purchase) -> str:
    """Return the purchase's page."""
    return reverse("refund_purchases:purchase", args=[purchase.pk])


def queue_columns() -> list[Column]:
    """Columns of the queue."""
    return [
        TitleColumn("reference", label=_("Request"), get_url=case_url, sort_key="reference", classname="refund-reference"),
        Column("lines", label=_("What"), accessor=line_names, classname="refund-what"),
        CustomerColumn("customer.email", label=_("Customer and order"), sort_key="customer__email"),
        Column("get_reason_display", label=_("Reason"), sort_key="reason"),
        AmountColumn("amount_minor", label=_("Amount"), sort_key="amount_minor", classname="refund-number"),
        StateColumn("state", label=_("State"), sort_key="state"),
        AskedColumn("created_at", label=_("Asked"), sort_key="created_at"),
    ]


def purchase_columns() -> list[Column]:
    """Columns of the list of purchases."""
    return [
        TitleColumn("number", label=_("Order"), get_url=purchase_url, sort_key="number", classname="refund-reference"),
        Column("lines", label=_("What"), accessor=bought_names, classname="refund-what"),
        Column("customer.email", label=_("Customer"), sort_key="customer__email"),
        AmountColumn("paid_minor", label=_("Paid"), sort_key="paid_minor", classname="refund-number"),
        Column("request_count", label=_("Requests"), sort_key="request_count", classname="refund-number"),
        DateColumn("purchased_at", label=_("Bought"), sort_key="purchased_at"),
    ]
