"""The HTTP side: sockets, limits, and broken connections."""

from __future__ import annotations

import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from demo.sandbox.application import Application
from demo.sandbox.errors import ApiError, DropConnection
from demo.sandbox.messages import Request, Response

MAX_BODY_BYTES = 1 << 20
IDLE_SECONDS = 60


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: Server
    # a header and its body leave in one packet each; without this the second waits for the first's acknowledgement
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or "Transfer-Encoding" in self.headers:
            return self._refuse(411, "Send a Content-Length.")
        if int(length) > MAX_BODY_BYTES:
            return self._refuse(413, f"A body has at most {MAX_BODY_BYTES} bytes.")
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, parts.query, headers, self.rfile.read(int(length)))
        try:
            self._send(self.server.application.handle(request))
        except DropConnection:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        return None

    do_GET = do_POST = do_DELETE = do_PUT = _serve

    def _refuse(self, status: int, message: str) -> None:
        self.close_connection = True  # the body was not read
        self._send(Response.json(ApiError(status, message).body(), status))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(response.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing about single requests: the page and the state endpoint tell what happened."""


class Server(ThreadingHTTPServer):
    """Listens, one thread per connection."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self.application = application
        super().__init__(address, Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that went away; report everything else."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
