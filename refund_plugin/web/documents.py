"""Wagtail's documents that were bought: opening one is recorded for the line of whoever is signed in, before it is served."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string
from wagtail import hooks

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.orders.access import record_access
from refund_plugin.orders.models import AccessCorrection, AccessKind, PurchaseLine
from refund_plugin.web.frame import store_of
from refund_plugin.web.handing_out import Access, access_of, answer_to_a_look, show_not_yours, show_resting
from refund_plugin.web.headers import protect

SOURCE = "document"
MOST_LINES = 100


@hooks.register("before_serve_document", order=100)  # after Wagtail's own, which asks for passwords and logins
def record_document(document: Any, request: HttpRequest) -> HttpResponse | None:
    """Record that a document was downloaded, once a day and line; return a page instead of it to whoever may not have it.

    Which documents were bought, and under which SKU, is told by the function that `DOCUMENT_SKU` names. Editors open
    everything, and nothing is recorded for them.
    """
    sku = import_string(settings().document_sku)(document) if settings().document_sku else ""
    user = getattr(request, "user", None)
    if not sku or (user is not None and user.has_perm("wagtailadmin.access_admin")):
        return None
    refusal = answer_to_a_look(request) or _record(document, sku, user, request)
    if refusal is not None:
        refusal.headers.setdefault("Cache-Control", "no-store")
        protect(refusal)
    return refusal


def _record(document: Any, sku: str, user: Any, request: HttpRequest) -> HttpResponse | None:
    lines = _lines(sku, user, request)
    if not lines:
        return show_not_yours(request)
    usable = [line for line in lines if access_of(line) is Access.USABLE]
    if not usable:
        return show_resting(request, lines[-1], access_of(lines[-1]))
    line, now = usable[0], clock.now()  # bought twice: the one that was bought first is used first
    name = f"{document.pk}-{now:%Y-%m-%d}-"
    with transaction.atomic():
        corrected = AccessCorrection.objects.filter(event__line=line, event__source=SOURCE, event__source_id__startswith=name).count()
        # what was corrected does not count, so the next download of that day is another fact
        record_access(line=line, kind=AccessKind.DOWNLOADED, source=SOURCE, source_id=f"{name}{corrected}", occurred_at=now, now=now)
    return None


def _lines(sku: str, user: Any, request: HttpRequest) -> list[PurchaseLine]:
    """Return the lines with this SKU that belong to a signed-in user in the site's store, the oldest first."""
    if user is None or not user.is_authenticated:
        return []
    bought = PurchaseLine.objects.filter(sku=sku, purchase__user_id=user.pk, purchase__store=store_of(request))
    return list(bought.select_related("access_state").order_by("purchase__purchased_at", "pk")[:MOST_LINES])
