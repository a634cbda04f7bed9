"""Reads of the books: credit notes for pages, and what every account has moved in a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, Sum

from refund_plugin.errors import NotFound
from refund_plugin.money import Money
from refund_plugin.refunds.ledger.models import Account, CreditNote, LedgerEntry
from refund_plugin.refunds.models import RefundRequest


@dataclass(frozen=True, slots=True)
class AccountTotal:
    """What one account moved in a period."""

    account: str
    name: str
    debit: Money
    credit: Money


@dataclass(frozen=True, slots=True)
class NoteLine:
    """One line of a credit note; amounts are below zero in a correction."""

    name: str
    sku: str
    quantity: int
    tax_rate_percent: Decimal
    net: Money
    tax: Money
    gross: Money


@dataclass(frozen=True, slots=True)
class RateTotal:
    """What a credit note returns of one tax rate."""

    tax_rate_percent: Decimal
    net: Money
    tax: Money


def note_lines(note: CreditNote) -> list[NoteLine]:
    """Return the lines of a credit note as they were written."""
    return [
        NoteLine(
            name=line["name"],
            sku=line["sku"],
            quantity=line["quantity"],
            tax_rate_percent=Decimal(line["tax_rate_percent"]).normalize(),
            net=Money(line["net_minor"], note.currency),
            tax=Money(line["tax_minor"], note.currency),
            gross=Money(line["gross_minor"], note.currency),
        )
        for line in note.lines
    ]


def rate_totals(lines: Sequence[NoteLine]) -> list[RateTotal]:
    """Sum lines by tax rate."""
    found: dict[Decimal, RateTotal] = {}
    for line in lines:
        before = found.get(line.tax_rate_percent)
        net, tax = (line.net, line.tax) if before is None else (before.net + line.net, before.tax + line.tax)
        found[line.tax_rate_percent] = RateTotal(line.tax_rate_percent, net, tax)
    return [found[rate] for rate in sorted(found)]


def credit_notes(store_id: int | None = None) -> QuerySet[CreditNote]:
    """Return credit notes for lists, newest first, with what a row shows."""
    notes = CreditNote.objects.select_related("store", "refund__request", "refund__payment__purchase__customer", "corrects", "correction")
    return (notes if store_id is None else notes.filter(store_id=store_id)).order_by("-id")


def credit_notes_of(request: RefundRequest) -> Sequence[CreditNote]:
    """Return the credit notes of a request, oldest first."""
    return list(CreditNote.objects.filter(refund__request=request).order_by("id"))


def credit_note(pk: int, *, request: RefundRequest | None = None) -> CreditNote:
    """Return one credit note.

    Args:
        request: only if it belongs to this request.
    Raises:
        NotFound: there is none.
    """
    found = credit_notes().filter(pk=pk)
    note = (found if request is None else found.filter(refund__request=request)).first()
    if note is None:
        raise NotFound
    return note


def account_totals(*, start: datetime, end: datetime, store_id: int | None = None) -> list[AccountTotal]:
    """Return what each account moved from `start` up to (not including) `end`, by currency and account; one statement."""
    entries = LedgerEntry.objects.filter(recorded_at__gte=start, recorded_at__lt=end, store__is_internal=False)
    if store_id is not None:
        entries = entries.filter(store_id=store_id)
    rows = entries.order_by().values("currency", "account").annotate(debit=Sum("debit_minor"), credit=Sum("credit_minor"))
    order = {account: position for position, account in enumerate(Account.values)}
    return [
        AccountTotal(
            account=row["account"],
            name=str(Account(row["account"]).label),
            debit=Money(row["debit"], row["currency"]),
            credit=Money(row["credit"], row["currency"]),
        )
        for row in sorted(rows, key=lambda row: (row["currency"], order[row["account"]]))
    ]


def days(first: date, last: date, *, timezone: str) -> tuple[datetime, datetime]:
    """Return the moments between which the days from `first` to `last` (both included) lie in a time zone (IANA name)."""
    zone = ZoneInfo(timezone)
    start = datetime(first.year, first.month, first.day, tzinfo=zone)
    after = last + timedelta(days=1)
    return start, datetime(after.year, after.month, after.day, tzinfo=zone)
