"""The work list on a page: what waits, the list to download (claimed or not), and the filled list to check and to record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.functional import cached_property
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.generic import TemplateView
from wagtail.admin import messages
from wagtail.admin.views.generic.base import WagtailAdminTemplateMixin
from wagtail.admin.views.generic.permissions import PermissionCheckedMixin

from refund_plugin import clock
from refund_plugin.actor import Action, Actor
from refund_plugin.errors import InvalidInput
from refund_plugin.localize import formatter_for
from refund_plugin.money import Money
from refund_plugin.refunds.ledger.journal import as_csv
from refund_plugin.refunds.manual.worklist import MAX_BYTES, MAX_CLAIMS, check_list, export, record_list, waiting
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.states import RefundState
from refund_plugin.staff.permissions import policy
from refund_plugin.stores.services import ensure_default_store

BOM = "\ufeff"  # so that spreadsheets take the file for UTF-8
SHOWN = 100


class UploadForm(forms.Form):
    """The filled list; it is only checked unless somebody says otherwise."""

    file = forms.FileField(
        label=gettext_lazy("The filled list"),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        help_text=gettext_lazy("Fill in method (bank, store_credit or other), paid_on (such as 2026-03-31) and paid_reference."),
    )
    record = forms.BooleanField(
        label=gettext_lazy("Record the payments"),
        required=False,
        help_text=gettext_lazy("Without this the list is only checked."),
    )

    def clean_file(self) -> UploadedFile:
        """Refuse what is too large before it is read."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > MAX_BYTES:
            raise forms.ValidationError(_("This file is larger than a work list can be."))
        return file


class WorkListView(PermissionCheckedMixin, WagtailAdminTemplateMixin, TemplateView):
    """What waits, for those who may pay by hand. A POST claims and downloads, or takes a filled list."""

    permission_policy = policy
    permission_required = Action.PAY_BY_HAND
    header_icon = "clipboard-list"
    page_title = gettext_lazy("Pay by hand")
    template_name = "refund_plugin/staff/worklist.html"
    http_method_names = ["get", "post"]
    request: HttpRequest

    @cached_property
    def actor(self) -> Actor:
        """This person, in every store."""
        return replace(staff_actor(self.request.user, ensure_default_store()), store_id=None)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]  # or a stream
        """Show the page, or download the list without claiming."""
        if "download" in request.GET:
            return self.download(claim=False)
        return super().get(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Claim and download, or check or record a filled list."""
        if "claim" in request.POST:
            return self.download(claim=True)
        form = UploadForm(request.POST, request.FILES)
        report = None
        if form.is_valid():
            content = form.cleaned_data["file"].read()
            handle = record_list if form.cleaned_data["record"] else check_list
            try:
                report = handle(content, by=self.actor, now=clock.now())
            except InvalidInput as error:
                form.add_error("file", forms.ValidationError(str(error)))
            else:
                if report.recorded:
                    messages.success(request, _("Payments recorded: %(count)d.") % {"count": report.recorded})
        return self.render_to_response(self.get_context_data(form=form, report=report))

    def download(self, *, claim: bool) -> StreamingHttpResponse:
        """Return the list as a file."""
        now, language = clock.now(), get_language() or "en"
        # line by line, because claiming hundreds takes a while: whoever waits sees it grow
        lines = _in_language(language, chain([BOM], as_csv(export(by=self.actor, claim=claim, now=now))))
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        name = "mine" if claim else "waiting"
        response["Content-Disposition"] = f'attachment; filename="refunds-{name}-{now:%Y-%m-%d-%H%M}.csv"'
        response["Cache-Control"] = "private, no-store"
        response["X-Content-Type-Options"] = "nosniff"
        return response

    def get_breadcrumbs_items(self) -> list[dict[str, Any]]:
        """Home, this page."""
        return [*self.breadcrumbs_items, {"url": "", "label": _("Pay by hand")}]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Gather what the page shows."""
        rows = waiting()
        free = [row for row in rows if row.state != RefundState.MANUAL_CLAIMED]
        kwargs.setdefault("form", UploadForm())
        kwargs.setdefault("report", None)
        return super().get_context_data(
            rows=rows[:SHOWN],
            hidden=max(0, len(rows) - SHOWN),
            free=len(free),
            sums=_sums(free),
            claims=min(len(free), MAX_CLAIMS),
            mine=sum(row.state == RefundState.MANUAL_CLAIMED and row.claimed_by_id == self.actor.id for row in rows),
            formatter=formatter_for(timezone=ensure_default_store().timezone),
            **kwargs,
        )


def _in_language(language: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield lines that are made in a language: what is streamed is made after the admin has put its own away."""
    source = iter(lines)
    while True:
        with translation.override(language):
            line = next(source, None)
        if line is None:
            return
        yield line


def _sums(refunds: list[Refund]) -> list[Money]:
    sums: dict[str, int] = {}
    for refund in refunds:
        sums[refund.currency] = sums.get(refund.currency, 0) + refund.amount_minor
    return [Money(minor, currency) for currency, minor in sorted(sums.items())]
