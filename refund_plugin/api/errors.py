"""Errors as data: `errors { field message code }`, in Saleor's form."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeVar

import strawberry
from graphql import GraphQLError

from refund_plugin.errors import RateLimited, RefundPluginError

Payload = TypeVar("Payload")


@strawberry.enum(description="Stable codes of what can be wrong.")
class RefundErrorCode(Enum):
    """One member per `code` in `refund_plugin.errors` that a caller of the API can meet."""

    ALREADY_REFUNDED = strawberry.enum_value("ALREADY_REFUNDED", description="Nothing is left to refund on the line.")
    ERROR = strawberry.enum_value("ERROR", description="Something else; the message tells.")
    EXCEEDS_BALANCE = strawberry.enum_value("EXCEEDS_BALANCE", description="More than is left on the purchase; another request was faster.")
    INVALID = strawberry.enum_value("INVALID", description="A value that cannot be used; the message says what was expected.")
    NOT_ALLOWED = strawberry.enum_value("NOT_ALLOWED", description="The caller lacks the authority for this.")
    NOT_FOUND = strawberry.enum_value("NOT_FOUND", description="Unknown, or not visible to the caller: both read the same.")
    NOT_REFUNDABLE = strawberry.enum_value("NOT_REFUNDABLE", description="The policy does not refund this.")
    POLICY_INVALID = strawberry.enum_value("POLICY_INVALID", description="The store's refund policy cannot be read.")
    QUANTITY_TOO_HIGH = strawberry.enum_value("QUANTITY_TOO_HIGH", description="More units than are left on the line.")
    QUOTE_CHANGED = strawberry.enum_value(
        "QUOTE_CHANGED", description="Less comes back than was quoted; nothing was asked for. Quote again."
    )
    RATE_LIMITED = strawberry.enum_value("RATE_LIMITED", description="Too many tries; see `retryAfterSeconds`.")
    REQUIRED = strawberry.enum_value("REQUIRED", description="A value is missing.")
    UNKNOWN_CURRENCY = strawberry.enum_value("UNKNOWN_CURRENCY", description="Not an ISO 4217 code.")
    WRONG_STATE = strawberry.enum_value("WRONG_STATE", description="The request has moved on; load it again.")


@strawberry.type(description="What is wrong with one value, or with the call as a whole.")
class RefundError:
    """An error of ours for the answer."""

    field: str | None = strawberry.field(description="Name of the argument or input field; null when it is about the whole call.")
    message: str = strawberry.field(description="For a person, in the language of the request.")
    code: RefundErrorCode = strawberry.field(description="For a program.")
    retry_after_seconds: int | None = strawberry.field(default=None, description="With RATE_LIMITED: when to come back.")


def as_data(error: RefundPluginError) -> RefundError:
    """Return an error as the answer shows it."""
    code = RefundErrorCode.__members__.get(error.code, RefundErrorCode.ERROR)
    return RefundError(
        field=camel(error.field) if error.field else None,
        message=str(error),
        code=code,
        retry_after_seconds=error.retry_after_seconds if isinstance(error, RateLimited) else None,
    )


def answer(payload: Callable[..., Payload], field: str, verb: Callable[[], object]) -> Payload:
    """Call `verb` and return its result as `payload(field=result)`, or the error it raised as data.

    Only errors made for people are answered; anything else is a defect, which the schema masks and logs.
    """
    try:
        return payload(**{field: verb()}, errors=[])
    except RefundPluginError as error:
        return payload(**{field: None}, errors=[as_data(error)])


def as_graphql(error: RefundPluginError) -> GraphQLError:
    """Return an error for a field that has no `errors` of its own; the code is in its extensions."""
    return GraphQLError(str(error), original_error=error, extensions={"code": as_data(error).code.name})


def camel(name: str) -> str:
    """Return `order_number` as `orderNumber`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
