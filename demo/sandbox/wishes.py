"""Reading what the sandbox's own endpoints are asked for."""

from __future__ import annotations

from typing import Any

from demo.sandbox.errors import ApiError

Wish = dict[str, Any]


def number(wish: Wish, name: str, *, default: int | None = None, minimum: int = 0) -> int:
    """Return a whole number (or a number of seconds) of at least `minimum`.

    Raises:
        ApiError: it is missing, or something else.
    """
    value = wish.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < minimum:
        raise ApiError(400, f"{name} is a number of at least {minimum}.", param=name)
    return value  # type: ignore[return-value]
