"""The editor's question before publishing: what would this draft have done?"""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View
from wagtail.admin import messages
from wagtail.admin.filters import WagtailFilterSet
from wagtail.admin.ui.tables import Column, TitleColumn
from wagtail.admin.views.generic.base import BaseListingView

from cms_pages.replay_parts import PolicyMixin, csv_lines, csv_response, panel, said_twice
from refund_plugin import clock
from refund_plugin.errors import InvalidInput
from refund_plugin.localize import formatter_for
from refund_plugin.money import Money
from refund_plugin.refunds.replay.models import Answer, ReplayChange, ReplayKind, ReplayRun, ReplayState
from refund_plugin.refunds.replay.queries import both_answers, changes_of, comparisons, replays_of, shadows_of
from refund_plugin.refunds.replay.services import PERIODS_DAYS, cancel_replay, start_replay
from refund_plugin.refunds.replay.shadow import MAX_DAYS
from refund_plugin.refunds.replay.tally import MAX_KEPT

LISTED = 10


def periods() -> list[tuple[int, str]]:
    """Return the periods to choose from, in the reader's language."""
    return [(days, _("%(days)d days") % {"days": days}) for days in PERIODS_DAYS]


class StartForm(forms.Form):
    """How far to look back."""

    days = forms.TypedChoiceField(
        label=gettext_lazy("Look back"),
        coerce=int,
        choices=periods,
        initial=90,
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Choose how far to look back.")},
    )


class StartView(PolicyMixin, TemplateView):
    """Choose a period and start; what was replayed before stands below."""

    template_name = "cms_pages/admin/replay_start.html"

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Start, and show the report that fills itself."""
        form = StartForm(request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form))
        try:
            run = start_replay(
                store=self.store,
                policy_key=self.page.policy_key,
                document=self.draft(),
                days=form.cleaned_data["days"],
                now=clock.now(),
                **self.by(),
            )
        except InvalidInput as error:
            messages.error(request, str(error))
            return redirect("refund_policy_replay", self.page.pk)
        return redirect("refund_policy_replay_run", self.page.pk, run.pk)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the form, and what there is already."""
        of_policy = {"store": self.store, "policy_key": self.page.policy_key}
        kwargs.setdefault("form", StartForm())
        return super().get_context_data(runs=replays_of(**of_policy)[:LISTED], shadows=shadows_of(**of_policy)[:LISTED], **kwargs)


class RunMixin(PolicyMixin):
    """A view about one replay of the page's policy."""

    @cached_property
    def run(self) -> ReplayRun:
        """The replay."""
        return get_object_or_404(replays_of(store=self.store, policy_key=self.page.policy_key), pk=self.kwargs["run_id"])

    def address(self, name: str, *more: int) -> str:
        """Return the address of one of the replay's pages."""
        return reverse(f"refund_policy_replay_{name}", args=[self.page.pk, self.run.pk, *more])


class RunView(RunMixin, TemplateView):
    """What a replay found, or how far it has come."""

    template_name = "cms_pages/admin/replay_run.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Sum it up."""
        requests, purchases = (panel(found, query=f"&kind={found.kind}") for found in comparisons(self.run))
        return super().get_context_data(
            run=self.run,
            running=self.run.state == ReplayState.RUNNING,
            panels=[requests, purchases],
            requests=requests,
            kept=self.run.counts.get("kept", 0),
            is_capped=self.run.counts.get("kept", 0) >= MAX_KEPT,
            max_kept=MAX_KEPT,
            max_days=MAX_DAYS,
            **kwargs,
        )


class ProgressView(RunMixin, View):
    """The part of the page that moves while a replay runs; nothing when it does not."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Write it."""
        context = {"run": self.run, "running": self.run.state == ReplayState.RUNNING}
        response = render(request, "cms_pages/admin/_replay_progress.html", context)
        response["Cache-Control"] = "private, no-store"
        return response


class StopView(RunMixin, View):
    """Stop a replay."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Stop it, and show what it has found."""
        if cancel_replay(run_id=self.run.pk, now=clock.now()):
            messages.success(request, _("The replay was stopped. What it had found until then is shown."))
        return redirect("refund_policy_replay_run", self.page.pk, self.run.pk)


class AmountColumn(Column):
    """An amount of a changed line; nothing for a no."""

    def get_value(self, instance: Any) -> str:
        """Write it."""
        minor = super().get_value(instance)
        return formatter_for(timezone="UTC").money(Money(minor, instance.currency)) if minor else ""


def answer_columns(*, may_see_cases: bool) -> list[Column]:
    """Columns that changed lines and silent answers share."""
    order = Column("line.purchase.number", label=gettext_lazy("Order"), classname="refund-reference")
    return [
        *([order] if may_see_cases else []),
        Column("get_before_display", label=gettext_lazy("So far")),
        AmountColumn("before_minor", label=gettext_lazy("Amount"), classname="refund-number"),
        Column("get_after_display", label=gettext_lazy("This draft")),
        AmountColumn("after_minor", label=gettext_lazy("Amount"), classname="refund-number"),
    ]


class AnswerFilterSet(WagtailFilterSet):
    """Filters that changed lines and silent answers share."""

    before = django_filters.ChoiceFilter(label=gettext_lazy("So far"), choices=Answer.choices[:3], widget=forms.RadioSelect)
    after = django_filters.ChoiceFilter(label=gettext_lazy("This draft"), choices=Answer.choices, widget=forms.RadioSelect)
    amount = django_filters.BooleanFilter(label=gettext_lazy("Only the amount differs"), method="filter_amount", widget=forms.HiddenInput)

    def filter_amount(self, queryset: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Keep lines with the same answer and another amount."""
        same = Q(before=F("after"))
        return queryset.filter(same & ~Q(before_minor=F("after_minor"))) if value else queryset.exclude(same)


class ChangeFilterSet(AnswerFilterSet):
    """Filters of the changed lines."""

    kind = django_filters.ChoiceFilter(label=gettext_lazy("What"), choices=ReplayKind.choices, widget=forms.RadioSelect)
    denied = django_filters.BooleanFilter(
        label=gettext_lazy("Newly a no"),
        widget=forms.RadioSelect(choices=[("", gettext_lazy("All")), ("true", gettext_lazy("Yes")), ("false", gettext_lazy("No"))]),
    )

    class Meta:
        model = ReplayChange
        fields: list[str] = []


class ChangesView(RunMixin, BaseListingView):
    """The lines that the draft answers otherwise."""

    model = ReplayChange
    template_name = "refund_plugin/staff/purchases.html"
    results_template_name = "wagtailadmin/generic/listing_results.html"
    default_ordering = "pk"
    paginate_by = 50
    filterset_class = ChangeFilterSet
    verbose_name_plural = gettext_lazy("changed answers")

    def get_page_title(self) -> str:
        """Name the list."""
        return _("Changed answers")

    def trail(self) -> list[tuple[str, str]]:
        """The report stands before it."""
        return [(super().get_page_title(), reverse("refund_policy_replay_run", args=[self.page.pk, self.run.pk]))]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns; the name leads to both answers in words."""
        name = TitleColumn("line.name", label=gettext_lazy("What"), get_url=lambda change: self.address("change", change.pk))
        return [name, Column("get_kind_display", label=gettext_lazy("Kind")), *answer_columns(may_see_cases=self.may_see_cases())]

    def get_base_queryset(self) -> QuerySet[ReplayChange]:
        """Start from the room's own query."""
        return changes_of(self.run)

    def get_index_url(self) -> str:
        """The list's own address."""
        return self.address("changes")

    def get_index_results_url(self) -> str:
        """Where its rows come from when a filter changes."""
        return self.address("results")


class ChangesFileView(RunMixin, View):
    """The changed lines as a file."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse | StreamingHttpResponse:
        """Stream it."""
        return csv_response(csv_lines(changes_of(self.run), may_see_cases=self.may_see_cases()), f"replay-{self.run.pk}")


class ChangeView(RunMixin, TemplateView):
    """Both answers about one line, in words."""

    template_name = "cms_pages/admin/replay_change.html"

    @cached_property
    def change(self) -> ReplayChange:
        """The line."""
        found = changes_of(self.run).select_related("run", "version", "line__purchase", "request").filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise Http404
        return found

    def get_page_title(self) -> str:
        """Name the product."""
        return str(self.change.line.name)

    def trail(self) -> list[tuple[str, str]]:
        """The report and the list stand before it."""
        report = reverse("refund_policy_replay_run", args=[self.page.pk, self.run.pk])
        return [(super().get_page_title(), report), (_("Changed answers"), self.address("changes"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say both."""
        return super().get_context_data(
            line=self.change.line,
            case=self.change.request,
            said=said_twice(self.change, both_answers(self.change, self.formatter)),
            may_see_cases=self.may_see_cases(),
            **kwargs,
        )


def urlpatterns() -> list[URLPattern]:
    """Return the routes of the replays, below the admin's own address."""
    base = "refund-policies/<int:page_id>/replay/"
    run = f"{base}<int:run_id>/"
    return [
        path(base, StartView.as_view(), name="refund_policy_replay"),
        path(run, RunView.as_view(), name="refund_policy_replay_run"),
        path(f"{run}progress/", ProgressView.as_view(), name="refund_policy_replay_progress"),
        path(f"{run}stop/", StopView.as_view(), name="refund_policy_replay_stop"),
        path(f"{run}changes/", ChangesView.as_view(), name="refund_policy_replay_changes"),
        path(f"{run}changes/results/", ChangesView.as_view(results_only=True), name="refund_policy_replay_results"),
        path(f"{run}changes/file/", ChangesFileView.as_view(), name="refund_policy_replay_file"),
        path(f"{run}changes/<int:pk>/", ChangeView.as_view(), name="refund_policy_replay_change"),
    ]
