"""Queries that are asked so often that Django's writing them counts: it takes longer than the database takes to answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

# what stands for a value while the statement is written: nothing that a query of ours says by itself
_MOMENT, _NUMBER, _WORD = datetime(1970, 1, 1, tzinfo=UTC), 2**31 - 1, "value-{}-of-a-kept-statement"


class KeptStatement:
    """A query whose SQL is written once per process; only its values differ from run to run.

    Args:
        build: returns the query for values given by name: moments, whole numbers and words are kept apart from the SQL. Any other
            value (None, a flag) may change the query, so each has an SQL of its own. The query goes to the default database.
        fixed: names of values that are part of the SQL too, such as how many rows are wanted.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], *, fixed: Collection[str] = ()) -> None:
        self._build, self._fixed = build, fixed
        self._kept: dict[tuple[object, ...], tuple[str, tuple[Any, ...]]] = {}

    def sql(self, **values: object) -> tuple[str, list[Any]]:
        """Return the statement and its parameters for these values.

        Raises:
            ValueError: the query does not use one of the values.
        """
        loose = {name: value for name, value in values.items() if name not in self._fixed and _is_loose(value)}
        shape = (connection.vendor, *((name, type(value) if name in loose else value) for name, value in values.items()))
        if shape not in self._kept:
            self._kept[shape] = self._write(values, loose)
        sql, params = self._kept[shape]
        return sql, [_adapted(loose[value.name]) if isinstance(value, _Slot) else value for value in params]

    def rows(self, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows as the database driver gives them: for columns that need no conversion."""
        with connection.cursor() as cursor:
            cursor.execute(*self.sql(**values))
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def _write(self, values: dict[str, object], loose: Iterable[str]) -> tuple[str, tuple[Any, ...]]:
        stand_ins = {name: _stand_in(values[name], number) for number, name in enumerate(loose)}
        sql, params = self._build(**{**values, **stand_ins}).query.sql_with_params()
        slots = {_adapted(value): _Slot(name) for name, value in stand_ins.items()}
        if unused := [slot.name for value, slot in slots.items() if value not in params]:
            raise ValueError(f"The query does not use {', '.join(unused)}.")
        return sql, tuple(slots.get(value, value) for value in params)


class _Slot:
    """Where a value goes."""

    def __init__(self, name: str) -> None:
        self.name = name


def _is_loose(value: object) -> bool:
    return isinstance(value, (datetime, int, str)) and not isinstance(value, bool)


def _stand_in(value: object, number: int) -> object:
    if isinstance(value, datetime):
        return _MOMENT + timedelta(days=number)
    return _NUMBER - number if isinstance(value, int) else _WORD.format(number)


def _adapted(value: object) -> Any:
    # the only kind of our values that a database may want in another form
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
