"""Recompute every balance from the rows behind it and from the ledger, and name each one that differs.

Nothing is changed. Every comparison is one statement over whole tables, so that a million refunds take seconds, and all of
them read one snapshot, so that a running system shows no difference that is only work in progress.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.ledger.models import CreditNote, CreditNoteSeries, LedgerEntry
from refund_plugin.refunds.models import Allocation, Dispute, Refund
from refund_plugin.refunds.states import GONE, HELD

MAX_NAMED = 1000
ALERT_KIND = "ledger_differs"
EVERY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that is not what the rows behind it say.

    Attributes:
        check: name of the comparison, such as `payment`.
        subject: what differs: an id, or a currency.
        field: which of its numbers.
        stored, derived: what is written down, and what follows from the rows; minor units, or a count.
    """

    check: str
    subject: str
    field: str
    stored: int
    derived: int

    def __str__(self) -> str:
        return f"{self.check} {self.subject}: {self.field} is {self.stored}, the rows behind it give {self.derived}"


@dataclass(slots=True)
class Report:
    """What was compared, and what differs.

    Attributes:
        checked: by kind (payments, lines, refunds, entries), how many rows were compared.
        differences: at most `MAX_NAMED` of each comparison.
        more: names of the comparisons that have more differences than are named.
        totals: by (currency, account), the sums of debits and credits in minor units.
    """

    checked: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    totals: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        """Whether everything agrees."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Comparison:
    """One statement that gives a `subject` and, for the field of each number, `stored<number>` and `derived<number>`.

    `{scope}` in it is the condition that narrows it to one store, whose id is in `store_column`.
    """

    name: str
    fields: Sequence[str]
    sql: str
    store_column: str


def _quoted(states: Iterable[str]) -> str:
    return ", ".join(f"'{state!s}'" for state in sorted(states))


_TABLES = {
    "purchases": Purchase._meta.db_table,
    "payments": Payment._meta.db_table,
    "lines": PurchaseLine._meta.db_table,
    "refunds": Refund._meta.db_table,
    "disputes": Dispute._meta.db_table,
    "allocations": Allocation._meta.db_table,
    "entries": LedgerEntry._meta.db_table,
    "series": CreditNoteSeries._meta.db_table,
    "notes": CreditNote._meta.db_table,
    "held": _quoted(HELD),
    "gone": _quoted(GONE),
    # where a refund's amount stands while its money has not moved, whether it is on its way, failed or was canceled
    "at_home": "'reserved', 'processing', 'unknown', 'manual_claimed', 'failed', 'canceled'",
    # fees and disputes pass through the gateway's account too, beside the refund's own amount
    "refund_events": "event NOT IN ('fee', 'exchange', 'dispute_opened', 'dispute_won', 'dispute_lost')",
}


COMPARISONS: tuple[Comparison, ...] = (
    Comparison(
        "movement",
        ("debits and credits",),
        """
        SELECT movement AS subject, SUM(debit_minor) AS stored0, SUM(credit_minor) AS derived0
        FROM {entries} WHERE {scope} GROUP BY movement, currency
        """,
        "store_id",
    ),
    Comparison(
        "currency",
        ("debits and credits",),
        """
        SELECT currency AS subject, SUM(debit_minor) AS stored0, SUM(credit_minor) AS derived0
        FROM {entries} WHERE {scope} GROUP BY currency
        """,
        "store_id",
    ),
    Comparison(
        "payment",
        ("held", "gone", "unallocated", "over", "gone in the ledger", "disputed in the ledger", "overpaid in the ledger"),
        """
        SELECT payment.id AS subject,
            held_minor AS stored0, COALESCE(held, 0) AS derived0,
            gone_minor AS stored1, COALESCE(gone, 0) AS derived1,
            unallocated_minor AS stored2, COALESCE(unallocated, 0) AS derived2,
            over_minor AS stored3,
            CASE WHEN COALESCE(held, 0) + COALESCE(gone, 0) + disputed_minor > captured_minor
                THEN COALESCE(held, 0) + COALESCE(gone, 0) + disputed_minor - captured_minor ELSE 0 END AS derived3,
            gone_minor AS stored4, COALESCE(booked_gone, 0) AS derived4,
            disputed_minor AS stored5, COALESCE(booked_disputed, 0) AS derived5,
            CASE WHEN gone_minor <= captured_minor THEN 0
                WHEN unallocated_minor < gone_minor - captured_minor THEN unallocated_minor
                ELSE gone_minor - captured_minor END AS stored6,
            COALESCE(booked_over, 0) AS derived6
        FROM {payments} AS payment
        JOIN {purchases} AS purchase ON purchase.id = payment.purchase_id
        LEFT JOIN (
            SELECT payment_id,
                SUM(CASE WHEN state IN ({held}) THEN amount_minor ELSE 0 END) AS held,
                SUM(CASE WHEN state IN ({gone}) THEN amount_minor ELSE 0 END) AS gone,
                SUM(CASE WHEN origin = 'external' AND state IN ({held}, {gone})
                    AND NOT EXISTS (SELECT 1 FROM {allocations} AS part WHERE part.refund_id = refund.id)
                    THEN amount_minor ELSE 0 END) AS unallocated
            FROM {refunds} AS refund
            GROUP BY payment_id
        ) AS moved ON moved.payment_id = payment.id
        LEFT JOIN (
            SELECT payment_id,
                SUM(CASE WHEN account IN ('gateway_clearing', 'bank', 'store_credit') AND refund_id IS NOT NULL AND {refund_events}
                    THEN credit_minor - debit_minor ELSE 0 END) AS booked_gone,
                SUM(CASE WHEN account IN ('dispute_receivable', 'loss') THEN debit_minor - credit_minor ELSE 0 END) AS booked_disputed,
                SUM(CASE WHEN account = 'customer_receivable' AND refund_id IS NULL THEN debit_minor - credit_minor ELSE 0 END)
                    AS booked_over
            FROM {entries} GROUP BY payment_id
        ) AS booked ON booked.payment_id = payment.id
        WHERE {scope}
        """,
        "purchase.store_id",
    ),
    Comparison(
        "costs of disputes",
        ("fee", "exchange"),
        """
        SELECT payment_id AS subject, SUM(fee_minor) AS stored0, SUM(exchange_minor) AS stored1,
            (SELECT COALESCE(SUM(debit_minor - credit_minor), 0) FROM {entries} AS entry
                WHERE entry.payment_id = dispute.payment_id AND account = 'fee') AS derived0,
            (SELECT COALESCE(SUM(debit_minor - credit_minor), 0) FROM {entries} AS entry
                WHERE entry.payment_id = dispute.payment_id AND account = 'exchange') AS derived1
        FROM {disputes} AS dispute WHERE {scope} GROUP BY payment_id
        """,
        "dispute.store_id",
    ),
    Comparison(
        "line",
        ("held", "gone", "units held", "units gone", "tax", "over"),
        """
        SELECT line.id AS subject,
            held_minor AS stored0, COALESCE(held, 0) AS derived0,
            gone_minor AS stored1, COALESCE(gone, 0) AS derived1,
            held_quantity AS stored2, COALESCE(units_held, 0) AS derived2,
            gone_quantity AS stored3, COALESCE(units_gone, 0) AS derived3,
            refunded_tax_minor AS stored4, COALESCE(tax, 0) AS derived4,
            over_minor AS stored5,
            CASE WHEN COALESCE(held, 0) + COALESCE(gone, 0) > paid_minor
                THEN COALESCE(held, 0) + COALESCE(gone, 0) - paid_minor ELSE 0 END AS derived5
        FROM {lines} AS line
        JOIN {purchases} AS purchase ON purchase.id = line.purchase_id
        LEFT JOIN (
            SELECT line_id,
                SUM(CASE WHEN state IN ({held}) THEN gross_minor ELSE 0 END) AS held,
                SUM(CASE WHEN state IN ({gone}) THEN gross_minor ELSE 0 END) AS gone,
                SUM(CASE WHEN state IN ({held}) THEN counted_quantity ELSE 0 END) AS units_held,
                SUM(CASE WHEN state IN ({gone}) THEN counted_quantity ELSE 0 END) AS units_gone,
                SUM(CASE WHEN state IN ({held}, {gone}) THEN part.tax_minor ELSE 0 END) AS tax
            FROM {allocations} AS part JOIN {refunds} AS refund ON refund.id = part.refund_id
            GROUP BY line_id
        ) AS moved ON moved.line_id = line.id
        WHERE {scope}
        """,
        "purchase.store_id",
    ),
    Comparison(
        "refund",
        ("owed to the customer", "on its way", "gone at the gateway", "paid by hand", "paid without a debt", "unallocated"),
        """
        SELECT refund.id AS subject,
            COALESCE(payable, 0) AS stored0, CASE WHEN owed AND state IN ({at_home}) THEN amount_minor ELSE 0 END AS derived0,
            COALESCE(in_transit, 0) AS stored1, CASE WHEN state = 'pending' THEN amount_minor ELSE 0 END AS derived1,
            COALESCE(clearing, 0) AS stored2, CASE WHEN state = 'succeeded' THEN amount_minor ELSE 0 END AS derived2,
            COALESCE(by_hand, 0) AS stored3, CASE WHEN state = 'manual_paid' THEN amount_minor ELSE 0 END AS derived3,
            COALESCE(receivable, 0) AS stored4,
            CASE WHEN NOT owed AND origin <> 'external' AND state NOT IN ({at_home}) THEN amount_minor ELSE 0 END AS derived4,
            COALESCE(unallocated, 0) AS stored5,
            CASE WHEN origin <> 'external' OR state IN ({at_home}) THEN 0
                ELSE amount_minor - COALESCE(allocated, 0) END AS derived5
        FROM {refunds} AS refund
        LEFT JOIN (SELECT refund_id, SUM(gross_minor) AS allocated FROM {allocations} GROUP BY refund_id) AS part
            ON part.refund_id = refund.id
        LEFT JOIN (
            SELECT refund_id,
                SUM(CASE WHEN account = 'customer_payable' THEN credit_minor - debit_minor ELSE 0 END) AS payable,
                SUM(CASE WHEN account = 'in_transit' THEN credit_minor - debit_minor ELSE 0 END) AS in_transit,
                SUM(CASE WHEN account = 'gateway_clearing' THEN credit_minor - debit_minor ELSE 0 END) AS clearing,
                SUM(CASE WHEN account IN ('bank', 'store_credit') THEN credit_minor - debit_minor ELSE 0 END) AS by_hand,
                SUM(CASE WHEN account = 'customer_receivable' THEN debit_minor - credit_minor ELSE 0 END) AS receivable,
                SUM(CASE WHEN account = 'unallocated' THEN debit_minor - credit_minor ELSE 0 END) AS unallocated
            FROM {entries} WHERE refund_id IS NOT NULL AND {refund_events} GROUP BY refund_id
        ) AS booked ON booked.refund_id = refund.id
        WHERE {scope}
        """,
        "refund.store_id",
    ),
    Comparison(
        "allocations",
        ("sum of the parts",),
        """
        SELECT refund.id AS subject, COALESCE(allocated, 0) AS stored0,
            CASE WHEN origin = 'external' AND allocated IS NULL THEN 0 ELSE amount_minor END AS derived0
        FROM {refunds} AS refund
        LEFT JOIN (SELECT refund_id, SUM(gross_minor) AS allocated FROM {allocations} GROUP BY refund_id) AS part
            ON part.refund_id = refund.id
        WHERE {scope}
        """,
        "refund.store_id",
    ),
    Comparison(
        "successor",
        ("amount", "payment", "debts left behind"),
        """
        SELECT refund.id AS subject, refund.amount_minor AS stored0, earlier.amount_minor AS derived0,
            refund.payment_id AS stored1, earlier.payment_id AS derived1,
            CASE WHEN earlier.owed THEN 1 ELSE 0 END AS stored2, 0 AS derived2
        FROM {refunds} AS refund JOIN {refunds} AS earlier ON earlier.id = refund.supersedes_id
        WHERE {scope}
        """,
        "refund.store_id",
    ),
    Comparison(
        "entries",
        ("entries of another store or currency",),
        """
        SELECT entry.refund_id AS subject, COUNT(*) AS stored0, 0 AS derived0
        FROM {entries} AS entry JOIN {refunds} AS refund ON refund.id = entry.refund_id
        WHERE {scope} AND (entry.currency <> refund.currency OR entry.store_id <> refund.store_id)
        GROUP BY entry.refund_id
        """,
        "refund.store_id",
    ),
    Comparison(
        "credit note series",
        ("numbers given out", "highest number"),
        """
        SELECT series.id AS subject, last_number AS stored0, COUNT(note.id) AS derived0,
            last_number AS stored1, COALESCE(MAX(note.number), 0) AS derived1
        FROM {series} AS series LEFT JOIN {notes} AS note ON note.series_id = series.id
        WHERE {scope} GROUP BY series.id, last_number
        """,
        "series.store_id",
    ),
    Comparison(
        "credit notes of refund",
        ("amount", "tax"),
        # a document and its correction cancel each other out
        """
        SELECT refund.id AS subject,
            noted AS stored0, CASE WHEN documents - 2 * (documents / 2) = 1 THEN amount_minor ELSE 0 END AS derived0,
            noted_tax AS stored1, CASE WHEN documents - 2 * (documents / 2) = 1 THEN COALESCE(tax, 0) ELSE 0 END AS derived1
        FROM {refunds} AS refund
        JOIN (SELECT refund_id, COUNT(*) AS documents, SUM(gross_minor) AS noted, SUM(tax_minor) AS noted_tax
            FROM {notes} GROUP BY refund_id) AS note ON note.refund_id = refund.id
        LEFT JOIN (SELECT refund_id, SUM(tax_minor) AS tax FROM {allocations} GROUP BY refund_id) AS part ON part.refund_id = refund.id
        WHERE {scope}
        """,
        "refund.store_id",
    ),
)


def verify(*, store_id: int | None = None, progress: Callable[[str], None] = lambda line: None) -> Report:
    """Compare everything and return what differs.

    Args:
        store_id: only this store's rows; None means every store.
        progress: is told the name of each comparison before it starts.
    """
    report = Report()
    with _snapshot():
        for comparison in COMPARISONS:
            progress(comparison.name)
            _compare(comparison, store_id, report)
        progress("totals")
        _add_totals(store_id, report)
        _count(store_id, report)
    return report


def run_duty(now: datetime) -> int:
    """Compare everything, and raise an alert when something differs; the sweep calls it once a day."""
    report = verify()
    if not report.fine:
        first = report.differences[0]
        raise_alert(
            kind=ALERT_KIND,
            key=ALERT_KIND,
            why=f"{len(report.differences)} numbers differ from the rows behind them; the first: {first}",
            details={"differences": [str(difference) for difference in report.differences[:50]]},
            now=now,
        )
    return len(report.differences)


@contextmanager
def _snapshot() -> Iterator[None]:
    """Let every statement see the same moment; within a caller's transaction it is the caller's own."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        if connection.vendor == "postgresql" and not nested:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _scope(column: str, store_id: int | None) -> tuple[str, list[int]]:
    return ("1 = 1", []) if store_id is None else (f"{column} = %s", [store_id])


def _compare(comparison: Comparison, store_id: int | None, report: Report) -> None:
    scope, parameters = _scope(comparison.store_column, store_id)
    inner = comparison.sql.format(scope=scope, **_TABLES)
    numbers = range(len(comparison.fields))
    differ = " OR ".join(f"stored{number} <> derived{number}" for number in numbers)
    columns = ", ".join(f"stored{number}, derived{number}" for number in numbers)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT subject, {columns} FROM ({inner}) AS compared WHERE {differ} ORDER BY subject", parameters)
        rows = cursor.fetchmany(MAX_NAMED + 1)
    if len(rows) > MAX_NAMED:
        report.more.append(comparison.name)
    for subject, *values in rows[:MAX_NAMED]:
        for number, name in enumerate(comparison.fields):
            stored, derived = int(values[2 * number]), int(values[2 * number + 1])
            if stored != derived:
                report.differences.append(Difference(comparison.name, _subject(subject), name, stored, derived))


def _subject(value: object) -> str:
    """Write an id as people read it; SQLite gives UUIDs as 32 digits."""
    text = str(value)
    return str(UUID(text)) if len(text) == 32 else text


def _add_totals(store_id: int | None, report: Report) -> None:
    scope, parameters = _scope("store_id", store_id)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT currency, account, SUM(debit_minor), SUM(credit_minor) FROM {_TABLES['entries']} WHERE {scope}"
            " GROUP BY currency, account ORDER BY currency, account",
            parameters,
        )
        report.totals = {(currency, account): (int(debit), int(credit)) for currency, account, debit, credit in cursor.fetchall()}


def _count(store_id: int | None, report: Report) -> None:
    rows: dict[str, tuple[type[Model], str]] = {
        "payments": (Payment, "purchase__store_id"),
        "lines": (PurchaseLine, "purchase__store_id"),
        "refunds": (Refund, "store_id"),
        "entries": (LedgerEntry, "store_id"),
    }
    for name, (model, column) in rows.items():
        found = model._default_manager.all()
        report.checked[name] = (found if store_id is None else found.filter(**{column: store_id})).count()
