"""What an answer of Saleor's API says: data, or which error. Pure: no network, no database.

Saleor answers 400 for what it did not execute at all (syntax, validation, cost) and 200 with `errors` for what failed on the way
(saleor/graphql/views.py); the exception's class stands in `extensions.exception.code`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from refund_plugin.saleor.errors import (
    SaleorCostExceeded,
    SaleorError,
    SaleorPermissionDenied,
    SaleorRateLimited,
    SaleorRefused,
    SaleorTokenInvalid,
    SaleorUnreachable,
)
from refund_plugin.saleor.operations import Operation

DEFAULT_RETRY_AFTER_SECONDS = 5.0
MAX_RETRY_AFTER_SECONDS = 3600.0

_NEEDS = re.compile(r"following permissions?:\s*([A-Z_, ]+)")
_UNKNOWN_PART = re.compile(r"^(Cannot query field|Unknown (argument|type|field)|Field .* is not defined|Fragment )")
_WITHOUT_TOKEN = frozenset({"AUTHENTICATED_APP"})
# Of a JWT that Saleor refuses; an unknown token of an App simply counts as none.
_TOKEN_CODES = frozenset(
    {"InvalidTokenError", "InvalidSignatureError", "ExpiredSignatureError", "DecodeError", "JSONWebTokenError", "JSONWebTokenExpired"}
)
_REQUEST_TIMEOUT = 408


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """As it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """What a query cost, and what this Saleor allows for one."""

    asked: int
    limit: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`cost` is None when Saleor did not tell."""

    data: dict[str, Any]
    cost: Cost | None


class DocumentRejected(SaleorError):
    """This Saleor does not know a field that we ask for: it is of another version than we thought. Nothing was executed."""

    code = "SALEOR_DOCUMENT_REJECTED"


def read_answer(operation: Operation, answer: HttpAnswer) -> Answer:
    """Return the data of an answer; numbers with decimals are `Decimal`.

    Raises:
        SaleorError: the subclass that fits; `maybe_executed` tells of mutations whether they may have run.
    """
    document = _json(operation, answer)
    errors = document.get("errors")
    if isinstance(errors, list) and errors:
        raise _error(operation, [entry if isinstance(entry, Mapping) else {} for entry in errors], document, answer.status)
    data = document.get("data")
    if answer.status != 200 or not isinstance(data, dict):
        raise _unusable(operation, answer, _("Saleor gave neither data nor an error."))
    if operation.is_mutation:
        _refuse(operation, data)
    return Answer(data, _cost(document))


def _json(operation: Operation, answer: HttpAnswer) -> Mapping[str, Any]:
    if answer.status == 429:
        raise SaleorRateLimited(operation.name, retry_after(answer.headers))
    if not answer.headers.get("content-type", "").lower().startswith(("application/json", "application/graphql-response+json")):
        raise _unusable(operation, answer, _("Something answered that is no Saleor API."))
    try:
        document = json.loads(answer.body, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise _unusable(operation, answer, _("The answer is no JSON.")) from error
    if not isinstance(document, dict):
        raise _unusable(operation, answer, _("The answer is no JSON object."))
    return document


def _unusable(operation: Operation, answer: HttpAnswer, told: str) -> SaleorError:
    if answer.status == 401:
        return SaleorTokenInvalid(operation.name)
    refused_before = 300 <= answer.status < 500 and answer.status != _REQUEST_TIMEOUT
    return SaleorUnreachable(operation.name, f"{told} (HTTP {answer.status})", maybe_executed=operation.is_mutation and not refused_before)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of a `Retry-After`; a date in it counts as none."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else DEFAULT_RETRY_AFTER_SECONDS


def _cost(document: Mapping[str, Any]) -> Cost | None:
    extensions = document.get("extensions")
    told = extensions.get("cost") if isinstance(extensions, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    try:
        return Cost(int(told["requestedQueryCost"]), int(told["maximumAvailable"]))
    except (KeyError, TypeError, ValueError):
        return None


def _error(operation: Operation, errors: Sequence[Mapping[str, Any]], document: Mapping[str, Any], status: int) -> SaleorError:
    first = errors[0]
    code, message = _code(first), str(first.get("message") or "")
    executed = operation.is_mutation and _may_have_run(errors, document, status)
    if code == "QueryCostError":
        cost = _cost(first) or _cost(document) or Cost(0, 0)
        return SaleorCostExceeded(operation.name, cost=cost.asked, limit=cost.limit)
    if code in _TOKEN_CODES or status == 401:
        return SaleorTokenInvalid(operation.name, maybe_executed=executed)
    denied = [entry for entry in errors if _code(entry) == "PermissionDenied"]
    if denied:
        needed = _permissions(denied)
        if _WITHOUT_TOKEN & set(needed):
            return SaleorTokenInvalid(operation.name, maybe_executed=executed)
        return SaleorPermissionDenied(operation.name, needed, maybe_executed=executed)
    if status == 400 and any(_UNKNOWN_PART.match(str(entry.get("message") or "")) for entry in errors):
        return DocumentRejected(operation.name, message, saleor_code=code)
    if status >= 500 or (code and code != "GraphQLError" and status == 200 and message == "Internal Server Error"):
        return SaleorUnreachable(operation.name, message, maybe_executed=executed, saleor_code=code)
    return SaleorError(operation.name, message or None, maybe_executed=executed, saleor_code=code)


def _code(entry: Mapping[str, Any]) -> str:
    extensions = entry.get("extensions")
    exception = extensions.get("exception") if isinstance(extensions, Mapping) else None
    code = exception.get("code") if isinstance(exception, Mapping) else None
    return code if isinstance(code, str) else ""


def _permissions(denied: Sequence[Mapping[str, Any]]) -> list[str]:
    named: dict[str, None] = {}
    for entry in denied:
        if found := _NEEDS.search(str(entry.get("message") or "")):
            named |= dict.fromkeys(name for name in re.split(r"[,\s]+", found[1]) if name)
    return list(named)


def _may_have_run(errors: Sequence[Mapping[str, Any]], document: Mapping[str, Any], status: int) -> bool:
    """Tell whether a mutation with these errors may have changed something: only what was refused at the door surely did not."""
    if 400 <= status < 500:
        return False
    data = document.get("data")
    if isinstance(data, Mapping) and any(value is not None for value in data.values()):
        return True
    return not all(_code(entry) == "PermissionDenied" and len(entry.get("path") or ()) <= 1 for entry in errors)


def _refuse(operation: Operation, data: Mapping[str, Any]) -> None:
    for answer in data.values():
        errors = answer.get("errors") if isinstance(answer, Mapping) else None
        if errors:
            raise SaleorRefused.read(operation.name, errors)
