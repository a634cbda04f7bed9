"""Which endpoint answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from demo.sandbox.api import balance_transactions, disputes, events, payment_intents, refunds
from demo.sandbox.objects import Object

Endpoint = Callable[..., Object]

_ID = r"([A-Za-z0-9_]+)"
_ROUTES: tuple[tuple[str, str, Endpoint], ...] = (
    ("POST", "/v1/payment_intents", payment_intents.create),
    ("GET", "/v1/payment_intents", payment_intents.list_all),
    ("GET", f"/v1/payment_intents/{_ID}", payment_intents.retrieve),
    ("POST", f"/v1/payment_intents/{_ID}/confirm", payment_intents.confirm),
    ("POST", f"/v1/payment_intents/{_ID}/capture", payment_intents.capture),
    ("POST", f"/v1/payment_intents/{_ID}/cancel", payment_intents.cancel),
    ("GET", "/v1/charges", payment_intents.list_charges),
    ("GET", f"/v1/charges/{_ID}", payment_intents.retrieve_charge),
    ("POST", "/v1/refunds", refunds.create),
    ("GET", "/v1/refunds", refunds.list_all),
    ("GET", f"/v1/refunds/{_ID}", refunds.retrieve),
    ("POST", f"/v1/refunds/{_ID}", refunds.update),
    ("POST", f"/v1/refunds/{_ID}/cancel", refunds.cancel),
    ("GET", "/v1/balance_transactions", balance_transactions.list_all),
    ("GET", f"/v1/balance_transactions/{_ID}", balance_transactions.retrieve),
    ("GET", "/v1/disputes", disputes.list_all),
    ("GET", f"/v1/disputes/{_ID}", disputes.retrieve),
    ("GET", "/v1/radar/early_fraud_warnings", disputes.list_warnings),
    ("GET", f"/v1/radar/early_fraud_warnings/{_ID}", disputes.retrieve_warning),
    ("GET", "/v1/events", events.list_all),
    ("GET", f"/v1/events/{_ID}", events.retrieve),
)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request leads.

    Attributes:
        name: the method and the path with its ids left out ("GET /v1/refunds/:id"); what rate limits and counters go by.
        endpoint: None when nothing answers there.
        ids: those in the path.
    """

    name: str
    endpoint: Endpoint | None
    ids: tuple[str, ...] = ()


_PLAIN = {f"{method} {path}": Route(f"{method} {path}", endpoint) for method, path, endpoint in _ROUTES if _ID not in path}
_WITH_IDS = [
    (re.compile(f"{method} {path}"), f"{method} {path.replace(_ID, ':id')}", endpoint) for method, path, endpoint in _ROUTES if _ID in path
]


def resolve(method: str, path: str) -> Route:
    """Find the endpoint of a request."""
    wanted = f"{method} {path}"
    if wanted in _PLAIN:
        return _PLAIN[wanted]
    for pattern, name, endpoint in _WITH_IDS:
        if match := pattern.fullmatch(wanted):
            return Route(name, endpoint, match.groups())
    return Route("unknown", None)
