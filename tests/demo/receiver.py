"""A shop's webhook endpoint that remembers what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

WAIT_SECONDS = 20


@dataclass(frozen=True)
class Delivery:
    """One delivery as it came."""

    body: bytes
    signature: str

    @property
    def event(self) -> dict[str, Any]:
        """The event, not verified."""
        event: dict[str, Any] = json.loads(self.body)
        return event


class Receiver:
    """Listens on a free port; answers with the statuses in `answers` first, then 200."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answers: list[int] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._changed:
                    receiver.deliveries.append(Delivery(body, self.headers["Stripe-Signature"]))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                    receiver._changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/refunds/webhooks/stripe/"

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[Delivery]:
        """Wait until `count` deliveries of events that are `wanted` have come, and return them."""

        def found() -> list[Delivery]:
            return [delivery for delivery in self.deliveries if wanted(delivery.event)]

        with self._changed:
            came = self._changed.wait_for(lambda: len(found()) >= count, WAIT_SECONDS)
            assert came, f"waited for {count}, got {[delivery.event['type'] for delivery in self.deliveries]}"
            return found()

    def wait_for_type(self, event_type: str, count: int = 1) -> list[Delivery]:
        """Wait until `count` deliveries of a type have come, and return them."""
        return self.wait_for(lambda event: event["type"] == event_type, count)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
