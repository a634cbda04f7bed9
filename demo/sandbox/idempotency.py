"""Idempotency keys, as docs.stripe.com/api/idempotent_requests describes them for API v1."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from demo.sandbox.clock import Clock
from demo.sandbox.errors import ApiError
from demo.sandbox.messages import Response
from demo.sandbox.params import Form
from demo.sandbox.store import Store

KEPT_SECONDS = 24 * 60 * 60
MAX_KEY_LENGTH = 255


class Keys:
    """Remembers the first answer to every key of an account, and which keys are being executed now."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._executing: set[tuple[str, str]] = set()
        self._lock = Lock()

    @contextmanager
    def claim(self, account: str, key: str) -> Iterator[None]:
        """Hold a key while its first request executes.

        Raises:
            ApiError: 409, another request with this key is executing.
        """
        with self._lock:
            if (account, key) in self._executing:
                raise ApiError(
                    409,
                    f"There is currently another in-progress request using this Idempotent Key: {key}. Please try again later.",
                    type="idempotency_error",
                    code="idempotency_key_in_use",
                )
            self._executing.add((account, key))
        try:
            yield
        finally:
            with self._lock:
                self._executing.discard((account, key))

    def replay(self, account: str, key: str, endpoint: str, form: Form) -> Response | None:
        """Return the stored answer, or None when the key is new or older than a day.

        Raises:
            ApiError: the key was used for something else.
        """
        if len(key) > MAX_KEY_LENGTH:
            raise ApiError(400, f"Idempotency keys can be up to {MAX_KEY_LENGTH} characters.", type="idempotency_error")
        rows = self._store.rows(
            "SELECT * FROM answers WHERE account = ? AND key = ? AND created >= ?", account, key, self._clock.now() - KEPT_SECONDS
        )
        if not rows:
            return None
        row = rows[0]
        if row["endpoint"] != endpoint:
            raise ApiError(
                400,
                f"Keys for idempotent requests can only be used for the same endpoint they were first used for ('{endpoint}' vs "
                f"'{row['endpoint']}'). Try using a key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        if row["fingerprint"] != fingerprint(form):
            raise ApiError(
                400,
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a "
                f"key other than '{key}' if you meant to execute a different request.",
                type="idempotency_error",
            )
        return Response(row["status"], bytes(row["body"]), headers={"Idempotent-Replayed": "true", "Original-Request": row["request_id"]})

    def save(self, account: str, key: str, endpoint: str, form: Form, request_id: str, response: Response) -> None:
        """Store the answer; called inside the transaction of what was executed."""
        self._store.rows(
            "INSERT OR REPLACE INTO answers (account, key, endpoint, fingerprint, status, body, request_id, created) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            account,
            key,
            endpoint,
            fingerprint(form),
            response.status,
            response.body,
            request_id,
            self._clock.now(),
        )

    def forget(self, older_than_seconds: float = 0) -> int:
        """Forget keys before their day is over; return how many."""
        with self._store.transaction():
            self._store.rows("DELETE FROM answers WHERE created <= ?", self._clock.now() - older_than_seconds)
            return int(self._store.rows("SELECT changes() AS n")[0]["n"])


def fingerprint(form: Form) -> str:
    """Return a hash of the parameters in which their order does not matter."""
    return hashlib.sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()
