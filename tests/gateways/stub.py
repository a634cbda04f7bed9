"""A server that answers with prepared JSON, for the answers of Stripe that the sandbox does not give."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]


class Stub:
    """What the server answers, by method and path, and what it was asked.

    Attributes:
        answers: one document; a status and a document, perhaps with headers; a list is used up one by one, its last for ever.
        asked: method and path, and the parameters (of the address or the form).
    """

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def answer(self, method: str, path: str, params: dict[str, str]) -> tuple[int, Json, dict[str, str]]:
        """Return the status, document and headers for a request."""
        self.asked.append((f"{method} {path}", params))
        found = self.answers.get(f"{method} {path}")
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if found is None:
            missing = {"type": "invalid_request_error", "code": "resource_missing", "message": f"No such thing: {path}"}
            return 404, {"error": missing}, {}
        status, document, *headers = found if isinstance(found, tuple) else (200, found)
        return status, document, headers[0] if headers else {}

    def params_of(self, request: str) -> dict[str, str]:
        """Return the parameters of the only request of this kind."""
        (params,) = [params for asked, params in self.asked if asked == request]
        return params


@contextmanager
def stub_server(answers: dict[str, Any]) -> Iterator[Stub]:
    """Serve prepared answers on a free port."""
    stub = Stub(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, document, headers = stub.answer(self.command, parts.path, dict(parse_qsl(body or parts.query)))
            data = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (names of the base class)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        stub.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
