"""The stand-in's schema of one version: a part of Saleor's API, with scalars as strict as Saleor's."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from graphql import (
    FloatValueNode,
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    IntValueNode,
    ValueNode,
    build_schema,
    print_ast,
    value_from_ast_untyped,
)

DECIMALS = ("Decimal", "PositiveDecimal")
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
    for name in DECIMALS:
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
    def parse_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
        if scalar.name in DECIMALS and not isinstance(node, (FloatValueNode, IntValueNode)):
            raise GraphQLError(f"{scalar.name} cannot represent value: {print_ast(node)}")
        return parse(value_from_ast_untyped(node, variables))

    _set(scalar, parse, "parse_value", "coerce_input_value")
    _set(scalar, parse_literal, "parse_literal", "coerce_input_literal")


def _serialize(scalar: Any, serialize: Any) -> None:
    _set(scalar, serialize, "serialize", "coerce_output_value")


def _set(scalar: Any, function: Any, *names: str) -> None:
    """Set a scalar's function under the name of each release of graphql-core; releases before 3.3 do not know the second."""
    assert isinstance(scalar, GraphQLScalarType)
    for name in names:
        if hasattr(scalar, name):
            setattr(scalar, name, function)
