"""The signed link to a file: it records the download, then the host's own function hands the file out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.module_loading import import_string
from django.views.decorators.http import require_safe

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.errors import NotFound
from refund_plugin.orders.access import correction_of, record_access
from refund_plugin.orders.models import AccessKind, PurchaseLine
from refund_plugin.web.frame import customer_page
from refund_plugin.web.handing_out import Access, access_of, answer_to_a_look, show_ended, show_resting

SOURCE = "download"
MAX_FILE = 500


@dataclass(frozen=True, slots=True)
class Download:
    """What the host's function is asked for: `file` is the reference that the link was made with."""

    line: PurchaseLine
    file: str


def download_path(*, line: PurchaseLine, file: str, now: datetime) -> str:
    """Return a link to one file of one line, for the page where its buyer presses "Download".

    It opens without a login, until `DOWNLOAD_SECONDS` have passed, and counts as one download however often it is followed
    (a download that breaks off goes on with the same link). Make a new one each time the page is shown, and send none by mail:
    programs that look into mail follow links.

    Args:
        file: your name of the file, such as a path in your storage; up to `MAX_FILE` characters.
        now: UTC.
    Raises:
        ImproperlyConfigured: there is no `DOWNLOAD_HANDLER` to hand it out.
        ValueError: a name that is empty or too long.
    """
    if not settings().download_handler:
        raise ImproperlyConfigured('Set REFUND_PLUGIN["DOWNLOAD_HANDLER"] to the dotted path of your function that hands out files.')
    if not 0 < len(file) <= MAX_FILE:
        raise ValueError(f"A file of a download link has a name of 1 to {MAX_FILE} characters.")
    until = now + timedelta(seconds=settings().download_seconds)
    told = {"line": line.pk, "file": file, "until": int(until.timestamp()), "nonce": secrets.token_hex(12)}
    return reverse("refund_plugin:download", args=[_signer().sign_object(told)])


@customer_page
@require_safe
def download(request: HttpRequest, token: str) -> HttpResponse:
    """Record that the file was downloaded, once per link, in a transaction of its own; then hand it out."""
    now = clock.now()
    try:
        told = _signer().unsign_object(token)
    except (BadSignature, ValueError, UnicodeError):
        raise NotFound from None
    look = answer_to_a_look(request)
    if look is not None:
        return look
    if now >= datetime.fromtimestamp(told["until"], UTC):
        return show_ended(request)
    line = PurchaseLine.objects.select_related("purchase__store", "access_state").filter(pk=told["line"]).first()
    if line is None or not settings().download_handler:
        raise NotFound
    access = access_of(line)
    if access is not Access.USABLE:
        return show_resting(request, line, access)
    with transaction.atomic(durable=True):
        fact = record_access(line=line, kind=AccessKind.DOWNLOADED, source=SOURCE, source_id=told["nonce"], occurred_at=now, now=now)
    if correction_of(fact):  # its one download was taken out of the facts: the next one needs a link, and a record, of its own
        return show_ended(request)
    handed_out: HttpResponse = import_string(settings().download_handler)(request, Download(line=line, file=told["file"]))
    return handed_out


def _signer() -> Signer:
    return Signer(salt="refund_plugin.download", sep=".")
