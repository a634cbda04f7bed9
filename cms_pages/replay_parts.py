"""What the pages about replays and silent drafts have in common: the policy page, its draft, who may look, and the chart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin

from cms_pages.blocks import fill_anchors
from cms_pages.documents import document_of
from cms_pages.policy_pages import policy_page_models
from refund_plugin.actor import Action
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.refunds.ledger.journal import as_csv
from refund_plugin.refunds.people import may
from refund_plugin.refunds.replay.models import Answer
from refund_plugin.refunds.replay.queries import GIVEN, Comparison
from refund_plugin.rules import LineExplanation, PolicyDocument
from refund_plugin.stores.models import Store

CHART_WIDTH = 600


class PolicyMixin(WagtailAdminTemplateMixin):
    """A view about one source page of a policy, for those who may edit the page; of the page's own store only."""

    request: HttpRequest
    kwargs: dict[str, Any]
    header_icon = "history"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Refuse pages that make no versions, and people who may not edit this one."""
        user = request.user
        if not self.page.permissions_for_user(user).can_edit() or not self.page.may_replay(self.store, user=user):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    @cached_property
    def page(self) -> Any:
        """The policy page."""
        page = next((page for model in policy_page_models() for page in model.objects.filter(pk=self.kwargs["page_id"])), None)
        if page is None or not page.is_source:
            raise Http404
        return page

    @cached_property
    def store(self) -> Store:
        """The store whose past is looked at."""
        store: Store = self.page.store
        return store

    @cached_property
    def formatter(self) -> Formatter:
        """Writes in the reader's language and the store's time zone."""
        return formatter_for(timezone=self.store.timezone)

    def draft(self) -> PolicyDocument:
        """Return the clauses of the draft that was saved last, exactly as publishing it would freeze them."""
        draft = self.page.get_latest_revision_as_object()
        fill_anchors(draft.clauses)
        return document_of(draft.clauses, draft.limits)

    def by(self) -> dict[str, str]:
        """Return who acts, as services take it."""
        user: Any = self.request.user
        return {"by_id": str(user.pk), "by_label": user.get_full_name() or user.get_username()}

    def may_see_cases(self) -> bool:
        """Tell whether the reader may know a line's case or order, and follow it there."""
        return may(self.request.user, Action.VIEW_CASES)

    def get_page_title(self) -> str:
        """Ask the question."""
        return _("What would this have done?")

    def get_page_subtitle(self) -> str:
        """Name the page."""
        return str(self.page.get_admin_display_title())

    def trail(self) -> list[tuple[str, str]]:
        """Return the pages between the policy page and this one, as (label, address)."""
        return []

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, the policy page, what is between, this one."""
        edit = {"url": reverse("wagtailadmin_pages:edit", args=[self.page.pk]), "label": self.page.get_admin_display_title()}
        between = [{"url": url, "label": label} for label, url in self.trail()]
        return [*self.breadcrumbs_items, edit, *between, {"url": "", "label": self.get_page_title()}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what every page shows."""
        return super().get_context_data(page=self.page, store=self.store, formatter=self.formatter, **kwargs)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: an answer, how many lines have it, and where it is drawn."""

    answer: str
    count: int
    x: int
    width: int

    @property
    def middle(self) -> int:
        """Where the number stands."""
        return self.x + self.width // 2

    @property
    def has_room(self) -> bool:
        """Whether the number fits in."""
        return self.width >= 20 + 16 * len(str(self.count))


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the chart; all have the same width, because they show the same lines."""

    label: str
    segments: Sequence[Segment]


def chart(found: Comparison) -> list[Bar]:
    """Draw the answers given above those of the draft."""
    return [
        Bar(_("So far"), _segments({answer: found.given(answer) for answer in GIVEN})),
        Bar(_("This draft"), _segments({answer: found.drafted(answer) for answer in GIVEN})),
    ]


def _segments(counts: Mapping[Any, int]) -> list[Segment]:
    whole, before, segments = sum(counts.values()), 0, []
    for answer, count in counts.items():
        if count:
            x = CHART_WIDTH * before // whole
            segments.append(Segment(str(answer), count, x, CHART_WIDTH * (before + count) // whole - x))
        before += count
    return segments


@dataclass(frozen=True, slots=True)
class Change:
    """Lines that went from one answer to another; `query` finds them in the list."""

    before: str
    after: str
    count: int
    query: str


@dataclass(frozen=True, slots=True)
class Panel:
    """What a page shows of one comparison."""

    found: Comparison
    bars: Sequence[Bar]
    changes: Sequence[Change]

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The chart's numbers, for the table beside it."""
        return [{"answer": str(answer), "given": self.found.given(answer), "drafted": self.found.drafted(answer)} for answer in GIVEN]


def panel(found: Comparison, *, query: str = "") -> Panel:
    """Prepare a comparison for its page; the greatest changes come first.

    Args:
        query: what finds the comparison's lines in the list.
    """
    changes = [
        Change(str(Answer(before).label), str(Answer(after).label), count, f"before={before}&after={after}{query}")
        for (before, after), count in found.answers.items()
        if before != after
    ]
    if found.amounts:
        changes.append(Change(_("one amount"), _("another amount"), found.amounts, f"amount=true{query}"))
    return Panel(found, chart(found), sorted(changes, key=lambda change: -change.count))


def csv_response(lines: Iterator[list[str]], name: str) -> HttpResponse | StreamingHttpResponse:
    """Return a file for a spreadsheet; no cell is taken for a formula."""
    response = StreamingHttpResponse(as_csv(lines), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response["Cache-Control"] = "private, no-store"
    return response


def csv_lines(rows: QuerySet[Any], *, may_see_cases: bool) -> Iterator[list[str]]:
    """Write changed lines or silent answers, both of which have the same columns.

    Args:
        may_see_cases: tell which order and request a line is of; else those columns stay empty.
    """
    yield ["order", "request", "product", "sku", "answer", "draft", "currency", "amount", "amount_draft"]
    for row in rows.iterator(chunk_size=500):
        request = row.request if hasattr(row, "request_id") else row.decision.request
        yield [
            row.line.purchase.number if may_see_cases else "",
            request.reference if request and may_see_cases else "",
            row.line.name,
            row.line.sku,
            row.before,
            row.after,
            row.currency,
            f"{Money(row.before_minor, row.currency).decimal:f}",
            f"{Money(row.after_minor, row.currency).decimal:f}",
        ]


@dataclass(frozen=True, slots=True)
class Said:
    """One of the two answers about a line, for its page."""

    title: str
    answer: str
    amount: Money | None
    words: LineExplanation | None


def said_twice(row: Any, words: tuple[LineExplanation | None, LineExplanation | None]) -> list[Said]:
    """Put the answer given beside the draft's."""
    return [
        Said(title, str(Answer(answer).label), Money(minor, row.currency) if minor else None, explained)
        for title, answer, minor, explained in (
            (_("So far"), row.before, row.before_minor, words[0]),
            (_("This draft"), row.after, row.after_minor, words[1]),
        )
    ]
