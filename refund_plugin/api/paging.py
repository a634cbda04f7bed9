"""Pages with stable cursors, in the form of Relay and Saleor: what is added meanwhile shifts nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from refund_plugin.api.types import PageInfo
from refund_plugin.errors import InvalidInput

MAX_PAGE = 100

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Sorting:
    """How a list is sorted, newest first: by a moment, and by a name that is unique among the rows of one moment."""

    moment: str
    name: str


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows of a list, each with its cursor."""

    rows: Sequence[tuple[Row, str]]
    info: PageInfo


def cut_page(queryset: QuerySet[Row], by: Sorting, *, first: int, after: str | None) -> Page[Row]:
    """Return the page that starts behind a cursor.

    Args:
        queryset: in any order.
        by: how it is sorted.
        first: rows of the page, 1 to `MAX_PAGE`.
        after: the cursor of the last row of the page before.
    Raises:
        InvalidInput: `first` out of range, or not a cursor.
    """
    if not 1 <= first <= MAX_PAGE:
        raise InvalidInput(_("Ask for 1 to %(max)d at once.") % {"max": MAX_PAGE}, field="first")
    page = queryset.order_by(f"-{by.moment}", f"-{by.name}")
    if after:
        moment, name = _read_cursor(after)
        page = page.filter(Q(**{f"{by.moment}__lt": moment}) | Q(**{by.moment: moment, f"{by.name}__lt": name}))
    found = list(page[: first + 1])
    rows = [(row, _cursor(getattr(row, by.moment), getattr(row, by.name))) for row in found[:first]]
    info = PageInfo(
        has_next_page=len(found) > first,
        has_previous_page=bool(after),
        start_cursor=rows[0][1] if rows else None,
        end_cursor=rows[-1][1] if rows else None,
    )
    return Page(rows=rows, info=info)


def _cursor(moment: datetime, name: str) -> str:
    return base64.b64encode(f"{moment.isoformat()}|{name}".encode()).decode()


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        moment, _bar, name = base64.b64decode(cursor, validate=True).decode().partition("|")
        found = datetime.fromisoformat(moment)
        found = found if found.tzinfo is None else found.astimezone(UTC)
    except (binascii.Error, ValueError, OverflowError):
        found, name = None, ""
    if found is None or found.tzinfo is None or "\x00" in name:
        raise InvalidInput(_("This is not a cursor of this list."), field="after")
    return found, name
