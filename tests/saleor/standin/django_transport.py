"""Reaching our App through Django's test client: in the test's own thread and its own transaction."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.test import Client

from tests.saleor.standin.webhooks import Answer


class DjangoTransport:
    """Sends what Saleor would send over HTTP; CSRF is enforced as on a real site, and an exception is a 500."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """Read."""
        return self._call("GET", url, b"", headers)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send."""
        return self._call("POST", url, body, headers)

    def _call(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        parts = urlsplit(url)
        kind = headers.get("Content-Type", "")
        rest = {name: value for name, value in headers.items() if name != "Content-Type"}
        answer = self.client.generic(
            method,
            f"{parts.path}?{parts.query}" if parts.query else parts.path,
            body,
            content_type=kind or "application/octet-stream",
            secure=parts.scheme == "https",
            headers={"Host": parts.netloc, **rest},
        )
        return Answer(answer.status_code, answer.getvalue(), dict(answer.items()))
