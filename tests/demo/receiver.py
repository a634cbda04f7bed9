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
IDLE_SECONDS = 0.5  # so that the end of a test waits for no connection that is kept


@dataclass(frozen=True)
class Delivery:
    """One delivery as it came."""

    body: bytes
    signature: str
    connection: int

    @property
    def event(self) -> dict[str, Any]:
        """The event, not verified."""
        event: dict[str, Any] = json.loads(self.body)
        return event


class Receiver:
    """Listens on a free port; answers with the statuses in `answers` first, then 200.

    Args:
        before_answer: what is called when a delivery has been read, before it is answered.
    """

    def __init__(self, before_answer: Callable[[], object] = lambda: None) -> None:
        self.deliveries: list[Delivery] = []
        self.answers: list[int] = []
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections stay open, as those of a shop behind a web server do
            timeout = IDLE_SECONDS

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) < int(self.headers["Content-Length"]):
                    self.close_connection = True  # the sender was killed while it spoke
                    return
                before_answer()
                with receiver._changed:
                    receiver.deliveries.append(Delivery(body, self.headers["Stripe-Signature"], self.client_address[1]))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                    receiver._changed.notify_all()
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Keep the tests' output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

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
