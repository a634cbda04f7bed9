"""The journal as CSV for a bookkeeper: one line per posting and tax rate, balanced, with the sums at its end.

It is streamed, so that a year of a big store needs no memory. Text that a spreadsheet would take for a formula is defused.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from refund_plugin.money import Money
from refund_plugin.refunds.ledger.models import Account, LedgerEntry

COLUMNS = (
    "movement",
    "booked_at",
    "day",
    "tax_period",
    "store",
    "event",
    "account",
    "debit",
    "credit",
    "currency",
    "debit_minor",
    "credit_minor",
    "tax_rate_percent",
    "refund",
    "request",
    "order",
    "payment",
)
TOTAL = "total"
CHUNK = 2000
# OWASP, "CSV Injection": what may begin a formula, in any of the spreadsheets
# at the beginning, and after whatever a spreadsheet of some language may take for the end of a cell
_FORMULA = re.compile("(^|[;,|\t\r\n])(?=\\s*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


class Unbalanced(Exception):
    """Debits and credits of a period differ; `refunds_verify` names the movement."""


def journal(*, start: datetime, end: datetime, store_id: int | None = None) -> Iterator[list[str]]:
    """Yield the lines of the journal from `start` up to (not including) `end`: a head, postings, and a total per currency.

    Raises:
        Unbalanced: at the end, when debits and credits differ.
    """
    yield list(COLUMNS)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for entry in _entries(start, end, store_id):
        for rate, debit, credit in _by_rate(entry):
            sums[entry.currency][0] += debit
            sums[entry.currency][1] += credit
            yield _line(entry, rate, debit, credit)
    for currency, (debit, credit) in sorted(sums.items()):
        amounts = [_decimal(debit, currency), _decimal(credit, currency), currency, str(debit), str(credit)]
        yield [TOTAL, *[""] * 6, *amounts, *[""] * 5]
    if any(debit != credit for debit, credit in sums.values()):
        raise Unbalanced


def as_csv(lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Write lines as CSV (RFC 4180), one at a time."""
    writer = csv.writer(_Echo())
    for line in lines:
        yield writer.writerow([defuse(cell) for cell in line])


def defuse(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return _FORMULA.sub(r"\1'", cell)


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _entries(start: datetime, end: datetime, store_id: int | None) -> Iterator[LedgerEntry]:
    entries = LedgerEntry.objects.filter(recorded_at__gte=start, recorded_at__lt=end, store__is_internal=False)
    if store_id is not None:
        entries = entries.filter(store_id=store_id)
    related = (
        entries.order_by("recorded_at", "id")
        .select_related("store", "refund__request", "payment__purchase")
        .prefetch_related("refund__allocations")
    )
    return related.iterator(chunk_size=CHUNK)


def _by_rate(entry: LedgerEntry) -> list[tuple[str, int, int]]:
    """Split what was booked as revenue or tax over the tax rates of the refund's parts; (rate, debit, credit) each."""
    whole = [("", entry.debit_minor, entry.credit_minor)]
    if entry.account not in (Account.REVENUE_CONTRA, Account.TAX) or entry.refund is None:
        return whole
    parts: dict[str, int] = defaultdict(int)
    for part in entry.refund.allocations.all():
        parts[f"{part.tax_rate_percent:f}"] += part.tax_minor if entry.account == Account.TAX else part.net_minor
    if sum(parts.values()) != entry.debit_minor + entry.credit_minor:
        return whole
    debited = bool(entry.debit_minor)
    return [(rate, amount if debited else 0, 0 if debited else amount) for rate, amount in sorted(parts.items()) if amount]


def _line(entry: LedgerEntry, rate: str, debit: int, credit: int) -> list[str]:
    local = entry.recorded_at.astimezone(ZoneInfo(entry.store.timezone))
    refund, payment = entry.refund, entry.payment
    return [
        str(entry.movement),
        f"{entry.recorded_at:%Y-%m-%dT%H:%M:%SZ}",
        f"{local:%Y-%m-%d}",
        f"{local:%Y-%m}",
        entry.store.slug,
        entry.event,
        entry.account,
        _decimal(debit, entry.currency) if debit else "",
        _decimal(credit, entry.currency) if credit else "",
        entry.currency,
        str(debit),
        str(credit),
        rate,
        str(refund.pk) if refund else "",
        refund.request.reference if refund and refund.request else "",
        payment.purchase.number if payment else "",
        payment.gateway_payment_id if payment else "",
    ]


def _decimal(minor: int, currency: str) -> str:
    return f"{Money(minor, currency).decimal:f}"
