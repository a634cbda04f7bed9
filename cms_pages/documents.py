"""From what an editor wrote to what the engine reads."""

from __future__ import annotations

import json
import logging
from typing import Any

from wagtail.blocks.stream_block import StreamValue

from cms_pages.blocks import KEPT
from refund_plugin.errors import InvalidInput
from refund_plugin.money import EXPONENTS, Money
from refund_plugin.rules import Clause, PolicyDocument, UnknownClause
from refund_plugin.rules.documents import canonical_json

logger = logging.getLogger(__name__)

# Never a registered kind: what could not be read when it was frozen stays a person's matter for good, whatever is
# installed later, so that a decision can be reproduced.
UNREADABLE = "unreadable"


def document_of(clauses: StreamValue, limits: StreamValue) -> PolicyDocument:
    """Return the policy that the values say. Never raises on content: what cannot be read becomes an `UnknownClause`."""
    return PolicyDocument(clauses=tuple(clause_of(child) for child in clauses), auto_approve_limit=limits_of(limits))


def clause_of(child: StreamValue.StreamChild) -> Clause:
    """Return one block's clause."""
    if child.block_type == KEPT:
        return _unreadable(child)
    try:
        clause: Clause = child.block.clause(child.value)
    except (TypeError, ValueError, KeyError, InvalidInput) as error:
        logger.warning("clause %r of a policy page cannot be read: %s", child.value.get("anchor"), error)
        return _unreadable(child)
    return clause


def limits_of(limits: StreamValue) -> dict[str, int]:
    """Return the limits in minor units by currency; of two for one currency the lower one, 0 for one that cannot be read."""
    found: dict[str, int] = {}
    for child in limits:
        currency = child.value.get("currency")
        if currency not in EXPONENTS:
            continue
        try:
            minor = Money.from_decimal(child.value.get("amount"), currency).minor
        except (TypeError, ValueError, InvalidInput) as error:
            # closed rather than open: everything in this currency goes to a person
            logger.warning("the limit for %s of a policy page cannot be read: %s", currency, error)
            minor = 0
        found[currency] = min(minor, found.get(currency, minor))
    return found


def _unreadable(child: StreamValue.StreamChild) -> UnknownClause:
    stored: dict[str, Any] = child.block.get_prep_value(child.value)
    if child.block_type == KEPT:
        block = json.loads(stored["raw"])
        stored = block["value"] if isinstance(block.get("value"), dict) else {}
    else:
        block = {"type": child.block_type, "value": stored}
    texts = {name: stored[name] if isinstance(stored.get(name), str) else "" for name in ("anchor", "title")}
    return UnknownClause(raw=canonical_json({"kind": UNREADABLE, **texts, "block": block}), anchor=texts["anchor"], title=texts["title"])
