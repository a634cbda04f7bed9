"""What happened, in numbers: so that a test can say "exactly one refund each" after one look."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import Any

from demo.sandbox.store import Store

_PAYING = "kind = 'refund' AND json_extract(body, '$.status') NOT IN ('failed', 'canceled')"


class Counters:
    """Requests by endpoint and answer since the last reset, and refunds by whom they are for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._requests: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def count(self, endpoint: str, answer: str) -> None:
        """Count a request; `answer` is a status, "dropped", "cut", or "replayed" beside its status."""
        with self._lock:
            self._requests[endpoint, answer] += 1

    def reset(self) -> None:
        """Start again; refunds are counted from the store and stay."""
        with self._lock:
            self._requests.clear()

    def as_json(self) -> dict[str, Any]:
        """Return everything.

        Refunds that failed or were canceled count in `by_status` only: what is asked of `by_payment` and `by_refund_id` is
        whether somebody was paid twice.
        """
        requests: dict[str, dict[str, int]] = {}
        with self._lock:
            for (endpoint, answer), number in sorted(self._requests.items()):
                requests.setdefault(endpoint, {})[answer] = number
        by_status = self._store.rows(
            "SELECT json_extract(body, '$.status') AS name, count(*) AS n FROM objects WHERE kind = 'refund' GROUP BY 1"
        )
        by_payment = self._paying("payment_intent")
        by_refund_id = self._paying("metadata.refund_id")
        return {
            "requests": requests,
            "refunds": {
                "made": sum(row["n"] for row in by_status),
                "by_status": {row["name"]: row["n"] for row in by_status},
                "amount": sum(item["amount"] for item in by_payment.values()),
                "by_payment": by_payment,
                "by_refund_id": by_refund_id,
                "more_than_once": sorted(name for name, item in by_refund_id.items() if item["count"] > 1),
            },
        }

    def _paying(self, field: str) -> dict[str, dict[str, int]]:
        rows = self._store.rows(
            f"SELECT json_extract(body, '$.{field}') AS name, count(*) AS n, sum(json_extract(body, '$.amount')) AS amount "  # noqa: S608
            f"FROM objects WHERE {_PAYING} GROUP BY 1 HAVING name IS NOT NULL"
        )
        return {row["name"]: {"count": row["n"], "amount": row["amount"]} for row in rows}
