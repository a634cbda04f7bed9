"""What is done with a fact that a webhook tells: one handler per kind of fact; rooms above register theirs in `ready()`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

from refund_plugin.gateways.models import GatewayAccount


class Handled(StrEnum):
    """What became of a fact."""

    DONE = "done"
    FOREIGN = "foreign"  # about a payment that we do not know; looked at again when we come to know it


Handler = Callable[[GatewayAccount, Any, datetime], Handled]

_handlers: dict[type, Handler] = {}


def register_handler(fact_type: type, handler: Handler) -> None:
    """Let `handler(account, fact, now)` apply facts of this type; registering a type again replaces its handler.

    A handler is called with no transaction open, so it may call the gateway. It may be called more than once for a fact, and
    facts may come in any order. One that raises is called again later.
    """
    _handlers[fact_type] = handler


def handler_of(fact_type: type) -> Handler | None:
    """Return the handler of a type of fact; None when nobody wants it, and then its events are not even stored."""
    return _handlers.get(fact_type)
