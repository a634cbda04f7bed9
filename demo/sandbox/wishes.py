"""Reading what the sandbox's own endpoints are asked for."""

from __future__ import annotations

from typing import Any

from demo.sandbox.errors import ApiError
from demo.sandbox.store import Object, Store

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


def captured_charge(store: Store, account: str, wish: Wish) -> Object:
    """Return the charge of the payment that a wish names as `payment_intent`.

    Raises:
        ApiError: there is none, or it was not captured.
    """
    intent = store.get(account, "payment_intent", str(wish.get("payment_intent")))
    charge = store.get(account, "charge", (intent or {}).get("latest_charge") or "")
    if charge is None or not charge["captured"]:
        raise ApiError(404, "payment_intent names no payment that was captured.", param="payment_intent")
    return charge
