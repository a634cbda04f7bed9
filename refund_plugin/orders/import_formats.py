"""Read purchases from JSON Lines and CSV, row by row, so that a file of any size needs little memory.

The formats are described in `docs/importing.md`. A row that cannot be read becomes a `Row` with an error; it never ends the
reading.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import BinaryIO
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, RefundPluginError
from refund_plugin.orders.data import PurchaseData
from refund_plugin.orders.import_values import LINE_FIELDS, PAYMENT_FIELDS, PURCHASE_FIELDS, purchase_data
from refund_plugin.orders.queries import clean_number

MAX_ROW_BYTES = 1_000_000
# fields of one CSV row; an unclosed quotation mark would otherwise swallow the rest of the file
MAX_CELL_CHARACTERS = 20_000
_TOO_LONG = "\x01"


class UnreadableFile(RefundPluginError):
    """Not a file of the format it should be: nothing of it was read."""

    code = "UNREADABLE_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One order of the file.

    Attributes:
        line: of the file, from 1, where the order begins.
        number: of the order; empty when it could not be read.
        places: by the start of a field's path (`lines.0`), the line of the file it stands in.
        raw: what stood there, for the file of rejected rows.
    """

    line: int
    number: str
    data: PurchaseData | None
    error: RefundPluginError | None
    places: Mapping[str, int]
    raw: object

    def line_of(self, field: str | None) -> int:
        """Return the line of the file that a field's path belongs to."""
        return self.places.get(".".join((field or "").split(".")[:2]), self.line)


def read_jsonl(file: BinaryIO, *, zone: ZoneInfo) -> Iterator[Row]:
    """Read one order per line. A moment without an offset is read in `zone`."""
    for number, raw in enumerate(_bounded_lines(file), start=1):
        if raw is None:
            yield _failed(number, _long_error(), raw="")
            continue
        text = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        if text:
            yield _row(number, partial(_from_json, raw, zone), raw=text)


def read_csv(file: BinaryIO, *, zone: ZoneInfo) -> Iterator[Row]:
    """Read one order from the rows that follow each other with the same number. A moment without an offset is read in `zone`.

    Raises:
        UnreadableFile: no header, or columns that the format does not know.
    """
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = csv.reader(_csv_text(file))
    columns = _columns(reader)
    group: list[tuple[int, dict[str, str]]] = []
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield from _grouped(group, zone)
            group = []
            yield _failed(line, InvalidInput(_("This row is not CSV: %(error)s.") % {"error": error}), raw="")
            continue
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        if cells == [_TOO_LONG] or len(cells) != len(columns):
            yield from _grouped(group, zone)
            group = []
            yield _failed(line, _wrong_cells(cells, columns), raw=cells)
            continue
        values = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
        if group and clean_number(values["number"]) != clean_number(group[0][1]["number"]):
            yield from _grouped(group, zone)
            group = []
        group.append((line, values))
    yield from _grouped(group, zone)


def _bounded_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines; None for one that is too long, of which only the end is looked for."""
    while line := file.readline(MAX_ROW_BYTES + 1):
        if len(line) <= MAX_ROW_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_ROW_BYTES)
        yield None


def _csv_text(file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(_bounded_lines(file), start=1):
        # a byte that is no UTF-8 becomes a character that the checks refuse, in its own row
        yield f"{_TOO_LONG}\n" if line is None else line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogateescape")


def _columns(reader: Iterator[list[str]]) -> list[str]:
    try:
        columns = [name.strip().lower() for name in next(reader, [])]
    except csv.Error as error:
        raise UnreadableFile(_("The first row is not CSV: %(error)s.") % {"error": error}) from error
    known = (*PURCHASE_FIELDS, *LINE_FIELDS, *PAYMENT_FIELDS)
    unknown = sorted(set(columns) - set(known))
    if "number" not in columns or unknown or len(set(columns)) < len(columns):
        raise UnreadableFile(
            _("The first row must name the columns, each once, at least “number”. Unknown: %(unknown)s. Known: %(known)s.")
            % {"unknown": ", ".join(unknown)[:300] or "–", "known": ", ".join(known)}
        )
    return columns


def _wrong_cells(cells: list[str], columns: list[str]) -> InvalidInput:
    if cells == [_TOO_LONG]:
        return _long_error()
    return InvalidInput(_("This row has %(found)d cells, the header has %(wanted)d.") % {"found": len(cells), "wanted": len(columns)})


def _grouped(group: list[tuple[int, dict[str, str]]], zone: ZoneInfo) -> Iterator[Row]:
    """Make one order of the rows that carry its number: the first says what it is, each adds a line, a payment, or both."""
    if not group:
        return
    first_line, first = group[0]
    number, raw = clean_number(first["number"]), [values for _line, values in group]
    lines: list[dict[str, str]] = []
    payments: dict[tuple[str, str], dict[str, str]] = {}
    places: dict[str, int] = {}
    try:
        for line, values in group:
            for field in PURCHASE_FIELDS:
                if values.get(field) and field != "number" and values[field] != first.get(field):
                    message = _("This differs from line %(line)d, which belongs to the same order.") % {"line": first_line}
                    places[field] = line
                    raise InvalidInput(message, field=field)
            item = {field: values[field] for field in LINE_FIELDS if values.get(field)}
            if item:
                places[f"lines.{len(lines)}"] = line
                lines.append(item)
            payment = {field: values[field] for field in PAYMENT_FIELDS if values.get(field)}
            name = (payment.get("account", ""), payment.get("gateway_payment_id", ""))
            if payment and payments.setdefault(name, payment) is payment:
                places[f"payments.{len(payments) - 1}"] = line
            elif payment and payment != payments[name]:
                places["payments"] = line
                raise InvalidInput(_("This payment is told twice, in different words."), field="payments")
    except InvalidInput as error:
        yield _failed(first_line, error, raw=raw, number=number, places=places)
        return
    order = {**{field: first[field] for field in PURCHASE_FIELDS if first.get(field)}, "lines": lines, "payments": list(payments.values())}
    yield _row(first_line, lambda: purchase_data(order, zone=zone), raw=raw, number=number, places=places)


def _row(line: int, read: Callable[[], PurchaseData], *, raw: object, number: str = "", places: Mapping[str, int] | None = None) -> Row:
    try:
        data = read()
    except RefundPluginError as error:
        return _failed(line, error, raw=raw, number=number, places=places)
    return Row(line=line, number=clean_number(data.number), data=data, error=None, places=places or {}, raw=raw)


def _failed(line: int, error: RefundPluginError, *, raw: object, number: str = "", places: Mapping[str, int] | None = None) -> Row:
    return Row(line=line, number=number, data=None, error=error, places=places or {}, raw=raw)


def _long_error() -> InvalidInput:
    return InvalidInput(_("This row is longer than %(count)d bytes.") % {"count": MAX_ROW_BYTES})


def _from_json(raw: bytes, zone: ZoneInfo) -> PurchaseData:
    try:
        # exact decimals: 18.2 must not become 18.199999
        values = json.loads(raw.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError:
        raise InvalidInput(_("This row is not UTF-8.")) from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(_("This row is not JSON: %(error)s.") % {"error": str(error)[:200]}) from error
    return purchase_data(values, zone=zone)
