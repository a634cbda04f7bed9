"""Errors in the words of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from demo.sandbox.messages import Response


class DropConnection(Exception):
    """Close the connection without an answer; raised by faults."""


class CutConnection(Exception):
    """Send the headers and half of the body, then close the connection; raised by faults."""

    def __init__(self, response: Response) -> None:
        self.response = response


@dataclass(eq=False)
class ApiError(Exception):
    """An error answer.

    Attributes:
        stored: the answer belongs to the idempotency key and is replayed. True once execution has begun, false for what
            fails validation before it, for conflicts and for rate limits (docs.stripe.com/api/idempotent_requests).
    """

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    stored: bool = False
    extra: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the JSON document."""
        error: dict[str, Any] = {"message": self.message, "type": self.type}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://docs.stripe.com/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        return {"error": {**error, **(self.extra or {})}}

    def response(self) -> Response:
        """Return the answer."""
        return Response.json(self.body(), self.status, self.headers)


def missing_object(noun: str, object_id: str, *, param: str, status: int = 404) -> ApiError:
    """Return the error for an object that does not exist; it counts as executed."""
    return ApiError(status, f"No such {noun}: '{object_id}'", code="resource_missing", param=param, stored=True)
