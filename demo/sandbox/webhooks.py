"""Telling the shop: events become signed deliveries, sent by a thread of their own until the shop answers with a 2xx."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from demo.sandbox.clock import Clock
from demo.sandbox.objects import Object
from demo.sandbox.store import Store
from demo.sandbox.worker import Worker

TIMEOUT_SECONDS = 10
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 60 * 60
GIVE_UP_SECONDS = 3 * 24 * 60 * 60  # Stripe retries for three days


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where deliveries go; without a URL nothing is delivered."""

    url: str = ""
    secret: str = ""


class Webhooks:
    """The queue of deliveries and the thread that empties it."""

    def __init__(self, store: Store, clock: Clock, endpoint: Endpoint) -> None:
        self._store = store
        self._clock = clock
        self._endpoint = endpoint
        self.worker = Worker("webhooks", self._deliver_due)

    def queue(self, event: Object) -> None:
        """Queue an event; called inside the transaction that made it true."""
        if self._endpoint.url:
            self._store.rows(
                "INSERT INTO deliveries (event, body, due) VALUES (?, ?, ?)", event["id"], json.dumps(event), self._clock.now()
            )
            self.worker.wake()

    def waiting(self) -> int:
        """Return how many deliveries the shop has not accepted yet."""
        return int(self._store.rows("SELECT count(*) AS n FROM deliveries WHERE NOT delivered")[0]["n"])

    def _deliver_due(self) -> float | None:
        for row in self._store.rows("SELECT * FROM deliveries WHERE NOT delivered AND due <= ? ORDER BY seq", self._clock.now()):
            problem = self._send(row["body"])
            if problem is None:
                self._store.rows("UPDATE deliveries SET delivered = 1, last_error = '' WHERE seq = ?", row["seq"])
                continue
            pause = min(FIRST_RETRY_SECONDS * 2 ** row["attempts"], LONGEST_RETRY_SECONDS)
            self._store.rows(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?, last_error = ? WHERE seq = ?",
                self._clock.now() + pause,
                problem,
                row["seq"],
            )
        self._store.rows(
            "DELETE FROM deliveries WHERE NOT delivered AND json_extract(body, '$.created') < ?", self._clock.now() - GIVE_UP_SECONDS
        )
        next_due = self._store.rows("SELECT min(due) AS due FROM deliveries WHERE NOT delivered")[0]["due"]
        return None if next_due is None else max(0.0, next_due - self._clock.now())

    def _send(self, body: str) -> str | None:
        """Deliver once; return None when accepted, else what went wrong."""
        target = urlsplit(self._endpoint.url)
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = kind(target.netloc, timeout=TIMEOUT_SECONDS)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature_header(body, self._endpoint.secret, int(time.time())),
        }
        path = f"{target.path or '/'}?{target.query}" if target.query else target.path or "/"
        try:
            connection.request("POST", path, body.encode(), headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        return None if 200 <= status < 300 else f"HTTP {status}"


def signature_header(body: str, secret: str, timestamp: int) -> str:
    """Return `t=…,v1=…` as docs.stripe.com/webhooks#verify-manually describes it."""
    digest = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"
