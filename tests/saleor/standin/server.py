"""The HTTP side: GraphQL, the published keys, and the control for tests that run in another process."""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from graphql import OperationDefinitionNode, parse

from tests.saleor.standin.api import read_payload
from tests.saleor.standin.remote import do_remotely
from tests.saleor.standin.traps import Fault

if TYPE_CHECKING:
    from tests.saleor.standin.control import Standin

HANG_SECONDS = 30  # at most; tests let go by `traps.clear()`


class ApiServer:
    """A threaded server on 127.0.0.1."""

    def __init__(self, standin: Standin, port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"standin": standin})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Serve from a thread."""
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def operation_name(payload: dict[str, Any]) -> str:
    """Name the operation of a request."""
    return str(payload.get("operationName") or "") or _first_name(str(payload.get("query") or ""))


@lru_cache(maxsize=256)
def _first_name(query: str) -> str:
    try:
        document = parse(query)
    except Exception:  # no operation, no name
        return ""
    names = [node.name.value for node in document.definitions if isinstance(node, OperationDefinitionNode) and node.name]
    return names[0] if names else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart, and the body would wait 40 ms for the head's receipt
    standin: Standin

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        if self.path == "/.well-known/jwks.json":
            fault = self.standin.traps.take("jwks")
            self._send(200, self.standin.jwks()) if fault is None else self._fail(fault, 200, self.standin.jwks())
        else:
            self._send(404, {"detail": "Not found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_control/"):
            self._send(*do_remotely(self.standin, self.path.removeprefix("/_control/").strip("/"), read_payload(body)))
            return
        if self.path != "/graphql/":
            self._send(404, {"detail": "Not found"})
            return
        payload = read_payload(body)
        name = operation_name(payload)
        self.standin.calls.append(name)
        authorization = self.headers.get("Authorization-Bearer") or self.headers.get("Authorization") or ""
        fault = self.standin.traps.take(name)
        if fault is None:
            self._send(*self.standin.handle(payload, authorization))
            return
        answer = self.standin.handle(payload, authorization) if fault.executed else (200, {})
        self._fail(fault, *answer)

    def _fail(self, fault: Fault, status: int, answer: dict[str, Any]) -> None:
        retry_after = {"Retry-After": str(self.standin.traps.retry_after_seconds)}
        denied = {"message": "Signature has expired", "extensions": {"exception": {"code": "ExpiredSignatureError"}}}
        if fault.kind == "hang":
            self.standin.traps.released.wait(HANG_SECONDS)
            self.close_connection = True
        elif fault.kind == "drop":
            self.close_connection = True
        elif fault.kind == "rate_limit":
            self._send(429, {"errors": [{"message": "Too many requests"}]}, retry_after)
        elif fault.kind == "invalid_token":
            self._send(200, {"errors": [denied], "data": None})
        elif fault.kind == "redirect":
            self._send(302, {}, {"Location": "http://127.0.0.1:9/elsewhere"})
        else:
            bodies = {
                "garbage": b'{"data": {',
                "html": b"<html>Bad gateway</html>",
                "null": b"null",
                "too_large": b'"' + b"x" * 11_000_000 + b'"',
            }
            kind = "text/html" if fault.kind in ("html", "500", "502") else "application/json"
            number = {"500": 500, "502": 502}.get(fault.kind, 200)
            self._raw(number, bodies.get(fault.kind, b"<html>Error</html>"), kind, {})

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(body, default=str).encode(), "application/json", headers or {})

    def _raw(self, status: int, body: bytes, content_type: str, headers: dict[str, str]) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has given up
