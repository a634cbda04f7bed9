"""Years of settled refunds, in minutes: all rows of one of them, copied in the database with new ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connection
from django.db.models import Field, ForeignKey, Model, QuerySet

from refund_plugin.events.models import Delivery, Event
from refund_plugin.orders.models import AccessEvent, Payment, Purchase, PurchaseLine
from refund_plugin.refunds.ledger.models import LedgerEntry
from refund_plugin.refunds.models import Allocation, Attempt, Decision, Refund, RefundRequest, RequestLine

# A UUID of one's own for each copy. They come in order, unlike real ones: to find one costs the same, to write a million less.
COPIED_UUID = "(substr(t.{}::text, 1, 8) || '-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
# what must differ from copy to copy beside ids; `n` is the copy's number
UNIQUE: Mapping[type[Model], Mapping[str, str]] = {
    Purchase: {"number": "'fill-' || n"},
    Payment: {"gateway_payment_id": "'pi_fill_' || n"},
    RefundRequest: {"reference": "'F-' || n", "submission_key": "'fill-' || n"},
    Refund: {"idempotency_key": "'fill-' || n", "gateway_refund_id": "'re_fill_' || n"},
    LedgerEntry: {"movement": COPIED_UUID.format("movement")},
}


class Filler:
    """Copies of everything that hangs on one settled refund."""

    def __init__(self, refund: Refund) -> None:
        request = refund.request
        assert request is not None
        purchase = request.purchase
        parts: list[QuerySet[Model]] = [
            Purchase.objects.filter(pk=purchase.pk),
            PurchaseLine.objects.filter(purchase=purchase),
            AccessEvent.objects.filter(line__purchase=purchase),
            Payment.objects.filter(purchase=purchase),
            RefundRequest.objects.filter(pk=request.pk),
            RequestLine.objects.filter(request=request),
            Decision.objects.filter(request=request),
            Refund.objects.filter(pk=refund.pk),
            Allocation.objects.filter(refund=refund),
            Attempt.objects.filter(refund=refund),
            LedgerEntry.objects.filter(refund=refund),
            Event.objects.filter(case=request.pk),
            Delivery.objects.filter(case=request.pk),
        ]
        found = {part.model: list(part.order_by("pk").values_list("pk", flat=True)) for part in parts}
        self._sources = {model: sources for model, sources in found.items() if sources}
        self._tops: dict[type[Model], int] = {}

    def copy(self, first: int, last: int) -> None:
        """Make the copies with the numbers `first` to `last`, and let the database look at what it has now."""
        self._tops = {model: _top(model) for model in self._sources if model not in (Refund, RefundRequest)}
        with connection.cursor() as cursor:
            # the copies are as consistent as the original, so the checks of millions of rows would tell nothing
            cursor.execute("SET session_replication_role = replica")
            for model, sources in self._sources.items():
                for source in sources:
                    names, values = self._columns(model, source, first)
                    table = _quoted(model._meta.db_table)
                    cursor.execute(
                        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
                        f" FROM generate_series(%s::bigint, %s::bigint) AS n, {table} AS t WHERE t.id = %s",
                        [first, last, source],
                    )
            cursor.execute("SET session_replication_role = DEFAULT")
            for model in self._tops:
                table = model._meta.db_table
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, _top(model)])
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")

    def _columns(self, model: type[Model], source: object, first: int) -> tuple[Sequence[str], Sequence[str]]:
        """Return the columns of a table and the SQL of each one's value in copy `n` of a row."""
        changes = UNIQUE.get(model, {})
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {_quoted(model._meta.db_table)} WHERE id = %s", [source])
            assert cursor.description is not None
            row = dict(zip((column[0] for column in cursor.description), cursor.fetchone(), strict=True))
        names, values = [], []
        for field in model._meta.concrete_fields:
            column = str(field.column)
            names.append(_quoted(column))
            values.append(changes[column] if column in changes else self._value(model, field, column, row[column], first))
        return names, values

    def _value(self, model: type[Model], field: Field[object, object], column: str, value: object, first: int) -> str:
        pointed = model if field.primary_key else field.related_model if isinstance(field, ForeignKey) else None
        if column == "case":  # of an event and its delivery, which know no foreign key
            pointed = RefundRequest
        if value is None or pointed not in self._sources:
            return f"t.{_quoted(column)}"
        if pointed in (Refund, RefundRequest):
            return COPIED_UUID.format(_quoted(column))
        sources = self._sources[pointed]
        return f"{self._tops[pointed] + 1 + sources.index(value)} + (n - {first}) * {len(sources)}"


def _top(model: type[Model]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT coalesce(max(id), 0) FROM {_quoted(model._meta.db_table)}")
        return int(cursor.fetchone()[0])


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
