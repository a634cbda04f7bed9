"""Which endpoint answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable

from demo.sandbox.api import events, payment_intents, refunds
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import Object

Endpoint = Callable[..., Object]

_ID = r"([A-Za-z0-9_]+)"
_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/v1/payment_intents", payment_intents.create),
    ("GET", "/v1/payment_intents", payment_intents.list_all),
    ("GET", f"/v1/payment_intents/{_ID}", payment_intents.retrieve),
    ("POST", f"/v1/payment_intents/{_ID}/confirm", payment_intents.confirm),
    ("GET", "/v1/charges", payment_intents.list_charges),
    ("GET", f"/v1/charges/{_ID}", payment_intents.retrieve_charge),
    ("POST", "/v1/refunds", refunds.create),
    ("GET", "/v1/refunds", refunds.list_all),
    ("GET", f"/v1/refunds/{_ID}", refunds.retrieve),
    ("POST", f"/v1/refunds/{_ID}", refunds.update),
    ("POST", f"/v1/refunds/{_ID}/cancel", refunds.cancel),
    ("GET", "/v1/events", events.list_all),
    ("GET", f"/v1/events/{_ID}", events.retrieve),
)


def resolve(method: str, path: str) -> tuple[Endpoint, tuple[str, ...]]:
    """Return the endpoint and the ids in the path.

    Raises:
        ApiError: 404, nothing answers there.
    """
    for route_method, pattern, endpoint in _ROUTES:
        match = re.fullmatch(pattern, path)
        if match and route_method == method:
            return endpoint, match.groups()
    raise ApiError(404, f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs.")
