"""Registers the staff's door with Wagtail; imported by `refund_plugin/wagtail_hooks.py`."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from django.http import HttpRequest
from wagtail import hooks
from wagtail.admin.site_summary import SummaryItem
from wagtail.admin.ui.components import Component

from refund_plugin.actor import Action
from refund_plugin.refunds.people import may
from refund_plugin.staff.alerts import AlertsPanel
from refund_plugin.staff.panels import RefundsPanel, RefundsSummaryItem
from refund_plugin.staff.permissions import register_policy, staff_permissions
from refund_plugin.staff.viewsets import RefundsGroup

register_policy()


@hooks.register("register_admin_viewset")
def register_viewsets() -> RefundsGroup:
    """The queue and the purchases, under one menu."""
    return RefundsGroup()


@hooks.register("register_permissions")
def register_permissions() -> QuerySet[Permission]:
    """Show our permissions in the form of a group."""
    return staff_permissions()


@hooks.register("construct_homepage_panels")
def add_home_panel(request: HttpRequest, panels: list[Component]) -> None:
    """Put what needs a person on the home page of those who may look."""
    if may(request.user, Action.VIEW_CASES):
        panels += [AlertsPanel(), RefundsPanel()]


@hooks.register("construct_homepage_summary_items")
def add_summary_item(request: HttpRequest, items: list[SummaryItem]) -> None:
    """Put the number beside the site's other numbers."""
    items.append(RefundsSummaryItem(request))
