"""The GraphQL endpoint: reads the token, validates strictly, counts the cost, answers as Saleor does."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    TypeInfo,
    TypeInfoVisitor,
    VariableNode,
    Visitor,
    execute,
    get_named_type,
    parse,
    print_ast,
    validate,
    visit,
)

from tests.saleor.standin import money_mutations as money
from tests.saleor.standin import other_mutations as other
from tests.saleor.standin import resolvers
from tests.saleor.standin.context import Context
from tests.saleor.standin.permissions import Caller
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.resolvers import resolve, resolve_type
from tests.saleor.standin.schema import schema_of
from tests.saleor.standin.webhook_mutations import update_webhook

FREE = ("Money", "TaxedMoney", "PageInfo", "MetadataItem")
MOST_MUTATIONS = 4  # of one operation

MUTATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "orderGrantRefundCreate": money.grant_refund,
    "orderGrantRefundUpdate": money.update_grant,
    "transactionRequestRefundForGrantedRefund": money.request_granted,
    "transactionRequestAction": money.request_action,
    "transactionEventReport": money.report_event,
    "transactionCreate": money.create_transaction,
    "transactionUpdate": money.update_transaction,
    "updateMetadata": other.update_metadata,
    "updatePrivateMetadata": other.update_private_metadata,
    "deleteMetadata": other.delete_metadata,
    "deletePrivateMetadata": other.delete_private_metadata,
    "voucherCreate": other.create_voucher,
    "voucherChannelListingUpdate": other.list_voucher,
    "giftCardCreate": other.create_gift_card,
    "pageTypeCreate": other.create_page_type,
    "pageCreate": other.create_page,
    "refundSettingsUpdate": other.update_refund_settings,
    "webhookUpdate": update_webhook,
}


def _mutation(run: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def answer(source: Any, context: Context, **arguments: Any) -> dict[str, Any]:
        try:
            return {**run(source, context, **arguments), "errors": []}
        except Refusal as refusal:
            return {"errors": [refusal.error]}

    return answer


resolvers.RESOLVERS.update({f"Mutation.{name}": _mutation(run) for name, run in MUTATIONS.items()})


class QueryCostError(GraphQLError):
    """The operation costs more than the shop allows."""


class Invalid(Exception):
    """The request is refused before anything runs."""

    def __init__(self, errors: list[GraphQLError], cost: dict[str, int] | None = None) -> None:
        super().__init__(errors[0].message)
        self.errors = errors
        self.cost = cost


@lru_cache(maxsize=256)
def read_document(query: str, version: str) -> DocumentNode:
    """Parse and validate.

    Raises:
        Invalid: syntax, unknown fields, or a variable that must be given and yet has a default, which Saleor's old library refuses.
    """
    try:
        document = parse(query)
    except GraphQLError as error:
        raise Invalid([error]) from error
    errors = list(validate(schema_of(version), document)) or _required_with_default(document) or _too_many(document)
    if errors:
        raise Invalid(errors)
    return document


def _required_with_default(document: DocumentNode) -> list[GraphQLError]:
    found = []
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            for each in node.variable_definitions or ():
                if each.default_value is not None and isinstance(each.type, NonNullTypeNode):
                    wanted, name = print_ast(each.type.type), each.variable.name.value
                    words = f'Variable "${name}" of type "{wanted}!" is required and will not use the default value.'
                    found.append(GraphQLError(words, each))
    return found


def _too_many(document: DocumentNode) -> list[GraphQLError]:
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and node.operation is OperationType.MUTATION:
            count = len(node.selection_set.selections)
            if count > MOST_MUTATIONS:
                return [GraphQLError(f"The operation has {count} mutations; at most {MOST_MUTATIONS} are allowed.")]
    return []


class _Cost(Visitor):
    """Counts what Saleor's map of costs counts: objects, once for each row that the pages around them may hold."""

    def __init__(self, types: TypeInfo, variables: dict[str, Any]) -> None:
        super().__init__()
        self.types = types
        self.variables = variables
        self.factors = [1]
        self.total = 0

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        size = 1
        for argument in node.arguments or ():
            if argument.name.value in ("first", "last"):
                value = argument.value
                given = self.variables.get(value.name.value) if isinstance(value, VariableNode) else getattr(value, "value", 1)
                size = int(given or 1)
        self.factors.append(self.factors[-1] * size)
        parent = self.types.get_parent_type()
        answer = str(get_named_type(self.types.get_type()))
        if node.selection_set and answer not in FREE and not answer.endswith("Edge") and not str(parent).endswith("Edge"):
            self.total += self.factors[-1]

    def leave_field(self, *_: Any) -> None:
        self.factors.pop()


def cost_of(document: DocumentNode, variables: dict[str, Any], version: str) -> int:
    """Estimate what an operation costs, in Saleor's way: rows multiply, simple fields are free."""
    types = TypeInfo(schema_of(version))
    visitor = _Cost(types, variables)
    visit(document, TypeInfoVisitor(types, visitor))
    return visitor.total


def answer_operation(payload: dict[str, Any], *, context: Context, maximum_cost: int, caller: Caller) -> tuple[int, dict[str, Any]]:
    """Run one operation.

    Returns:
        The HTTP status and the body: 400 when nothing ran; 200 otherwise, also when a permission was missing.
    """
    variables = payload.get("variables") or {}
    try:
        document = read_document(str(payload.get("query") or ""), context.version)
        cost = cost_of(document, variables, context.version)
        costs = {"requestedQueryCost": cost, "maximumAvailable": maximum_cost}
        if cost > maximum_cost:
            words = f"The query exceeds the maximum cost of {maximum_cost}. Actual cost is {cost}"
            raise Invalid([QueryCostError(words, extensions={"cost": costs})], costs)
    except Invalid as invalid:
        errors = [
            {**context.format(error), "extensions": {"exception": {"code": type(error).__name__}, **(error.extensions or {})}}
            for error in invalid.errors
        ]
        body: dict[str, Any] = {"errors": errors}
        return 400, {**body, "extensions": {"cost": invalid.cost}} if invalid.cost else body
    result = execute(
        schema_of(context.version),
        document,
        context_value=context,
        variable_values=variables,
        operation_name=payload.get("operationName"),
        field_resolver=resolve,
        type_resolver=resolve_type,
    )
    errors = [context.format(error) for error in getattr(result, "errors", None) or []]
    data = getattr(result, "data", None)
    answer: dict[str, Any] = {"errors": errors} if errors else {}
    return 200, {**answer, "data": data, "extensions": {"cost": costs}}


def read_payload(body: bytes) -> dict[str, Any]:
    """Read the request; empty when it is no JSON object."""
    try:
        payload = json.loads(body)
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}
