"""Issue a credit note when money has gone to a customer, and a correction when it comes back.

What is issued follows from the refund as it stands, so an event that comes twice, late or out of order changes nothing.
Numbers have no gaps: whoever holds the series' row takes the next one in the transaction that writes the document, so a
number that was taken and not used cannot exist. A document is never changed or deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.events.models import Event
from refund_plugin.refunds import events
from refund_plugin.refunds.ledger.models import CreditNote, CreditNoteSeries
from refund_plugin.refunds.locks import for_update, lock_refund
from refund_plugin.refunds.models import Allocation, Refund, RefundOrigin
from refund_plugin.refunds.states import GONE
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)

NAME = "credit_notes"
KINDS = (
    events.REFUND_SUCCEEDED,
    events.REFUND_MANUAL_PAID,
    events.REFUND_FAILED,
    events.REFUND_RELEASED,
    events.REFUND_ALLOCATED,
)
EVERY_SECONDS = 6 * 3600
SETTLED_BEFORE = timedelta(hours=1)
_AMOUNTS = ("gross_minor", "tax_minor", "net_minor")


def on_event(event: Event) -> None:
    """Issue what a refund's event calls for; may be called again for the same event."""
    refund = event.payload.get("refund")
    if refund:
        settle_credit_notes(refund_id=UUID(str(refund)), now=clock.now())


def settle_credit_notes(*, refund_id: UUID, now: datetime) -> CreditNote | None:
    """Issue the document that a refund lacks: a credit note when its money has gone, a correction when it came back.

    Args:
        now: UTC; its month in the store's time zone is the tax period.
    Returns:
        What was issued; None when nothing is missing.
    """
    with transaction.atomic():
        refund = lock_refund(refund_id)
        if refund is None:
            return None
        parts = list(refund.allocations.select_related("line").order_by("line__position", "pk"))
        last = refund.credit_notes.order_by("-position").first()
        standing = last is not None and last.corrects_id is None
        if standing == _is_called_for(refund, parts):
            return None
        return _issue(refund, parts, last, now=now)


def catch_up(now: datetime) -> int:
    """Issue what events did not bring about, because their delivery was parked or the room was not there yet.

    Returns:
        How many documents were issued.
    """
    standing = CreditNote.objects.filter(refund=OuterRef("pk"), corrects__isnull=True, correction__isnull=True)
    gives_back = Q(owed=True) | Q(origin=RefundOrigin.EXTERNAL, allocations__isnull=False)
    settled = Refund.objects.filter(settled_at__lt=now - SETTLED_BEFORE, store__is_internal=False)
    missing = settled.filter(gives_back, ~Exists(standing), state__in=list(GONE))
    returned = settled.filter(Exists(standing)).exclude(state__in=list(GONE))
    ids = {*missing.values_list("pk", flat=True), *returned.values_list("pk", flat=True)}
    issued = 0
    for refund_id in sorted(ids):
        try:
            issued += settle_credit_notes(refund_id=refund_id, now=now) is not None
        except Exception:  # one document that cannot be written must not keep the others from being issued
            logger.exception("no credit note could be issued about refund %s", refund_id)
    return issued


def series_prefix(issued_at: datetime) -> str:
    """Return the beginning of the numbers that are given out at a moment (in the store's time zone)."""
    return settings().credit_note_prefix.replace("{year}", f"{issued_at:%Y}")


def _is_called_for(refund: Refund, parts: list[Allocation]) -> bool:
    """A refund that nothing was owed for gives back no revenue, unless it was found at the gateway and assigned to lines."""
    gives_back = (refund.owed or refund.origin == RefundOrigin.EXTERNAL) and not refund.payment.purchase.store.is_internal
    return refund.state in GONE and gives_back and bool(parts)


def _issue(refund: Refund, parts: list[Allocation], last: CreditNote | None, *, now: datetime) -> CreditNote:
    local = now.astimezone(ZoneInfo(refund.payment.purchase.store.timezone))
    corrected = last if last is not None and last.corrects_id is None else None
    lines = _negative(corrected.lines) if corrected is not None else [_line(part) for part in parts]
    series = _lock_series(refund.payment.purchase.store, series_prefix(local))
    series.last_number += 1
    series.save(update_fields=["last_number"])
    return CreditNote.objects.create(
        store_id=refund.store_id,
        series=series,
        number=series.last_number,
        label=f"{series.prefix}{series.last_number:06d}",
        refund=refund,
        position=1 if last is None else last.position + 1,
        corrects=corrected,
        issued_at=now,
        tax_period=f"{local:%Y-%m}",
        currency=refund.currency,
        gross_minor=sum(int(line["gross_minor"]) for line in lines),
        tax_minor=sum(int(line["tax_minor"]) for line in lines),
        lines=lines,
    )


def _lock_series(store: Store, prefix: str) -> CreditNoteSeries:
    CreditNoteSeries.objects.get_or_create(store=store, prefix=prefix)
    return for_update(CreditNoteSeries.objects.all()).get(store=store, prefix=prefix)


def _line(part: Allocation) -> dict[str, str | int]:
    return {
        "sku": part.line.sku,
        "name": part.line.name,
        "quantity": part.quantity,
        "gross_minor": part.gross_minor,
        "tax_minor": part.tax_minor,
        "net_minor": part.net_minor,
        "tax_rate_percent": f"{part.tax_rate_percent:f}",
    }


def _negative(lines: Iterable[dict[str, str | int]]) -> list[dict[str, str | int]]:
    return [{**line, **{name: -int(line[name]) for name in _AMOUNTS}} for line in lines]
