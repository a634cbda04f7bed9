"""The body of a webhook: the app's own subscription, answered for one event."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphql import OperationDefinitionNode, OperationType, execute, parse, validate

from tests.saleor.standin.context import Context
from tests.saleor.standin.permissions import Caller
from tests.saleor.standin.resolvers import resolve, resolve_type
from tests.saleor.standin.schema import schema_of
from tests.saleor.standin.world import App, World

SYNC_EVENTS = ("TRANSACTION_REFUND_REQUESTED", "TRANSACTION_CHARGE_REQUESTED", "TRANSACTION_CANCELATION_REQUESTED")
SUBJECTS = {"ORDER": "order", "TRANSACTION": "transaction", "APP": "app", "PAGE": "page", "CUSTOMER": "user"}


@dataclass(frozen=True, kw_only=True)
class Happening:
    """An event and what it is about."""

    name: str  # as in the API: ORDER_FULLY_PAID
    subject: Any
    extra: dict[str, Any]  # further fields of its type, such as `action`

    @property
    def type_name(self) -> str:
        """The name of its type: OrderFullyPaid."""
        return "".join(part.capitalize() for part in self.name.split("_"))


@lru_cache(maxsize=64)
def subscription_problem(query: str, version: str) -> str:
    """Say why Saleor would refuse a webhook's query; empty when it would not."""
    try:
        document = parse(query)
    except Exception as error:  # any refusal of the parser is the answer
        return f"The query is no GraphQL: {error}"
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1 or operations[0].operation is not OperationType.SUBSCRIPTION:
        return "The query must be one subscription."
    errors = validate(schema_of(version), document)
    return "; ".join(error.message for error in errors)


_document = lru_cache(maxsize=64)(parse)


def webhook_body(world: World, *, version: str, api_version: str, app: App, query: str, happening: Happening) -> bytes | None:
    """Build the body that a webhook gets: what is inside `event`; errors beside it when the app may not read a field."""
    event = {
        "__typename": happening.type_name,
        "issuedAt": world.clock.now(),
        "version": api_version,
        "issuingPrincipal": None,
        "recipient": app,
        **happening.extra,
    }
    if subject := next((name for prefix, name in SUBJECTS.items() if happening.name.startswith(prefix)), ""):
        event[subject] = happening.subject
    context = Context(world=world, caller=Caller(app=app), version=version)
    result = execute(
        schema_of(version),
        _document(query),
        root_value={"event": event},
        context_value=context,
        field_resolver=resolve,
        type_resolver=resolve_type,
    )
    data = (getattr(result, "data", None) or {}).get("event")
    if not data:
        return None
    if errors := getattr(result, "errors", None):
        data["errors"] = [context.format(error) for error in errors]
    return json.dumps(data, default=str).encode()


def refund_happening(request: Any) -> Happening:
    """Make the event by which Saleor asks the owner of a transaction for an action."""
    action = request.type.removesuffix("_REQUEST")
    name = {
        "REFUND": "TRANSACTION_REFUND_REQUESTED",
        "CHARGE": "TRANSACTION_CHARGE_REQUESTED",
        "CANCEL": "TRANSACTION_CANCELATION_REQUESTED",
    }[action]
    extra = {
        "action": {"actionType": action, "amount": request.amount_value, "currency": request.transaction.currency},
        "grantedRefund": request.granted_refund,
    }
    return Happening(name=name, subject=request.transaction, extra=extra)
