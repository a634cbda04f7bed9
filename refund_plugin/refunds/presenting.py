"""What pages for staff show of a case or a purchase, whatever the door: made from rows, no rendering."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from refund_plugin.localize import Formatter
from refund_plugin.money import Money, share_of
from refund_plugin.orders.models import PurchaseLine
from refund_plugin.refunds.brake.models import BrakeReason
from refund_plugin.refunds.explaining import ExplainedLine, engine_decision, explain_decision
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.quote import Quote
from refund_plugin.refunds.states import OPEN_FOR_STAFF, OVER, RefundState, RequestState
from refund_plugin.rules import Outcome
from refund_plugin.rules.explanation import LineExplanation, explain_line


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of a request or purchase, with what the policy says about it.

    Attributes:
        quantity: units asked for.
        paid: for these units.
        left: what may still be refunded on the whole line.
        suggested: what the policy gives, or would give when a person agrees; zero when it declines.
        granted: what the newest decision gave; None while nothing was decided.
        shows_verdict: whether people see what the policy says.
        clause_url: the clause on the policy page; "" when none is cited or no page is published.
    """

    line_id: int
    name: str
    sku: str
    quantity: int
    bought: int
    paid: Money
    left: Money
    suggested: Money
    outcome: Outcome
    explanation: LineExplanation
    clause_url: str
    granted: Money | None = None
    shows_verdict: bool = True


def case_lines(request: RefundRequest, formatter: Formatter) -> list[CaseLine]:
    """Return the lines of a case as the policy judged them when it was asked; `request` comes from `queries.case`."""
    engine = engine_decision(request)
    decided = [decision for decision in request.decisions.all() if decision.outcome in ("approved", "declined")]
    granted = decided[-1].amounts if decided else None
    explained = explain_decision(engine, version=request.policy_version, formatter=formatter)
    lines = []
    for item in request.lines.all():
        told = explained[item.line_id]
        given = Money(int(granted.get(str(item.line_id), 0)), told.facts.currency) if granted is not None else None
        lines.append(_line(item.line, item.quantity, told, granted=given))
    return lines


def quote_lines(quote: Quote, formatter: Formatter) -> list[CaseLine]:
    """Return the lines of a purchase as the policy judges them at this moment."""
    quote = quote.worded(formatter.locale)
    return [
        _line(
            item.line,
            item.quantity,
            ExplainedLine(item.facts, item.verdict, explain_line(item.verdict, quote.document, item.facts, formatter), quote.version),
        )
        for item in quote.lines
    ]


def _line(line: PurchaseLine, quantity: int, told: ExplainedLine, *, granted: Money | None = None) -> CaseLine:
    verdict, currency = told.verdict, told.facts.currency
    return CaseLine(
        line_id=line.pk,
        name=line.name,
        sku=line.sku,
        quantity=quantity,
        bought=line.quantity,
        paid=Money(share_of(line.paid_minor, quantity, line.quantity), currency),
        left=Money(max(line.left_minor, 0), currency),
        suggested=Money(verdict.amount_minor if verdict.outcome != Outcome.DECLINE else 0, currency),
        outcome=verdict.outcome,
        explanation=told.explanation,
        clause_url=told.clause_url,
        granted=granted,
    )


def total(lines: list[CaseLine], currency: str) -> Money:
    """Return what the policy gives for all lines together."""
    return sum((line.suggested for line in lines), Money.zero(currency))


def why_a_person(request: RefundRequest) -> list[str]:
    """Say in words why a case needs a person; empty when it does not."""
    reasons = []
    if request.state == RequestState.IN_REVIEW:
        reasons.append(_why_review(request))
    if request.state == RequestState.NEEDS_EVIDENCE:
        reasons.append(_("We wait for the customer's answer."))
    for refund in request.refunds.all():
        if may_retry(refund):
            reasons.append(_("The payment provider did not refund the money; the customer still waits for it."))
        elif refund.needs_person and refund.state != RefundState.FAILED:
            reasons.append(_("Look at the money at the payment provider: %(why)s.") % {"why": refund.needs_person})
    return reasons


def _why_review(request: RefundRequest) -> str:
    engine = engine_decision(request)
    if engine is not None and engine.brake:
        return str(BrakeReason(engine.brake).label)
    if request.is_withdrawal:
        return _("The customer declared a statutory withdrawal.")
    return _("The customer asks that a person looks.") if request.wants_person else _("The policy leaves this to a person.")


def decides_unseen(request: RefundRequest) -> bool:
    """Tell whether a person is to decide without seeing what the policy would do, so that the two can be compared."""
    engine = engine_decision(request)
    return engine is not None and engine.brake == BrakeReason.OBSERVE and request.state in OPEN_FOR_STAFF


def without_verdict(line: CaseLine) -> CaseLine:
    """Return a line that shows its facts and not what the policy makes of them."""
    return replace(line, suggested=Money.zero(line.paid.currency), shows_verdict=False)


def may_retry(refund: Refund) -> bool:
    """Tell whether a refund failed and is still owed: not given up, and nothing was sent in its place, also since a restored backup."""
    return refund.state in OVER and refund.owed and not refund.list_first
