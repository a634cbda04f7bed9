"""The books: what each account moved in a period, the journal to download, and the credit notes."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.generic import TemplateView, View
from wagtail.admin.ui.tables import Column, DateColumn, TitleColumn
from wagtail.admin.views import generic
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin
from wagtail.admin.widgets import AdminDateInput

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.conf import settings
from refund_plugin.errors import NotFound
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import format_money
from refund_plugin.refunds.ledger.journal import as_csv, journal
from refund_plugin.refunds.ledger.models import CreditNote
from refund_plugin.refunds.ledger.queries import account_totals, credit_note, credit_notes, days, note_lines, rate_totals
from refund_plugin.refunds.ledger.verify import ALERT_KIND
from refund_plugin.refunds.models import Alert
from refund_plugin.staff.permissions import policy
from refund_plugin.stores.queries import customer_stores


class PeriodForm(forms.Form):
    """Which days of which store; empty fields mean this month and every store."""

    first = forms.DateField(label=gettext_lazy("From"), widget=AdminDateInput)
    last = forms.DateField(label=gettext_lazy("To"), widget=AdminDateInput)
    store = forms.ModelChoiceField(
        label=gettext_lazy("Store"), queryset=customer_stores(), required=False, empty_label=gettext_lazy("All stores")
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins."""
        data = super().clean() or {}
        first, last = data.get("first"), data.get("last")
        if first and last and last < first:
            self.add_error("last", _("The last day is before the first."))
        return data


class BooksMixin(PermissionCheckedMixin):
    """A view of the books, for those who may see them."""

    permission_policy = policy
    permission_required = Action.VIEW_BOOKS
    request: HttpRequest
    kwargs: dict[str, Any]

    @cached_property
    def form(self) -> PeriodForm:
        """The period that was asked for, else this month."""
        query = self.request.GET.copy()
        today = formatter_for(timezone=settings().zone).local(clock.now()).date()
        query.setdefault("first", today.replace(day=1).isoformat())
        query.setdefault("last", today.isoformat())
        return PeriodForm(query)

    @property
    def period(self) -> dict[str, Any]:
        """The valid period, as the queries of the books take it."""
        first, last, store = (self.form.cleaned_data[name] for name in ("first", "last", "store"))
        start, end = days(first, last, timezone=store.timezone if store else settings().zone)
        return {"start": start, "end": end, "store_id": store.pk if store else None}


class BooksView(BooksMixin, WagtailAdminTemplateMixin, TemplateView):
    """What each account moved, and the way to the journal and the credit notes."""

    template_name = "refund_plugin/staff/books.html"
    page_title = gettext_lazy("Books")
    header_icon = "table"

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, books."""
        return [*self.breadcrumbs_items, {"url": "", "label": _("Books")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Sum up the period."""
        totals = account_totals(**self.period) if self.form.is_valid() else []
        language = get_language() or "en"
        by_currency: dict[str, list[tuple[str, str, str]]] = {}
        for total in totals:
            debit, credit = (format_money(amount, language) if amount else "" for amount in (total.debit, total.credit))
            by_currency.setdefault(total.debit.currency, []).append((total.name, debit, credit))
        return super().get_context_data(
            form=self.form,
            by_currency=by_currency,
            journal_url=f"{reverse('refund_books:journal')}?{self.request.GET.urlencode()}",
            differs=Alert.objects.filter(kind=ALERT_KIND, looked_at__isnull=True).first(),
            **kwargs,
        )


class JournalView(BooksMixin, View):
    """The journal of a period as a file."""

    def get(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Stream it."""
        if not self.form.is_valid():
            raise Http404
        first: date = self.form.cleaned_data["first"]
        last: date = self.form.cleaned_data["last"]
        response = StreamingHttpResponse(as_csv(journal(**self.period)), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="refunds-{first}-{last}.csv"'
        response["Cache-Control"] = "private, no-store"
        return response


class NoteAmountColumn(Column):
    """An amount of a credit note."""

    def get_value(self, instance: CreditNote) -> str:
        """Write it."""
        return format_money(getattr(instance, self.name), get_language() or "en")


def note_url(note: CreditNote) -> str:
    """Return a credit note's page."""
    return reverse("refund_books:credit_note", args=[note.pk])


class CreditNoteListView(generic.IndexView):
    """Every credit note and correction, the newest first."""

    model = CreditNote
    permission_policy = policy
    any_permission_required = [Action.VIEW_BOOKS]
    page_title = gettext_lazy("Credit notes")
    header_icon = "doc-full"
    template_name = "refund_plugin/staff/purchases.html"
    index_url_name = "refund_books:credit_notes"
    index_results_url_name = "refund_books:credit_notes_results"
    default_ordering = "-issued_at"
    paginate_by = 50
    search_fields = ["label", "refund__payment__purchase__number"]
    columns = [
        TitleColumn("label", label=gettext_lazy("Number"), get_url=note_url, sort_key="label", classname="refund-reference"),
        Column("refund.payment.purchase.number", label=gettext_lazy("Order")),
        NoteAmountColumn("gross", label=gettext_lazy("Amount"), classname="refund-number"),
        NoteAmountColumn("tax", label=gettext_lazy("Tax"), classname="refund-number"),
        Column("corrects.label", label=gettext_lazy("Corrects")),
        Column("tax_period", label=gettext_lazy("Tax period"), sort_key="tax_period"),
        DateColumn("issued_at", label=gettext_lazy("Issued"), sort_key="issued_at"),
    ]

    def get_base_queryset(self) -> QuerySet[CreditNote]:
        """Start from the room's own query."""
        return credit_notes()

    def order_queryset(self, queryset: QuerySet[CreditNote]) -> QuerySet[CreditNote]:
        """Keep rows of equal value in a stable order over pages."""
        return super().order_queryset(queryset).order_by(self.ordering, "-pk")


class CreditNoteView(BooksMixin, WagtailAdminTemplateMixin, TemplateView):
    """One document, ready to be printed."""

    template_name = "refund_plugin/staff/credit_note.html"
    header_icon = "doc-full"

    @cached_property
    def note(self) -> CreditNote:
        """The document."""
        try:
            return credit_note(self.kwargs["pk"])
        except NotFound as error:
            raise Http404 from error

    def get_page_title(self) -> str:
        """Name it."""
        return (
            _("Correction %(number)s") % {"number": self.note.label}
            if self.note.corrects_id
            else str(_("Credit note %(number)s") % {"number": self.note.label})
        )

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, credit notes, this one."""
        books = {"url": reverse("refund_books:index"), "label": _("Books")}
        listing = {"url": reverse("refund_books:credit_notes"), "label": _("Credit notes")}
        return [*self.breadcrumbs_items, books, listing, {"url": "", "label": self.note.label}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the document shows."""
        note, lines = self.note, note_lines(self.note)
        formatter: Formatter = formatter_for(timezone=note.store.timezone)
        purchase = note.refund.payment.purchase
        return super().get_context_data(note=note, purchase=purchase, lines=lines, rates=rate_totals(lines), formatter=formatter, **kwargs)
