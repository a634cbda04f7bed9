"""What survives a restart: one SQLite file, one connection, one lock.

A transaction covers a whole call, so that a refund, its stored answer and its events exist together or not at all.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

Object = dict[str, Any]

# Raised with every change of the tables: a file of another version is emptied, since nothing in it is of value.
_VERSION = 2
# The indexes are partial, so that a write computes only those of its own kind.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY, account TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    created INTEGER NOT NULL, made REAL NOT NULL, body TEXT NOT NULL, UNIQUE (id, account)
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (account, kind, seq);
CREATE INDEX IF NOT EXISTS refunds_by_payment ON objects (account, json_extract(body, '$.payment_intent'), seq) WHERE kind = 'refund';
CREATE INDEX IF NOT EXISTS refunds_by_charge ON objects (account, json_extract(body, '$.charge'), seq) WHERE kind = 'refund';
CREATE INDEX IF NOT EXISTS charges_by_payment ON objects (account, json_extract(body, '$.payment_intent'), seq) WHERE kind = 'charge';
CREATE TABLE IF NOT EXISTS answers (
    account TEXT NOT NULL, key TEXT NOT NULL, endpoint TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL, request_id TEXT NOT NULL, created REAL NOT NULL, PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedule (
    seq INTEGER PRIMARY KEY, account TEXT NOT NULL, refund TEXT NOT NULL, due REAL NOT NULL,
    step TEXT NOT NULL, failure_reason TEXT
);
CREATE INDEX IF NOT EXISTS schedule_by_due ON schedule (due);
CREATE TABLE IF NOT EXISTS deliveries (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, account TEXT NOT NULL, event TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    queued REAL NOT NULL, due REAL, place REAL NOT NULL, last_error TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS deliveries_by_due ON deliveries (due);
"""
_TABLES = ("objects", "answers", "schedule", "deliveries")
_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Store:
    """All state.

    Args:
        folder: where `sandbox.sqlite3` lives; None keeps everything in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._depth = 0
        self._connection = sqlite3.connect(
            str(folder / "sandbox.sqlite3") if folder else ":memory:", isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        # a commit survives the end of the process; only the machine's own end could lose the last ones
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            for table in _TABLES:
                self._connection.execute(f"DROP TABLE IF EXISTS {table}")
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do all or nothing; other threads wait. Nesting joins the outer one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Run one statement and return its rows."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def insert(self, account: str, body: Object) -> None:
        """Add an object; its `object` field is its kind."""
        self.rows(
            "INSERT INTO objects (account, kind, id, created, made, body) VALUES (?, ?, ?, ?, ?, ?)",
            account,
            body["object"],
            body["id"],
            body["created"],
            time.time(),
            json.dumps(body),
        )

    def put(self, account: str, body: Object) -> None:
        """Add an object, or write it back where it exists."""
        if self.get(account, body["object"], body["id"]) is None:
            self.insert(account, body)
        else:
            self.update(account, body)

    def update(self, account: str, body: Object) -> None:
        """Write an object back."""
        self.rows("UPDATE objects SET body = ? WHERE account = ? AND id = ?", json.dumps(body), account, body["id"])

    def get(self, account: str, kind: str, object_id: str) -> Object | None:
        """Return an object, or None."""
        rows = self.rows("SELECT body FROM objects WHERE account = ? AND kind = ? AND id = ?", account, kind, object_id)
        return json.loads(rows[0]["body"]) if rows else None

    def page(
        self,
        account: str,
        kind: str,
        *,
        limit: int,
        filters: Mapping[str, str],
        created: Mapping[str, int],
        starting_after: str | None = None,
        ending_before: str | None = None,
        made_before: float | None = None,
        without: Mapping[str, str] | None = None,
    ) -> tuple[list[Object], bool]:
        """Return one page, newest first, and whether there are more in the direction of travel.

        Args:
            kind, filters' names: ours, never from a request; they are written into the statement, where the indexes need them.
            filters: what fields must be; a name may be a path ("parent.subscription_details.subscription").
            without: what fields must not be.
            made_before: Unix seconds of the machine's clock; what was stored later is left out.
        """
        where = ["account = ?", f"kind = '{kind}'"]
        values: list[object] = [account]
        for name, value in filters.items():
            where.append(f"json_extract(body, '$.{name}') = ?")
            values.append(value)
        for name, value in (without or {}).items():
            where.append(f"json_extract(body, '$.{name}') <> ?")
            values.append(value)
        if made_before is not None:
            where.append("made <= ?")
            values.append(made_before)
        for name, bound in created.items():
            where.append(f"created {_COMPARISONS[name]} ?")
            values.append(bound)
        backwards = ending_before is not None
        cursor = ending_before or starting_after
        if cursor is not None:
            where.append(f"seq {'>' if backwards else '<'} (SELECT seq FROM objects WHERE account = ? AND id = ?)")
            values += [account, cursor]
        order = "ASC" if backwards else "DESC"
        rows = self.rows(
            f"SELECT body FROM objects WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?",  # noqa: S608 (names are ours)
            *values,
            limit + 1,
        )
        found = [json.loads(row["body"]) for row in rows[:limit]]
        return (found[::-1] if backwards else found), len(rows) > limit

    def all(self, kind: str) -> list[Object]:
        """Return all objects of a kind, of all accounts, newest first."""
        return [json.loads(row["body"]) for row in self.rows("SELECT body FROM objects WHERE kind = ? ORDER BY seq DESC", kind)]

    def count(self, kind: str) -> int:
        """Return how many objects of a kind there are in all accounts."""
        return int(self.rows("SELECT count(*) AS n FROM objects WHERE kind = ?", kind)[0]["n"])

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction():
            for table in _TABLES:
                self.rows(f"DELETE FROM {table}")  # noqa: S608 (names are ours)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
