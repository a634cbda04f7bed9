"""A mutation's `errors[]`."""

from __future__ import annotations

from typing import Any


class Refusal(Exception):
    """Saleor refuses a mutation: a field, a message, a code."""

    def __init__(self, field: str, message: str, code: str, **more: Any) -> None:
        super().__init__(message)
        self.error = {"field": field, "message": message, "code": code, **more}
