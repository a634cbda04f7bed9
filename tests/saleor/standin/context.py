"""What every resolver may look at, and the errors of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError

from tests.saleor.standin.permissions import Caller
from tests.saleor.standin.world import TransactionEvent, World


@dataclass
class Context:
    """What a resolver may look at. `happened` collects the events that webhooks will tell about."""

    world: World
    caller: Caller
    version: str
    api_version: str = ""
    name: str = "Stand-in"
    host: str = ""
    happened: list[Any] = field(default_factory=list)
    requests: list[TransactionEvent] = field(default_factory=list)

    def format(self, error: GraphQLError) -> dict[str, Any]:
        """Write an error as Saleor does, with the name of the exception."""
        original = error.original_error or error
        return {**error.formatted, "extensions": {"exception": {"code": type(original).__name__}}}
