"""The HTTP side: sockets, limits, and broken connections.

Requests are read by hand rather than by `http.server`, whose reading of headers alone would cost more than a refund.
"""

from __future__ import annotations

import socket
import sys
from http import HTTPStatus
from socketserver import StreamRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

from demo.sandbox.application import Application
from demo.sandbox.errors import ApiError, CutConnection, DropConnection
from demo.sandbox.messages import Request, Response

MAX_BODY_BYTES = 1 << 20
MOST_UNREAD_BYTES = 1 << 24
MAX_LINE_BYTES = 1 << 16
MAX_HEADERS = 100
IDLE_SECONDS = 60
METHODS = frozenset({"GET", "POST", "DELETE", "PUT"})


class Handler(StreamRequestHandler):
    """One connection of a client, which may carry many requests."""

    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server: Server

    def handle(self) -> None:
        """Answer until the client, or something in a request, ends the connection."""
        try:
            while self._exchange():
                pass
        except (ConnectionError, TimeoutError):
            pass  # the client went away, or said nothing for too long: both are its right

    def _exchange(self) -> bool:
        """Read one request and answer it; return whether another may follow."""
        line = self.rfile.readline(MAX_LINE_BYTES)
        if not line:
            return False
        words = line.decode("latin-1").split()
        headers = self._headers()
        if len(words) != 3 or headers is None or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
            return self._refuse(400, "This is not an HTTP/1.1 request.")
        if words[0] not in METHODS:
            return self._refuse(405, f"Nothing answers {words[0]}.")
        length = headers.get("content-length", "0")
        if not length.isdigit() or "transfer-encoding" in headers:
            return self._refuse(411, "Send a Content-Length.")
        if int(length) > MAX_BODY_BYTES:
            return self._refuse(413, f"A body has at most {MAX_BODY_BYTES} bytes.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return False  # the client went away in the middle of it
        parts = urlsplit(words[1])
        stays = words[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        try:
            response = self.server.application.handle(Request(words[0], parts.path, parts.query, headers, body))
        except DropConnection:
            return self._hang_up()
        except CutConnection as cut:
            whole = _as_bytes(cut.response, stays=True)
            self.wfile.write(whole[: len(whole) - len(cut.response.body) // 2])
            return self._hang_up()
        self.wfile.write(_as_bytes(response, stays))
        return stays

    def _headers(self) -> dict[str, str] | None:
        """Return the headers, or None when they cannot be read."""
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADERS):
            line = self.rfile.readline(MAX_LINE_BYTES)
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon:
                return None
            headers[name.strip().lower()] = value.strip()
        return None

    def _refuse(self, status: int, message: str) -> bool:
        """Answer without having read the body, after which the connection is of no use."""
        self.wfile.write(_as_bytes(ApiError(status, message).response(), stays=False))
        self.connection.shutdown(socket.SHUT_WR)
        for _ in range(MOST_UNREAD_BYTES // MAX_LINE_BYTES):  # while something unread comes in, the answer could get lost
            if not self.rfile.read1(MAX_LINE_BYTES):
                break
        return False

    def _hang_up(self) -> bool:
        self.connection.shutdown(socket.SHUT_RDWR)
        return False


def _as_bytes(response: Response, stays: bool) -> bytes:
    head = [
        f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
        *(f"{name}: {value}" for name, value in response.headers.items()),
    ]
    if not stays:
        head.append("Connection: close")
    # one write, so that it usually is one packet
    return "\r\n".join([*head, "", ""]).encode("latin-1") + response.body


class Server(ThreadingTCPServer):
    """Listens, one thread per connection."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self.application = application
        super().__init__(address, Handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that went away; report everything else."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
