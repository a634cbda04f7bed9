"""The steps by which staff start a refund in Saleor's dashboard: choose, see what will happen, send. One key runs through all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from django.http import QueryDict
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.checks import check_submission
from refund_plugin.refunds.facts import FAULTS
from refund_plugin.refunds.models import DecisionOutcome, RefundRequest
from refund_plugin.refunds.promise import make_promise
from refund_plugin.refunds.quote import Quote, QuoteLine, quote_purchase
from refund_plugin.refunds.services import judge, request_refund
from refund_plugin.rules import Outcome, Reason
from refund_plugin.saleor_app.visits import Visit

NEVER = (Reason.ALREADY_REFUNDED, Reason.NOTHING_PAID)


@dataclass(frozen=True, slots=True)
class Choice:
    """What staff chose: units by line id, why, and the key under which it is asked for once."""

    lines: Mapping[int, int]
    reason: str
    message: str
    key: str
    promise: str = ""

    @classmethod
    def first(cls, quote: Quote) -> Choice:
        """Return what is chosen when the form opens: all that the policy gives by itself."""
        given = {line.line.pk: line.quantity for line in quote.lines if line.verdict.outcome == Outcome.APPROVE}
        return cls(given, reason="", message="", key=uuid4().hex)

    @classmethod
    def sent(cls, data: QueryDict) -> Choice:
        """Read a form.

        Raises:
            InvalidInput: a line or a quantity that is no number; `field` is `lines`.
        """
        try:
            ticked = [_number(text) for text in data.getlist("line")]
            lines = {pk: _number(data.get(f"quantity-{pk}", "1")) for pk in ticked}
        except ValueError:
            raise InvalidInput(_("Choose the quantity from the list."), field="lines") from None
        return cls(lines, data.get("reason", ""), data.get("message", ""), data.get("key", ""), data.get("promise", ""))


@dataclass(frozen=True, slots=True)
class Preview:
    """What will happen when a choice is sent.

    Attributes:
        goes_at_once: what the policy gives without a person; zero when the whole waits for a decision.
        asked: what can come back in all.
        promise: keeps the amounts while the page is read.
    """

    quote: Quote
    goes_at_once: Money
    asked: Money
    wants_person: bool
    promise: str


def can_choose(line: QuoteLine) -> bool:
    """Tell whether something of a line is left to ask for, by the policy or by a person."""
    return line.max_quantity > 0 and line.line.left_minor > 0 and line.verdict.reason not in NEVER


def preview(*, purchase: Purchase, choice: Choice, now: datetime) -> Preview:
    """Say what a choice leads to; changes nothing.

    Raises:
        InvalidInput and its kin: nothing chosen, more than is left, no reason; as `request_refund` would.
    """
    check_submission(reason=choice.reason, message=choice.message, submission_key=choice.key)
    quote = quote_purchase(purchase=purchase, quantities=choice.lines, fault_reported=choice.reason in FAULTS, now=now)
    wants_person = _wants_person(quote)
    approves = judge(quote, wants_person=wants_person) == DecisionOutcome.APPROVED
    zero = Money.zero(purchase.currency)
    return Preview(quote, quote.certain if approves else zero, quote.total, wants_person, make_promise(quote))


def start(*, visit: Visit, purchase: Purchase, choice: Choice, now: datetime) -> RefundRequest:
    """Ask for the refund as staff: what the policy approves is sent, the rest waits for a decision. The same key asks once.

    Raises:
        as `request_refund`.
    """
    check_submission(reason=choice.reason, message=choice.message, submission_key=choice.key)
    first = RefundRequest.objects.filter(purchase=purchase, submission_key=choice.key).first()
    if first is not None:  # the second click of two: what it asks for may already be gone
        return first
    quote = quote_purchase(purchase=purchase, quantities=choice.lines, fault_reported=choice.reason in FAULTS, now=now)
    return request_refund(
        purchase_id=purchase.pk,
        lines=choice.lines,
        reason=choice.reason,
        message=choice.message,
        by=visit.actor,
        submission_key=choice.key,
        channel="saleor",
        locale=purchase.customer.locale or get_language() or "",
        wants_person=_wants_person(quote),
        promise=choice.promise,
        now=now,
    )


def _wants_person(quote: Quote) -> bool:
    """Whoever asks for what the policy declines, asks a person: the form says so before."""
    return any(not line.askable for line in quote.lines)


def _number(text: str) -> int:
    if len(text) > 18:  # beyond what a database key or a quantity can be
        raise ValueError(text)
    return int(text)
