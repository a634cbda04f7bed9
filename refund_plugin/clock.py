"""The only place that asks for the time.

`now()` is the application's time in UTC, handed to services as `now`. `database_now()` is the database's own clock,
which leases, key ages and limits use, so that a worker whose clock is wrong cannot steal or outlive a claim.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection

_offset = timedelta()


def now() -> datetime:
    """Return the current time, UTC and aware."""
    return datetime.now(UTC) + _offset


def database_now() -> datetime:
    """Return the database's current time, UTC and aware (statement time, not transaction start)."""
    sql = "SELECT clock_timestamp()" if connection.vendor == "postgresql" else "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        value: datetime | str = cursor.fetchone()[0]
    if isinstance(value, str):
        value = datetime.fromisoformat(value).replace(tzinfo=UTC)
        if not value.microsecond:  # a whole second is compared as text without a fraction, which sorts before the `Now()` of its moment
            value += timedelta(microseconds=1)
    return value.astimezone(UTC) + _offset


def of_database(moment: datetime) -> datetime:
    """Return what `database_now()` would have been at a moment that a statement took from the database (`Now()`)."""
    return moment.astimezone(UTC) + _offset


@contextmanager
def travel(by: timedelta) -> Iterator[None]:
    """Shift both clocks of this process by `by`; for tests and drills only."""
    global _offset
    before, _offset = _offset, _offset + by
    try:
        yield
    finally:
        _offset = before
