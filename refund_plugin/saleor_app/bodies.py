"""Reading what Saleor sends, no more of it than is plausible."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest


class TooLarge(Exception):
    """More than anything that Saleor sends us."""


def read_body(request: HttpRequest, *, most_bytes: int) -> bytes:
    """Return the body.

    Raises:
        TooLarge: it is longer than `most_bytes`; not more than that was read.
    """
    told = str(request.META.get("CONTENT_LENGTH") or "")
    if told.isdecimal() and int(told) > most_bytes:
        raise TooLarge
    body = request.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise TooLarge
    return body


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body holds; None when it holds something else."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):  # also what is no UTF-8, and brackets nested without end
        return None
    return told if isinstance(told, dict) else None
