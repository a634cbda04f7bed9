"""Which endpoint answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from demo.sandbox.api import balance_transactions, billing, catalogue, checkout, disputes, events, payment_intents, refunds
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
    ("POST", "/v1/products", catalogue.create_product),
    ("GET", "/v1/products", catalogue.list_products),
    ("GET", f"/v1/products/{_ID}", catalogue.retrieve_product),
    ("POST", f"/v1/products/{_ID}", catalogue.update_product),
    ("POST", "/v1/prices", catalogue.create_price),
    ("GET", "/v1/prices", catalogue.list_prices),
    ("GET", f"/v1/prices/{_ID}", catalogue.retrieve_price),
    ("POST", "/v1/tax_rates", catalogue.create_tax_rate),
    ("GET", f"/v1/tax_rates/{_ID}", catalogue.retrieve_tax_rate),
    ("POST", "/v1/customers", catalogue.create_customer),
    ("GET", "/v1/customers", catalogue.list_customers),
    ("GET", f"/v1/customers/{_ID}", catalogue.retrieve_customer),
    ("POST", "/v1/checkout/sessions", checkout.create),
    ("GET", "/v1/checkout/sessions", checkout.list_all),
    ("GET", f"/v1/checkout/sessions/{_ID}", checkout.retrieve),
    ("GET", f"/v1/checkout/sessions/{_ID}/line_items", checkout.line_items),
    ("GET", "/v1/invoices", billing.list_invoices),
    ("GET", f"/v1/invoices/{_ID}", billing.retrieve_invoice),
    ("GET", f"/v1/invoices/{_ID}/lines", billing.invoice_lines),
    ("GET", "/v1/invoice_payments", billing.list_invoice_payments),
    ("POST", "/v1/subscriptions", billing.create_subscription),
    ("GET", "/v1/subscriptions", billing.list_subscriptions),
    ("GET", f"/v1/subscriptions/{_ID}", billing.retrieve_subscription),
    ("POST", f"/v1/subscriptions/{_ID}", billing.update_subscription),
    ("DELETE", f"/v1/subscriptions/{_ID}", billing.cancel_subscription),
    ("POST", "/v1/credit_notes", billing.create_credit_note),
    ("GET", "/v1/credit_notes", billing.list_credit_notes),
    ("GET", f"/v1/credit_notes/{_ID}", billing.retrieve_credit_note),
    ("POST", f"/v1/credit_notes/{_ID}/void", billing.void_credit_note),
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
