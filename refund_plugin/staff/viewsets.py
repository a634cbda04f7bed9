"""The URLs and the menu of the staff's door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _
from wagtail.admin.menu import MenuItem, SubmenuMenuItem
from wagtail.admin.ui.sidebar import LinkMenuItem, SubMenuItem
from wagtail.admin.viewsets.base import ViewSet, ViewSetGroup

from refund_plugin.actor import Action
from refund_plugin.conf import settings
from refund_plugin.refunds.people import may
from refund_plugin.refunds.queries import count_needing_person
from refund_plugin.staff.access import CorrectAccessView
from refund_plugin.staff.alerts import AlertListView, AlertView, open_alerts
from refund_plugin.staff.automatic import AutomaticView, PauseView, ReleaseView, ResumeView
from refund_plugin.staff.books import BooksView, CreditNoteListView, CreditNoteView, JournalView
from refund_plugin.staff.cases import CaseView, RetryView, VerbView
from refund_plugin.staff.disputes import DisputeListView, DisputeView, EvidenceView
from refund_plugin.staff.externals import ExternalListView, ExternalView
from refund_plugin.staff.giving import GiveView, TakeBackView
from refund_plugin.staff.manual import RefundVerbView
from refund_plugin.staff.money import CompareView, MoneyFileView, MoneyView, ProgressView, SelfTestView
from refund_plugin.staff.purchases import PurchaseListView, PurchaseView
from refund_plugin.staff.queue import QueueView
from refund_plugin.staff.refund_verbs import REFUND_VERBS
from refund_plugin.staff.saleor import SaleorView
from refund_plugin.staff.verbs import VERBS
from refund_plugin.staff.worklist import WorkListView


class StaffViewSet(ViewSet):
    """A viewset shown to those who may see cases, whose views manage their own transactions."""

    def view(self, view_class: Any, **options: Any) -> Callable[..., Any]:
        """Return the view; the services behind it commit before they ring, also where a host wraps requests in a transaction."""
        return transaction.non_atomic_requests(self.construct_view(view_class, **options))

    def get_menu_item(self, order: int | None = None) -> Any:
        """Hide the item from people who may not see cases."""
        item = super().get_menu_item(order)
        item.is_shown = lambda request: may(request.user, Action.VIEW_CASES)
        return item


class CaseViewSet(StaffViewSet):
    """The queue, the case page and its verbs."""

    name = "refund_cases"
    url_prefix = "refunds/cases"
    icon = "resubmit"
    menu_label = _("Requests")

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the cases."""
        return [
            path("", self.view(QueueView), name="index"),
            path("results/", self.view(QueueView, results_only=True), name="index_results"),
            path("<uuid:pk>/", self.view(CaseView), name="case"),
            *(path(f"<uuid:pk>/{verb.name}/", self.view(VerbView, verb=verb), name=verb.name) for verb in VERBS),
            path("<uuid:pk>/access/<int:fact>/", self.view(CorrectAccessView), name="access"),
            path("<uuid:pk>/give/", self.view(GiveView), name="give"),
            path("<uuid:pk>/give/<uuid:incentive>/take-back/", self.view(TakeBackView), name="take_back_incentive"),
            path("<uuid:pk>/retry/<uuid:refund>/", self.view(RetryView), name="retry"),
            *(
                path(f"<uuid:pk>/refunds/<uuid:refund>/{verb.name}/", self.view(RefundVerbView, verb=verb), name=f"refund_{verb.name}")
                for verb in REFUND_VERBS
            ),
        ]


class PurchaseViewSet(StaffViewSet):
    """The purchases."""

    name = "refund_purchases"
    url_prefix = "refunds/purchases"
    icon = "clipboard-list"
    menu_label = _("Purchases")

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the purchases."""
        return [
            path("", self.view(PurchaseListView), name="index"),
            path("results/", self.view(PurchaseListView, results_only=True), name="index_results"),
            path("<int:pk>/", self.view(PurchaseView), name="purchase"),
        ]


class AutomaticViewSet(StaffViewSet):
    """How far the policy goes without a person, and the pause."""

    name = "refund_automatic"
    url_prefix = "refunds/automatic"
    icon = "sliders"
    menu_label = _("Automatic refunds")

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the brake."""
        return [
            path("", self.view(AutomaticView), name="index"),
            path("pause/", self.view(PauseView), name="pause"),
            path("resume/", self.view(ResumeView), name="resume"),
            path("release/", self.view(ReleaseView), name="release"),
        ]


class BooksViewSet(StaffViewSet):
    """The books, for those who may see them."""

    name = "refund_books"
    url_prefix = "refunds/books"
    icon = "table"
    menu_label = _("Books")

    def get_menu_item(self, order: int | None = None) -> Any:
        """Hide the item from people who may not see the books."""
        item = super().get_menu_item(order)
        item.is_shown = lambda request: may(request.user, Action.VIEW_BOOKS)
        return item

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the books."""
        return [
            path("", self.view(BooksView), name="index"),
            path("journal.csv", self.view(JournalView), name="journal"),
            path("credit-notes/", self.view(CreditNoteListView), name="credit_notes"),
            path("credit-notes/results/", self.view(CreditNoteListView, results_only=True), name="credit_notes_results"),
            path("credit-notes/<int:pk>/", self.view(CreditNoteView), name="credit_note"),
        ]


class MoneyViewSet(StaffViewSet):
    """Where all the money stands, and what compared it."""

    name = "refund_money"
    url_prefix = "refunds/money"
    icon = "check"
    menu_label = _("Money truth")

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the report."""
        return [
            path("", self.view(MoneyView), name="index"),
            path("progress/", self.view(ProgressView), name="progress"),
            path("money.csv", self.view(MoneyFileView), name="file"),
            path("<slug:slug>/compare/", self.view(CompareView), name="compare"),
            path("<slug:slug>/self-test/", self.view(SelfTestView), name="selftest"),
        ]


class DisputeViewSet(StaffViewSet):
    """What banks doubt."""

    name = "refund_disputes"
    url_prefix = "refunds/disputes"
    icon = "warning"
    menu_label = _("Disputes")

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the disputes."""
        return [
            path("", self.view(DisputeListView), name="index"),
            path("results/", self.view(DisputeListView, results_only=True), name="index_results"),
            path("<int:pk>/", self.view(DisputeView), name="dispute"),
            path("<int:pk>/evidence.zip", self.view(EvidenceView), name="evidence"),
        ]


class ExternalViewSet(StaffViewSet):
    """Refunds that were made past this shop."""

    name = "refund_externals"
    url_prefix = "refunds/elsewhere"
    icon = "redirect"
    menu_label = _("Refunded elsewhere")

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the external refunds."""
        return [
            path("", self.view(ExternalListView), name="index"),
            path("results/", self.view(ExternalListView, results_only=True), name="index_results"),
            path("<uuid:pk>/", self.view(ExternalView), name="external"),
        ]


class AlertMenuItem(MenuItem):
    """The menu item "Alerts", with the number of those that nobody has looked at."""

    def is_shown(self, request: HttpRequest) -> bool:
        """Only to people who may see cases."""
        return may(request.user, Action.VIEW_CASES)

    def render_component(self, request: HttpRequest) -> LinkMenuItem:
        """Write the number behind the label, when there is one."""
        component = super().render_component(request)
        waiting = open_alerts()
        if waiting:
            component.label = _("Alerts (%(waiting)d)") % {"waiting": waiting}
        return component


class AlertViewSet(StaffViewSet):
    """What a person must look at."""

    name = "refund_alerts"
    url_prefix = "refunds/alerts"
    icon = "warning"
    menu_label = _("Alerts")

    def get_menu_item(self, order: int | None = None) -> AlertMenuItem:
        """Return the item with the number."""
        plain = super().get_menu_item(order)
        return AlertMenuItem(plain.label, plain.url, name=plain.name, icon_name=plain.icon_name, order=plain.order)

    def get_urlpatterns(self) -> list[URLPattern]:
        """Routes of the alerts."""
        return [
            path("", self.view(AlertListView), name="index"),
            path("results/", self.view(AlertListView, results_only=True), name="index_results"),
            path("<int:pk>/", self.view(AlertView), name="alert"),
        ]


class WorkListViewSet(StaffViewSet):
    """The work list, for those who may pay by hand."""

    name = "refund_by_hand"
    url_prefix = "refunds/by-hand"
    icon = "clipboard-list"
    menu_label = _("Pay by hand")

    def get_menu_item(self, order: int | None = None) -> Any:
        """Hide the item from people who may not pay by hand."""
        item = super().get_menu_item(order)
        item.is_shown = lambda request: may(request.user, Action.PAY_BY_HAND)
        return item

    def get_urlpatterns(self) -> list[URLPattern]:
        """The one page."""
        return [path("", self.view(WorkListView), name="index")]


class SaleorViewSet(StaffViewSet):
    """The Saleors that use the App."""

    name = "refund_saleor"
    url_prefix = "refunds/saleor"
    icon = "link"
    menu_label = _("Saleor")

    def get_menu_item(self, order: int | None = None) -> Any:
        """Hide the item where no Saleor may install the App."""
        item = super().get_menu_item(order)
        item.is_shown = lambda request: bool(settings().saleor) and may(request.user, Action.VIEW_CASES)
        return item

    def get_urlpatterns(self) -> list[URLPattern]:
        """The one page."""
        return [path("", self.view(SaleorView), name="index")]


class CountingMenuItem(SubmenuMenuItem):
    """The menu "Refunds", with the number of requests that need a person."""

    def render_component(self, request: HttpRequest) -> SubMenuItem:
        """Write the number behind the label, when there is one."""
        component = super().render_component(request)
        waiting = count_needing_person()
        if waiting:
            component.label = _("Refunds (%(waiting)d)") % {"waiting": waiting}
        return component


class RefundsGroup(ViewSetGroup):
    """Everything of the staff's door under one menu."""

    menu_label = _("Refunds")
    menu_name = "refunds"
    menu_icon = "resubmit"
    menu_order = 250
    items = (
        CaseViewSet,
        AlertViewSet,
        PurchaseViewSet,
        DisputeViewSet,
        ExternalViewSet,
        WorkListViewSet,
        AutomaticViewSet,
        MoneyViewSet,
        BooksViewSet,
        SaleorViewSet,
    )

    def get_menu_item(self, order: int | None = None) -> CountingMenuItem:
        """Return the menu with the number."""
        plain = super().get_menu_item(order)
        return CountingMenuItem(plain.label, plain.menu, name=plain.name, icon_name=plain.icon_name, order=plain.order)
