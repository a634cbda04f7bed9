"""Bring the orders of a file into the store: safe to run again, and one bad row never keeps the good ones out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, RefundPluginError
from refund_plugin.orders.data import PurchaseData, Recorded
from refund_plugin.orders.import_formats import Row
from refund_plugin.orders.services import record_purchases
from refund_plugin.orders.validation import check_purchase
from refund_plugin.stores.models import Store

BATCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """An order that was left out: where it stands, which value it is about, and why, in words for people."""

    line: int
    number: str
    field: str
    code: str
    reason: str
    row: object


@dataclass(slots=True)
class Report:
    """How many orders the import met so far, by what became of them."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0

    @property
    def total(self) -> int:
        """All orders met so far."""
        return self.created + self.updated + self.unchanged + self.rejected


def import_purchases(
    *,
    store: Store,
    rows: Iterable[Row],
    now: datetime,
    on_rejected: Callable[[Rejected], None],
    on_progress: Callable[[Report], None] = lambda report: None,
    dry_run: bool = False,
    batch: int = BATCH,
) -> Report:
    """Record the orders of a file, several in one transaction; a batch with an order that is refused is told one by one.

    Args:
        on_rejected: called for every order that is left out.
        on_progress: called after every batch.
        dry_run: check everything against the database, and keep nothing.
        batch: orders per transaction.
    """
    report = Report()
    waiting: list[Row] = []
    seen: dict[int, int] = {}

    def reject(row: Row, error: RefundPluginError) -> None:
        report.rejected += 1
        on_rejected(
            Rejected(
                line=row.line_of(error.field), number=row.number, field=error.field or "", code=error.code, reason=str(error), row=row.raw
            )
        )

    def flush() -> None:
        _record_batch(store, waiting, now=now, dry_run=dry_run, report=report, reject=reject)
        waiting.clear()
        on_progress(report)

    for row in rows:
        error = row.error or _refusal(row, seen, now=now)
        if error is not None:
            reject(row, error)
            continue
        waiting.append(row)
        if len(waiting) >= batch:
            flush()
    flush()
    return report


def _refusal(row: Row, seen: dict[int, int], *, now: datetime) -> RefundPluginError | None:
    """Return why an order cannot be recorded, as far as that shows without the database."""
    data = _data(row)
    try:
        number = check_purchase(data, now=now).number
    except RefundPluginError as error:
        return error
    # a hash per order keeps the memory small on files with millions
    first = seen.setdefault(hash(number), row.line)
    if first != row.line:
        message = _("Order %(number)s already stands in line %(line)d; the rows of one order must follow each other.")
        return InvalidInput(message % {"number": number, "line": first}, field="number")
    return None


def _data(row: Row) -> PurchaseData:
    if row.data is None:
        raise ValueError("a row without data has an error")
    return row.data


def _record_batch(
    store: Store,
    rows: list[Row],
    *,
    now: datetime,
    dry_run: bool,
    report: Report,
    reject: Callable[[Row, RefundPluginError], None],
) -> None:
    if not rows:
        return
    try:
        _count(report, _record(store, rows, now=now, dry_run=dry_run))
    except (RefundPluginError, IntegrityError):
        for row in rows:
            try:
                _count(report, _record(store, [row], now=now, dry_run=dry_run))
            except RefundPluginError as error:
                reject(row, error)
            except IntegrityError:
                reject(row, InvalidInput(_("The database refuses this order as it stands.")))


def _record(store: Store, rows: list[Row], *, now: datetime, dry_run: bool) -> list[Recorded]:
    with transaction.atomic():
        recorded = record_purchases(store=store, items=[_data(row) for row in rows], now=now)
        transaction.set_rollback(dry_run)
    return [outcome for _purchase, outcome in recorded]


def _count(report: Report, outcomes: list[Recorded]) -> None:
    for outcome in outcomes:
        setattr(report, outcome.value, getattr(report, outcome.value) + 1)
