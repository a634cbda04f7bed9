"""The stand-in's schema of one version: a part of Saleor's API, with scalars as strict as Saleor's."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from graphql import GraphQLError, GraphQLScalarType, GraphQLSchema, ValueNode, build_schema, value_from_ast_untyped

FOLDER = Path(__file__).parent / "sdl"
VERSIONS = {"3.22": "3.22.67", "3.23": "3.23.28"}  # what the API calls itself


def sdl(version: str) -> str:
    """Give the schema of a version ("3.22", "3.23") as text."""
    return (FOLDER / "common.graphql").read_text() + (FOLDER / f"{version}.graphql").read_text()


@cache
def schema_of(version: str) -> GraphQLSchema:
    """Build the schema of a version once."""
    schema = build_schema(sdl(version))
    for name, parse in PARSERS.items():
        _teach(schema.type_map[name], parse)
    for name in ("DateTime", "Date"):
        _serialize(schema.type_map[name], lambda value: value if isinstance(value, str) else value.isoformat())
    for name in ("PositiveDecimal", "Decimal"):
        _serialize(schema.type_map[name], float)
    _serialize(schema.type_map["UUID"], str)
    return schema


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation as error:
        raise GraphQLError(f"Unsupported value: {value!r}") from error


def _positive(value: Any) -> Decimal:
    amount = _decimal(value)
    if amount < 0:
        raise GraphQLError(f"Value cannot be lower than 0. Unsupported value: {value}")
    return amount


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise GraphQLError(f"DateTime cannot represent value: {value!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError as error:
        raise GraphQLError(f"UUID cannot represent value: {value!r}") from error


PARSERS = {
    "Decimal": _decimal,
    "PositiveDecimal": _positive,
    "DateTime": _moment,
    "Date": lambda value: date.fromisoformat(str(value)[:10]),
    "UUID": _uuid,
}


def _teach(scalar: Any, parse: Any) -> None:
    assert isinstance(scalar, GraphQLScalarType)

    def parse_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        return parse(value_from_ast_untyped(node, variables))

    scalar.parse_value = parse  # type: ignore[method-assign]
    scalar.parse_literal = parse_literal  # type: ignore[method-assign]


def _serialize(scalar: Any, serialize: Any) -> None:
    assert isinstance(scalar, GraphQLScalarType)
    scalar.serialize = serialize  # type: ignore[method-assign]
