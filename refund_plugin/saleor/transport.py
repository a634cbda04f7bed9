"""One HTTP exchange with a Saleor: no redirects, TLS verified, a cap on the size and on the whole time of an answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import requests
from gql import GraphQLRequest
from gql.transport.requests import RequestsHTTPTransport
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, NewConnectionError

from refund_plugin import __version__
from refund_plugin.saleor.answers import HttpAnswer

MAX_ANSWER_BYTES = 10_000_000
CONNECT_SECONDS = 3.0
USER_AGENT = f"wagtail-refund-plugin/{__version__}"
_CHUNK_BYTES = 65_536


class NoAnswer(Exception):
    """Nothing usable came back; `was_sent` is False when the request surely never left."""

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class TooLong(NoAnswer):
    """More than we read."""


class BearerAuth(AuthBase):
    """Sends the token, if there is one; as an object of its own, so that no `.netrc` takes its place. Its `repr` holds no token."""

    def __init__(self, token: str = "") -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class SaleorTransport(RequestsHTTPTransport):
    """gql's transport on requests, which reads no more of an answer than it should."""

    def __init__(self, url: str, token: str, *, timeout_seconds: float) -> None:
        super().__init__(url, auth=BearerAuth(token), headers={"User-Agent": USER_AGENT})
        self._timeout_seconds = timeout_seconds
        self.session = requests.Session()

    def close(self) -> None:
        """Give the connections back; a later call opens new ones."""
        if self.session is not None:
            self.session.close()

    def post(self, request: GraphQLRequest) -> HttpAnswer:
        """Send a request once.

        Raises:
            NoAnswer: no connection, time over, or too long an answer.
        """
        assert self.session is not None
        return exchange(
            self.session,
            "POST",
            str(self.url),
            timeout_seconds=self._timeout_seconds,
            max_bytes=MAX_ANSWER_BYTES,
            json=request.payload,
            headers=self.headers,
            auth=self.auth,
        )


def exchange(session: requests.Session, method: str, url: str, *, timeout_seconds: float, max_bytes: int, **arguments: Any) -> HttpAnswer:
    """Send a request and read its answer within the time and size given.

    Args:
        timeout_seconds: from the beginning until the last byte.
    Raises:
        NoAnswer: see there.
    """
    ends = time.monotonic() + timeout_seconds
    wait = (min(CONNECT_SECONDS, timeout_seconds), timeout_seconds)
    try:
        with session.request(method, url, timeout=wait, allow_redirects=False, stream=True, **arguments) as response:
            body = _read(response, ends=ends, max_bytes=max_bytes)
            return HttpAnswer(response.status_code, _lower(response.headers), body)
    except (requests.RequestException, HTTPError) as error:
        raise NoAnswer(_told(error), was_sent=not _never_left(error)) from error


def _read(response: requests.Response, *, ends: float, max_bytes: int) -> bytes:
    body = bytearray()
    # read1 gives what has come; read would wait until a whole chunk has, so that a trickle could go on for ever
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        body += chunk
        if len(body) > max_bytes:
            raise TooLong(f"the answer is longer than {max_bytes} bytes")
        if time.monotonic() > ends:
            raise NoAnswer("the answer took too long")
    return bytes(body)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _told(error: Exception) -> str:
    """Return the kind of a failure alone: its text may repeat headers."""
    return type(error).__name__


def _never_left(error: Exception) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError)
