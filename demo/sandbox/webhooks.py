"""Telling the shop: events become signed deliveries, sent by a thread of their own until the shop answers with a 2xx.

How they are sent can be steered (`Manner`): several times, late, in another order, or not at all.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from threading import Lock, local
from typing import Any
from urllib.parse import SplitResult, urlsplit

from demo.sandbox.clock import Clock
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import Object
from demo.sandbox.store import Store
from demo.sandbox.worker import Worker

TIMEOUT_SECONDS = 10
FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 60 * 60
GIVE_UP_SECONDS = 3 * 24 * 60 * 60  # Stripe retries for three days
BATCH = 500
MOST_PARALLEL = 32
_APART_SECONDS = 1e-6  # enough to tell the order of two deliveries


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where deliveries go; without a URL nothing is delivered."""

    url: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How events are delivered.

    Attributes:
        copies: how often each is sent.
        delay_ms: how long each waits first.
        hold: keep all until they are released.
        shuffle: keep them until so many wait, then send those in an order that `seed` decides; 0 keeps the order.
        never: forget them at once (they still are in /v1/events).
        parallel: how many are on their way at the same time; with more than one, the order is up to chance.
    """

    copies: int = 1
    delay_ms: int = 0
    hold: bool = False
    shuffle: int = 0
    seed: int = 0
    never: bool = False
    parallel: int = 1

    @classmethod
    def of(cls, wish: dict[str, Any]) -> Manner:
        """Read a wish; what it does not name is as usual.

        Raises:
            ApiError: a wish that cannot be understood.
        """
        usual = asdict(cls())
        for name, value in wish.items():
            if name not in usual or type(usual[name]) is not type(value) or value < 0:
                raise ApiError(400, f"Webhooks know {', '.join(usual)}: whole numbers, and true or false for hold and never.", param=name)
        manner = cls(**wish)
        if not 1 <= manner.parallel <= MOST_PARALLEL or not 1 <= manner.copies <= 100:
            raise ApiError(400, f"parallel is 1 to {MOST_PARALLEL}, copies 1 to 100.")
        return manner


class Webhooks:
    """The queue of deliveries and the threads that empty it."""

    def __init__(self, store: Store, clock: Clock, endpoint: Endpoint) -> None:
        self._store = store
        self._clock = clock
        self._endpoint = endpoint
        self._manner = Manner()
        self._shuffler = random.Random(0)
        self._kept = local()  # one open connection for each sending thread
        self._senders = ThreadPoolExecutor(MOST_PARALLEL, thread_name_prefix="webhook")
        self._answers: Counter[str] = Counter()
        self._lock = Lock()
        self.worker = Worker("webhooks", self._deliver_due)

    def queue(self, event: Object, account: str) -> None:
        """Queue an event; called inside the transaction that made it true."""
        if not self._endpoint.url or self._manner.never:
            return
        held = self._manner.hold or self._manner.shuffle > 0
        for _ in range(self._manner.copies):
            self._add(account, event["id"], due=None if held else self._clock.now() + self._manner.delay_ms / 1000)
        if self._manner.shuffle and self._held() >= self._manner.shuffle:
            self._release(self._shuffler)
        self.worker.wake()

    def behave(self, manner: Manner) -> None:
        """Deliver from now on in this manner."""
        self._manner = manner
        self._shuffler = random.Random(manner.seed)

    def point_to(self, endpoint: Endpoint) -> None:
        """Deliver from now on to another place, also what waits."""
        self._endpoint = endpoint
        self.worker.wake()

    @property
    def endpoint(self) -> Endpoint:
        """Where deliveries go."""
        return self._endpoint

    def release(self, seed: int | None = None) -> int:
        """Let everything that waits be due now, in an order that `seed` decides if it is given; return how many."""
        with self._store.transaction():
            count = self.waiting()
            self._release(None if seed is None else random.Random(seed), everything=True)
        self.worker.wake()
        return count

    def replay(self, *, seed: int | None, copies: int, types: Collection[str]) -> int:
        """Send past events again (all of them, or those of some types), each `copies` times; return how many deliveries that is."""
        with self._store.transaction():
            events = self._store.rows(
                "SELECT id, account FROM objects WHERE kind = 'event' "
                "AND (? = '[]' OR json_extract(body, '$.type') IN (SELECT value FROM json_each(?))) ORDER BY seq",
                *[json.dumps(list(types))] * 2,
            )
            again = [row for row in events for _ in range(copies)]
            if seed is not None:
                random.Random(seed).shuffle(again)
            for row in again:
                self._add(row["account"], row["id"], due=self._clock.now())
        self.worker.wake()
        return len(again)

    def waiting(self) -> int:
        """Return how many deliveries the shop has not accepted yet."""
        return int(self._store.rows("SELECT count(*) AS n FROM deliveries")[0]["n"])

    def as_json(self) -> dict[str, Any]:
        """Describe the manner and what came of it."""
        with self._lock:
            answers = dict(self._answers)
        return {**asdict(self._manner), "url": self._endpoint.url, "waiting": self.waiting(), "held": self._held(), "answers": answers}

    def reset(self) -> None:
        """Behave as usual again, and forget the numbers; the queue itself is the store's."""
        self.behave(Manner())
        with self._lock:
            self._answers.clear()

    def stop(self) -> None:
        """End the threads."""
        self.worker.stop()
        self._senders.shutdown(wait=False, cancel_futures=True)

    def _add(self, account: str, event_id: str, due: float | None) -> None:
        self._store.rows(
            "INSERT INTO deliveries (account, event, queued, due, place) VALUES (?, ?, ?, ?, ?)",
            account,
            event_id,
            self._clock.now(),
            due,
            self._clock.now(),
        )

    def _held(self) -> int:
        return int(self._store.rows("SELECT count(*) AS n FROM deliveries WHERE due IS NULL")[0]["n"])

    def _release(self, shuffler: random.Random | None, *, everything: bool = False) -> None:
        rows = self._store.rows(f"SELECT seq FROM deliveries WHERE {'1' if everything else 'due IS NULL'} ORDER BY place, seq")  # noqa: S608
        now = self._clock.now()
        if shuffler is not None:
            shuffler.shuffle(rows)
        for number, row in enumerate(rows):
            self._store.rows("UPDATE deliveries SET due = ?, place = ? WHERE seq = ?", now, now + number * _APART_SECONDS, row["seq"])

    def _deliver_due(self) -> float | None:
        self._store.rows("DELETE FROM deliveries WHERE queued < ?", self._clock.now() - GIVE_UP_SECONDS)
        due = self._store.rows(
            "SELECT deliveries.*, body FROM deliveries JOIN objects ON objects.id = event AND objects.account = deliveries.account "
            "WHERE due <= ? ORDER BY place, seq LIMIT ?",
            self._clock.now(),
            BATCH,
        )
        parallel = self._manner.parallel
        if parallel == 1:
            self._deliver(due)
        else:
            list(self._senders.map(self._deliver, [due[start::parallel] for start in range(parallel)]))
        next_due = self._store.rows("SELECT min(due) AS due FROM deliveries")[0]["due"]
        return None if next_due is None else max(0.0, next_due - self._clock.now())

    def _deliver(self, rows: Sequence[sqlite3.Row]) -> None:
        for row in rows:
            problem = self._send(row["body"])
            with self._lock:
                self._answers[problem or "accepted"] += 1
            if problem is None:
                self._store.rows("DELETE FROM deliveries WHERE seq = ?", row["seq"])
                continue
            pause = min(FIRST_RETRY_SECONDS * 2 ** row["attempts"], LONGEST_RETRY_SECONDS)
            self._store.rows(
                "UPDATE deliveries SET attempts = attempts + 1, due = ?, last_error = ? WHERE seq = ?",
                self._clock.now() + pause,
                problem,
                row["seq"],
            )

    def _send(self, body: str) -> str | None:
        """Deliver once; return None when accepted, else what went wrong."""
        endpoint = self._endpoint
        target = urlsplit(endpoint.url)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature_header(body, endpoint.secret, int(time.time())),
        }
        path = f"{target.path or '/'}?{target.query}" if target.query else target.path or "/"
        connection, is_fresh = self._connection(target)
        try:
            connection.request("POST", path, body.encode(), headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._kept.connection = None
            # a connection that was kept may have been closed by the shop meanwhile, which says nothing about this delivery
            return type(error).__name__ if is_fresh else self._send(body)
        return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"

    def _connection(self, target: SplitResult) -> tuple[http.client.HTTPConnection, bool]:
        """Return this thread's connection to the shop, and whether it is a new one."""
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        if kept is not None and kept.sock is not None and self._kept.place == (target.scheme, target.netloc):
            return kept, False
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        self._kept.connection, self._kept.place = kind(target.netloc, timeout=TIMEOUT_SECONDS), (target.scheme, target.netloc)
        return self._kept.connection, True


def signature_header(body: str, secret: str, timestamp: int) -> str:
    """Return `t=…,v1=…` as docs.stripe.com/webhooks#verify-manually describes it."""
    digest = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"
