"""Drafts that decide silently beside the policy in force: start one from a replay, read where it disagrees, stop it."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import TemplateView, View
from wagtail.admin import messages
from wagtail.admin.ui.tables import Column, TitleColumn
from wagtail.admin.views.generic.base import BaseListingView

from cms_pages.replay_parts import PolicyMixin, csv_lines, csv_response, panel, said_twice
from cms_pages.replay_views import AnswerFilterSet, RunMixin, answer_columns
from refund_plugin import clock
from refund_plugin.errors import InvalidInput
from refund_plugin.refunds.replay.models import Shadow, ShadowVerdict
from refund_plugin.refunds.replay.queries import shadow_answers, shadow_comparison, shadows_of, verdicts_of
from refund_plugin.refunds.replay.shadow import MAX_DAYS, start_shadow, stop_shadow
from refund_plugin.rules import load_document


class DaysForm(forms.Form):
    """How long a draft decides silently."""

    days = forms.IntegerField(min_value=1, max_value=MAX_DAYS)


class ShadowStartView(RunMixin, View):
    """Let the draft of a replay decide silently."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Start it, and show its report."""
        form = DaysForm(request.POST)
        if not form.is_valid():
            messages.error(request, _("Choose 1 to %(max)d days.") % {"max": MAX_DAYS})
            return redirect("refund_policy_replay_run", self.page.pk, self.run.pk)
        try:
            shadow = start_shadow(
                store=self.store,
                policy_key=self.page.policy_key,
                document=load_document(self.run.document),
                days=form.cleaned_data["days"],
                now=clock.now(),
                **self.by(),
            )
        except InvalidInput as error:
            messages.error(request, str(error))
            return redirect("refund_policy_replay_run", self.page.pk, self.run.pk)
        messages.success(request, _("The draft decides silently from now on. Customers notice nothing of it."))
        return redirect("refund_policy_shadow", self.page.pk, shadow.pk)


class ShadowMixin(PolicyMixin):
    """A view about one silent draft of the page's policy."""

    header_icon = "view"

    @cached_property
    def shadow(self) -> Shadow:
        """The silent draft."""
        return get_object_or_404(shadows_of(store=self.store, policy_key=self.page.policy_key), pk=self.kwargs["shadow_id"])

    def address(self, name: str, *more: int) -> str:
        """Return the address of one of its pages."""
        return reverse(f"refund_policy_shadow_{name}", args=[self.page.pk, self.shadow.pk, *more])

    def get_page_title(self) -> str:
        """Name what it is."""
        return _("Silent draft")

    def trail(self) -> list[tuple[str, str]]:
        """The replays stand before it."""
        return [(super().get_page_title(), reverse("refund_policy_replay", args=[self.page.pk]))]


class ShadowView(ShadowMixin, TemplateView):
    """Where a silent draft and the policy in force disagree."""

    template_name = "cms_pages/admin/shadow.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Sum it up."""
        shadow = self.shadow
        is_on = shadow.stopped_at is None and shadow.ends_at > clock.now()
        return super().get_context_data(
            shadow=shadow,
            is_on=is_on,
            ended_at=shadow.ends_at if shadow.stopped_at is None else shadow.stopped_at,
            panel=panel(shadow_comparison(shadow)),
            **kwargs,
        )


class ShadowStopView(ShadowMixin, View):
    """Stop a silent draft."""

    http_method_names = ["post"]

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Stop it; what it said stays."""
        if stop_shadow(shadow_id=self.shadow.pk, now=clock.now()):
            messages.success(request, _("The draft says no more. What it said stays here."))
        return redirect("refund_policy_shadow", self.page.pk, self.shadow.pk)


class VerdictFilterSet(AnswerFilterSet):
    """Filters of the silent answers."""

    differs = django_filters.BooleanFilter(
        label=gettext_lazy("Disagrees"),
        widget=forms.RadioSelect(choices=[("", gettext_lazy("All")), ("true", gettext_lazy("Yes")), ("false", gettext_lazy("No"))]),
    )

    class Meta:
        model = ShadowVerdict
        fields: list[str] = []


class VerdictsView(ShadowMixin, BaseListingView):
    """What a silent draft said, line by line."""

    model = ShadowVerdict
    template_name = "refund_plugin/staff/purchases.html"
    results_template_name = "wagtailadmin/generic/listing_results.html"
    default_ordering = "-pk"
    paginate_by = 50
    filterset_class = VerdictFilterSet
    verbose_name_plural = gettext_lazy("silent answers")

    def get_page_title(self) -> str:
        """Name the list."""
        return _("Silent answers")

    def trail(self) -> list[tuple[str, str]]:
        """The report stands before it."""
        return [*super().trail(), (super().get_page_title(), reverse("refund_policy_shadow", args=[self.page.pk, self.shadow.pk]))]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns; the name leads to both answers in words."""
        name = TitleColumn("line.name", label=gettext_lazy("What"), get_url=lambda verdict: self.address("answer", verdict.pk))
        request = Column("decision.request.reference", label=gettext_lazy("Request"))
        may_see_cases = self.may_see_cases()
        return [name, *([request] if may_see_cases else []), *answer_columns(may_see_cases=may_see_cases)]

    def get_base_queryset(self) -> QuerySet[ShadowVerdict]:
        """Start from the room's own query."""
        return verdicts_of(self.shadow)

    def get_index_url(self) -> str:
        """The list's own address."""
        return self.address("answers")

    def get_index_results_url(self) -> str:
        """Where its rows come from when a filter changes."""
        return self.address("results")


class VerdictsFileView(ShadowMixin, View):
    """The disagreements as a file."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse | StreamingHttpResponse:
        """Stream it."""
        return csv_response(
            csv_lines(verdicts_of(self.shadow).filter(differs=True), may_see_cases=self.may_see_cases()), f"silent-{self.shadow.pk}"
        )


class VerdictView(ShadowMixin, TemplateView):
    """Both answers about one line of a decision, in words."""

    template_name = "cms_pages/admin/replay_change.html"

    @cached_property
    def verdict(self) -> ShadowVerdict:
        """The silent answer."""
        rows = verdicts_of(self.shadow).select_related("shadow", "line__purchase", "decision__request", "decision__policy_version")
        found = rows.filter(pk=self.kwargs["pk"]).first()
        if found is None:
            raise Http404
        return found

    def get_page_title(self) -> str:
        """Name the product."""
        return str(self.verdict.line.name)

    def trail(self) -> list[tuple[str, str]]:
        """The report and the list stand before it."""
        report = reverse("refund_policy_shadow", args=[self.page.pk, self.shadow.pk])
        return [*super().trail(), (_("Silent draft"), report), (_("Silent answers"), self.address("answers"))]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say both."""
        return super().get_context_data(
            line=self.verdict.line,
            case=self.verdict.decision.request,
            said=said_twice(self.verdict, shadow_answers(self.verdict, self.formatter)),
            may_see_cases=self.may_see_cases(),
            **kwargs,
        )


def urlpatterns() -> list[URLPattern]:
    """Return the routes of the silent drafts, below the admin's own address."""
    base = "refund-policies/<int:page_id>/silent/<int:shadow_id>/"
    return [
        path("refund-policies/<int:page_id>/replay/<int:run_id>/silent/", ShadowStartView.as_view(), name="refund_policy_shadow_start"),
        path(base, ShadowView.as_view(), name="refund_policy_shadow"),
        path(f"{base}stop/", ShadowStopView.as_view(), name="refund_policy_shadow_stop"),
        path(f"{base}answers/", VerdictsView.as_view(), name="refund_policy_shadow_answers"),
        path(f"{base}answers/results/", VerdictsView.as_view(results_only=True), name="refund_policy_shadow_results"),
        path(f"{base}answers/file/", VerdictsFileView.as_view(), name="refund_policy_shadow_file"),
        path(f"{base}answers/<int:pk>/", VerdictView.as_view(), name="refund_policy_shadow_answer"),
    ]
