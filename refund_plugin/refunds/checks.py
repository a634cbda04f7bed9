"""What is validated before anything changes: submissions, reasons, states, amounts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput, Required, WrongState
from refund_plugin.money import Money
from refund_plugin.refunds.models import Decision, RefundRequest, RequestLine, RequestReason
from refund_plugin.refunds.states import OPEN_FOR_STAFF, REQUEST_TRANSITIONS, RequestState
from refund_plugin.rules import Outcome

MAX_MESSAGE = 4000
MAX_KEY = 64
MAX_TRACES = 100_000  # lines times clauses: 200 lines of a policy of 500 clauses, which is 10 MB of reasons


def check_text(text: str, *, field: str) -> None:
    """Check that a text can be stored: PostgreSQL keeps no NUL, and half of a surrogate pair is no character of UTF-8.

    Raises:
        InvalidInput: it cannot.
    """
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidInput(_("This text has a character that cannot be stored. Please type it again."), field=field)


def check_submission(*, reason: str, message: str, submission_key: str) -> None:
    """Validate what does not depend on the purchase.

    Raises:
        InvalidInput: unknown reason, a message over `MAX_MESSAGE` characters, a missing or overlong key, or a text that
            cannot be stored.
    """
    check_text(message, field="message")
    check_text(submission_key, field="submission_key")
    if reason not in RequestReason.values:
        raise InvalidInput(_("Choose one of the reasons."), field="reason")
    if len(message) > MAX_MESSAGE:
        raise InvalidInput(_("Please keep your message under %(max)d characters.") % {"max": MAX_MESSAGE}, field="message")
    if not 0 < len(submission_key) <= MAX_KEY:
        raise InvalidInput(_("A submission key has 1 to %(max)d characters.") % {"max": MAX_KEY}, field="submission_key")


def check_size(*, lines: int, clauses: int) -> None:
    """Keep one request within what is judged, stored and explained in a moment.

    Raises:
        InvalidInput: too many lines for a policy of so many clauses.
    """
    if lines * clauses > MAX_TRACES:
        text = _("Ask for at most %(max)d things at once, and for the others after that.")
        raise InvalidInput(text % {"max": max(1, MAX_TRACES // clauses)}, field="lines")


def suggested_amounts(decision: Decision) -> dict[int, int]:
    """Return what the engine would give, in minor units by line id: the verdicts' amounts, zero where it declines."""
    return {
        int(facts["line_id"]): int(verdict["amount_minor"]) if verdict["outcome"] != Outcome.DECLINE else 0
        for facts, verdict in zip(map(_loaded, decision.facts), map(_loaded, decision.verdicts), strict=True)
    }


def _loaded(value: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return loaded


def check_reason(reason: str) -> None:
    """Every decision of a person carries a reason.

    Raises:
        Required: it is empty.
        InvalidInput: it is overlong, or cannot be stored.
    """
    check_text(reason, field="reason")
    if not reason.strip():
        raise Required(_("Write the reason; it is recorded with the decision."), field="reason")
    if len(reason) > MAX_MESSAGE:
        raise InvalidInput(_("Please keep the reason under %(max)d characters.") % {"max": MAX_MESSAGE}, field="reason")


def check_open(request: RefundRequest, target: RequestState) -> None:
    """Check that the request waits for a decision and may move to `target`.

    Raises:
        WrongState: somebody was faster.
    """
    if request.state not in OPEN_FOR_STAFF or target not in REQUEST_TRANSITIONS[request.state]:
        raise WrongState


def check_amounts(
    *, asked: Sequence[RequestLine], granted: Mapping[int, int], amounts: Mapping[int, int], currency: str, step: int
) -> None:
    """Validate a person's amounts against the lines of the request.

    Args:
        step: minor units that the gateway accepts multiples of.

    Raises:
        InvalidInput: a line the request does not have, below zero, above what is left, between two steps, or nothing in all.
    """
    if set(amounts) - set(granted):
        raise InvalidInput(_("This request has no such line."), field="amounts")
    for item in asked:
        amount = granted[item.line_id]
        if not 0 <= amount <= item.line.left_minor:
            raise InvalidInput(
                _("“%(name)s”: give an amount from 0 to %(left)s.")
                % {"name": item.line.name, "left": Money(item.line.left_minor, currency)},
                field="amounts",
            )
        if amount % step:
            raise InvalidInput(
                _("“%(name)s”: the payment provider takes steps of %(step)s; %(less)s or %(more)s would do.")
                % {
                    "name": item.line.name,
                    "step": Money(step, currency),
                    "less": Money(amount // step * step, currency),
                    "more": Money((amount // step + 1) * step, currency),
                },
                field="amounts",
            )
    if sum(granted.values()) == 0:
        raise InvalidInput(_("Enter at least one amount above zero, or decline the request."), field="amounts")
