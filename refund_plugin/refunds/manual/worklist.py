"""The work list of a long outage: what waits for its money as CSV, claimed so that the machine cannot pay it, and the filled list back.

Reading a filled list changes nothing until every row of it is right; reading it twice records nothing twice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from itertools import islice
from uuid import UUID

from django.db.models import F, Q
from django.utils.translation import gettext as _

from refund_plugin.actor import Actor
from refund_plugin.errors import InvalidInput, RefundPluginError
from refund_plugin.refunds.manual import services
from refund_plugin.refunds.models import Refund, RefundOrigin
from refund_plugin.refunds.states import OVER, RefundState

COLUMNS = (
    "reference",
    "refund",
    "amount",
    "currency",
    "order",
    "customer",
    "email",
    "payment",
    "reimburse_by",
    "state",
    "claimed_by",
    "claimed_at",
    "problem",
    "write_on_transfer",
    "method",
    "paid_on",
    "paid_reference",
    "note",
)
NEEDED = ("refund", "amount", "currency", "method", "paid_on", "paid_reference")
MAX_ROWS = 5000
MAX_BYTES = 4 * 1024 * 1024
MAX_CLAIMS = 500  # of one list: what a person can pay in a day or two; the most urgent come first


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a filled list; `number` counts the lines of the file from 1, the head being the first."""

    number: int
    refund_id: UUID
    method: services.Method
    reference: str
    paid_on: date
    note: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be recorded."""

    number: int
    refund: str
    why: str


@dataclass(slots=True)
class Report:
    """What a filled list would do, or has done.

    Attributes:
        ready: rows to record.
        recorded: rows that were recorded just now.
        known: rows that had been recorded before.
        empty: rows that nobody filled in.
    """

    ready: list[Row] = field(default_factory=list)
    recorded: int = 0
    known: int = 0
    empty: int = 0
    problems: list[Problem] = field(default_factory=list)


def waiting(*, store_id: int | None = None) -> list[Refund]:
    """Return the refunds that a person may pay or pays by hand: what the law wants back soonest, then the longest wait."""
    unsent = Q(state=RefundState.RESERVED, maybe_executed=False, lease_until__isnull=True)
    rows = Refund.objects.filter(
        unsent | Q(state=RefundState.MANUAL_CLAIMED) | Q(state__in=list(OVER), owed=True), store__is_internal=False
    )
    rows = rows.exclude(origin=RefundOrigin.EXTERNAL)
    if store_id is not None:
        rows = rows.filter(store_id=store_id)
    rows = rows.select_related("store", "request", "payment__purchase__customer")
    ordered = rows.order_by(F("request__reimburse_by").asc(nulls_last=True), "created_at", "pk")
    return [row for row in ordered if row.state == RefundState.MANUAL_CLAIMED or not services.why_not_by_hand(row)]


def export(*, by: Actor, claim: bool, now: datetime, on_progress: Callable[[int], None] | None = None) -> Iterator[list[str]]:
    """Yield the head and the rows of the work list.

    Args:
        claim: claim up to `MAX_CLAIMS` of the rows for `by` first. Such a list has only what `by` has to pay, and what could
            not be claimed with the reason.
        now: UTC.
    """
    yield list(COLUMNS)
    claims = 0
    for count, refund in enumerate(waiting(store_id=by.store_id), start=1):
        problem = services.why_not_proven(refund)
        if claim and refund.state == RefundState.MANUAL_CLAIMED and refund.claimed_by_id != by.id:
            continue
        if claim and refund.state != RefundState.MANUAL_CLAIMED:
            if claims == MAX_CLAIMS:
                return
            try:
                claimed = services.claim_by_hand(refund_id=refund.pk, by=by, now=now)
                claims += 1
            except RefundPluginError as error:
                refund.refresh_from_db(fields=["state"])
                problem = str(error)
            else:
                claimed.store, claimed.payment = refund.store, refund.payment
                refund = claimed
        if on_progress is not None:
            on_progress(count)
        yield _line(refund, problem)


def _line(refund: Refund, problem: str) -> list[str]:
    request, purchase = refund.request, refund.payment.purchase
    assert request is not None
    due = request.reimburse_by.isoformat(timespec="minutes") if request.reimburse_by else ""
    return [
        request.reference,
        str(refund.pk),
        str(refund.amount.decimal),
        refund.currency,
        purchase.number,
        purchase.customer.name,
        purchase.customer.email,
        refund.payment.gateway_payment_id,
        due,
        refund.state,
        refund.claimed_by_label,
        refund.claimed_at.isoformat(timespec="minutes") if refund.claimed_at else "",
        problem,
        transfer_text(request.reference, purchase.number),
        *[""] * 4,
    ]


def transfer_text(reference: str, number: str) -> str:
    """Return what to write on a transfer, so that both sides find it again."""
    return _("Refund %(reference)s, order %(number)s") % {"reference": reference, "number": number}


def check_list(content: bytes, *, by: Actor, now: datetime) -> Report:
    """Check every row of a filled list; nothing changes.

    Raises:
        InvalidInput: the file is no such list.
    """
    report = Report()
    seen: set[UUID] = set()
    lines = _read(content)
    refunds = _refunds(lines)
    for number, cells in lines:
        if not any(cells[name] for name in ("method", "paid_on", "paid_reference")):
            report.empty += 1
            continue
        try:
            row = _row(number, cells)
            if row.refund_id in seen:
                raise InvalidInput(_("This refund stands in the list twice."))
            seen.add(row.refund_id)
            is_known = _check_row(row, cells, refunds.get(row.refund_id), by=by, now=now)
        except RefundPluginError as error:
            report.problems.append(Problem(number, cells["refund"], str(error)))
            continue
        if is_known:
            report.known += 1
        else:
            report.ready.append(row)
    return report


def record_list(content: bytes, *, by: Actor, now: datetime, on_progress: Callable[[int], None] | None = None) -> Report:
    """Record the payments of a filled list, if every row of it is right; else only report.

    Each row is recorded by itself: what stops halfway goes on when the list is read again.

    Raises:
        InvalidInput: the file is no such list.
    """
    report = check_list(content, by=by, now=now)
    if report.problems:
        return report
    for count, row in enumerate(report.ready, start=1):
        try:
            services.give_proof(
                refund_id=row.refund_id, by=by, method=row.method, reference=row.reference, paid_on=row.paid_on, note=row.note, now=now
            )
            report.recorded += 1
        except RefundPluginError as error:  # somebody was faster by a moment
            report.problems.append(Problem(row.number, str(row.refund_id), str(error)))
        if on_progress is not None:
            on_progress(count)
    return report


def _read(content: bytes) -> list[tuple[int, dict[str, str]]]:
    if len(content) > MAX_BYTES:
        raise InvalidInput(_("This file is larger than a work list can be."), field="file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(_("The file is not in UTF-8. Save it as “CSV UTF-8”."), field="file") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)  # spreadsheets write what their language is used to
    try:
        rows = list(islice(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), MAX_ROWS + 1))
    except csv.Error:
        raise InvalidInput(_("The file cannot be read as CSV."), field="file") from None
    names = [name.strip().lower() for name in rows[0]] if rows else []
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise InvalidInput(_("The file lacks these columns: %(names)s.") % {"names": ", ".join(missing)}, field="file")
    if len(rows) > MAX_ROWS:
        raise InvalidInput(_("The file has more than %(max)d rows.") % {"max": MAX_ROWS}, field="file")
    lines = []
    for number, row in enumerate(rows[1:], start=2):
        cells = dict.fromkeys((*NEEDED, "note"), "") | dict(zip(names, (cell.strip() for cell in row), strict=False))
        if any(cells.values()):
            lines.append((number, cells))
    return lines


def _refunds(lines: Sequence[tuple[int, dict[str, str]]]) -> dict[UUID, Refund]:
    ids = [found for _number, cells in lines if (found := _uuid(cells["refund"])) is not None]
    rows = Refund.objects.select_related("request__purchase__customer", "payment__purchase")
    return rows.in_bulk(ids)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _row(number: int, cells: dict[str, str]) -> Row:
    refund_id = _uuid(cells["refund"])
    if refund_id is None:
        raise InvalidInput(_("The refund's number cannot be read. Take it from the exported list."))
    try:
        paid_on = date.fromisoformat(cells["paid_on"])
    except ValueError:
        raise InvalidInput(_("Write the day it was paid like 2026-03-31.")) from None
    return Row(number, refund_id, cells["method"].lower(), cells["paid_reference"], paid_on, cells["note"])  # type: ignore[arg-type]


def _check_row(row: Row, cells: dict[str, str], refund: Refund | None, *, by: Actor, now: datetime) -> bool:
    """Check a row as `give_proof` will; return whether this very payment was recorded before."""
    if refund is None:
        raise InvalidInput(_("There is no such refund."))
    try:
        amount = Decimal(cells["amount"].replace(",", "."))
    except InvalidOperation:
        raise InvalidInput(_("The amount cannot be read. Leave it as it was exported.")) from None
    if not amount.is_finite() or amount != refund.amount.decimal or cells["currency"].upper() != refund.currency:
        raise InvalidInput(_("The refund is %(amount)s, not what the list says.") % {"amount": refund.amount})
    told = refund.proof or {}
    if refund.state == RefundState.MANUAL_PAID and (told.get("method"), told.get("reference"), told.get("paid_on")) == (
        row.method,
        row.reference,
        row.paid_on.isoformat(),
    ):
        return True
    if refund.state in (RefundState.PROCESSING, RefundState.UNKNOWN, RefundState.PENDING, RefundState.SUCCEEDED):
        raise InvalidInput(
            _("The payment provider pays or has paid it. If it was paid by hand too, the customer got it twice: call the payment back.")
        )
    services.check_may_prove(refund=refund, by=by)
    services.check_proof(
        method=row.method, reference=row.reference, paid_on=row.paid_on, note=row.note, now=now, purchase=refund.payment.purchase
    )
    return False
