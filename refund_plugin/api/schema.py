"""The schema, and its parts to mount in a host's own.

    @strawberry.type
    class Query(refund_plugin.api.schema.Query, ShopQuery): ...

    strawberry.Schema(Query, Mutation, config=StrawberryConfig(scalar_map={**SCALAR_MAP}), extensions=[*extensions()])

The host's view then has to be marked `transaction.non_atomic_requests` when `ATOMIC_REQUESTS` is on, because money verbs
open durable transactions of their own, and has to enforce CSRF for sessions.
"""

from __future__ import annotations

import logging

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from refund_plugin.api.access import AccessMutations
from refund_plugin.api.consent import ConsentMutations, ConsentQueries
from refund_plugin.api.incentives import IncentiveMutations
from refund_plugin.api.limits import extensions, is_defect
from refund_plugin.api.orders import OrderMutations, OrderQueries
from refund_plugin.api.policies import PolicyQueries
from refund_plugin.api.purchases import PurchaseQueries
from refund_plugin.api.refunds import RefundMutations, RefundQueries
from refund_plugin.api.types import SCALAR_MAP

__all__ = ["SCALAR_MAP", "Mutation", "Query", "extensions", "schema"]

logger = logging.getLogger(__name__)


@strawberry.type
class Query(ConsentQueries, OrderQueries, PolicyQueries, PurchaseQueries, RefundQueries):
    """Everything that can be read."""


@strawberry.type
class Mutation(AccessMutations, ConsentMutations, IncentiveMutations, OrderMutations, RefundMutations):
    """Everything that can be done."""


class RefundSchema(strawberry.Schema):
    """Logs defects only: that a caller's query was wrong is the caller's to know."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log what the answer will mask."""
        for error in errors:
            if is_defect(error):
                logger.error("GraphQL: %s failed", ".".join(map(str, error.path or ())), exc_info=error.original_error)


schema = RefundSchema(query=Query, mutation=Mutation, config=StrawberryConfig(scalar_map=dict(SCALAR_MAP)), extensions=extensions())
