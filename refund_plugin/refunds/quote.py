"""Can this be refunded, how much, why, until when: the same evaluation before and at the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from refund_plugin.errors import AlreadyRefunded, InvalidInput, QuantityTooHigh
from refund_plugin.gateways.services import account_slugs, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.orders.queries import lines_with_usage
from refund_plugin.policies.floors import floor_of_line
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import load_version, version_in_force
from refund_plugin.policies.wording import document_for
from refund_plugin.refunds.facts import gather_facts
from refund_plugin.refunds.reserve import split_over_payments
from refund_plugin.rules import LineFacts, LineVerdict, Outcome, PolicyDocument, Reason, evaluate

NO_POLICY = PolicyDocument(clauses=())


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """The verdict on one line for `quantity` of its units."""

    line: PurchaseLine
    quantity: int
    facts: LineFacts
    verdict: LineVerdict

    @property
    def max_quantity(self) -> int:
        """Units that are neither refunded nor on their way."""
        return self.line.quantity_left

    @property
    def amount(self) -> Money:
        """What comes back when the verdict stands; zero when it declines."""
        return Money(self.verdict.amount_minor if self.askable else 0, self.facts.currency)

    @property
    def askable(self) -> bool:
        """Whether asking leads to money, at once or after a person has looked."""
        return self.verdict.outcome != Outcome.DECLINE


@dataclass(frozen=True, slots=True)
class Quote:
    """What the policy in force on the day of the purchase says about it now.

    Attributes:
        version: None when no policy was in force on that day; a person decides then.
        payments: those a refund can be sent over.
        step: minor units that amounts must be multiples of.
    """

    purchase: Purchase
    version: PolicyVersion | None
    document: PolicyDocument
    lines: Sequence[QuoteLine]
    payments: Sequence[Payment]
    step: int
    now: datetime

    @property
    def total(self) -> Money:
        """What can come back for all lines together, now or after a person has looked."""
        return sum((line.amount for line in self.lines), Money.zero(self.purchase.currency))

    @property
    def certain(self) -> Money:
        """What comes back without a person."""
        zero = Money.zero(self.purchase.currency)
        approved = sum((line.amount for line in self.lines if line.verdict.outcome == Outcome.APPROVE), zero)
        return approved if self._goes_by_itself(approved) else zero

    def worded(self, language: str) -> Quote:
        """Return the same quote with the policy's words in a language, a Django language code; one query."""
        return replace(self, document=document_for(self.version, language)) if self.version else self

    def if_faulty(self, line: QuoteLine) -> LineVerdict | None:
        """Return what the policy would say if the customer reported a fault; None when that changes nothing for the line."""
        if line.facts.fault_reported or line.verdict.reason in (Reason.ALREADY_REFUNDED, Reason.NOTHING_PAID):
            return None
        verdict = evaluate(self.document, replace(line.facts, fault_reported=True), self.step, floor_of_line(line.facts))
        same = (verdict.outcome, verdict.amount_minor, verdict.clause_anchor) == (
            line.verdict.outcome,
            line.verdict.amount_minor,
            line.verdict.clause_anchor,
        )
        return None if same else verdict

    def _goes_by_itself(self, amount: Money) -> bool:
        """Tell whether the payments are in a state in which nobody needs to look before money goes back.

        What was refunded past us and is not assigned to lines may be this very money; a disputed payment pays itself back; and
        a payment that is not captured cannot give back a part. Of a payment whose history was not read yet nobody knows.
        """
        if any(payment.unallocated_minor or payment.disputed_minor or payment.history_due_at for payment in self.payments):
            return False
        if all(payment.is_captured for payment in self.payments) or amount > self.left_on_payments:
            return True
        left = [(payment.pk, payment.left.minor) for payment in self.payments]
        chosen = dict(split_over_payments(total_minor=amount.minor, left=left, step=self.step))
        used = [payment for payment in self.payments if payment.pk in chosen]
        return all(payment.is_captured or chosen[payment.pk] == payment.captured_minor for payment in used)

    @property
    def left_on_payments(self) -> Money:
        """What the payments still allow, each in steps of its gateway."""
        return Money(sum(payment.left.minor // self.step * self.step for payment in self.payments), self.purchase.currency)


def quote_purchase(
    *,
    purchase: Purchase,
    quantities: Mapping[int, int] | None = None,
    version: PolicyVersion | None = None,
    fault_reported: bool = False,
    kept_from: datetime | None = None,
    now: datetime,
) -> Quote:
    """Judge the lines of a purchase; changes nothing.

    Args:
        purchase: with its store loaded.
        quantities: units asked for by line id; only these lines are judged. All lines, with all that is left, when omitted.
        version: the one in force for the purchase, where the caller has read it already.
        fault_reported: the customer says that it does not work or is not as described.
        kept_from: when the customer was promised an amount; the time that has passed since then takes nothing away.
        now: UTC.
    Raises:
        InvalidInput: a line of another purchase, or a quantity below one.
        QuantityTooHigh: more than is left on a line.
        AlreadyRefunded: nothing is left on a line that was asked for.
    """
    lines = lines_with_usage(purchase)
    if quantities is not None:
        check_quantities(lines=[line for line, _usage in lines], quantities=quantities)
        lines = [(line, usage) for line, usage in lines if line.pk in quantities]
    payments = sendable_payments(purchase)
    version = version or version_in_force(store_id=purchase.store_id, at=purchase.purchased_at)
    document = load_version(version) if version else NO_POLICY
    gathered = gather_facts(purchase=purchase, lines=lines, quantities=quantities or {}, fault_reported=fault_reported, now=now)
    step = amount_step(payments=payments, currency=purchase.currency)
    judged = []
    for line, _usage in lines:
        facts, verdict = judge_facts(document, gathered[line.pk], step=step, kept_from=kept_from)
        judged.append(QuoteLine(line, facts.asked_quantity, facts, verdict))
    return Quote(purchase=purchase, version=version, document=document, lines=judged, payments=payments, step=step, now=now)


_RANK = {Outcome.DECLINE: 0, Outcome.REVIEW: 1, Outcome.APPROVE: 2}


def judge_facts(document: PolicyDocument, facts: LineFacts, *, step: int, kept_from: datetime | None) -> tuple[LineFacts, LineVerdict]:
    """Return the verdict on a line, and the facts it is made of, which give it again at any time.

    A promise of `kept_from` is kept by judging at that moment what is known now: use and refunds since then count, and the
    time that has passed since does not. Where today's answer is no worse, it is today's.
    """
    floor = floor_of_line(facts)
    verdict = evaluate(document, facts, step, floor)
    if kept_from is None or kept_from >= facts.now:
        return facts, verdict
    then = replace(facts, now=kept_from)
    promised = evaluate(document, then, step, floor)
    is_no_worse = _RANK[verdict.outcome] >= _RANK[promised.outcome] and verdict.amount_minor >= promised.amount_minor
    return (facts, verdict) if is_no_worse else (then, promised)


def sendable_payments(purchase: Purchase) -> list[Payment]:
    """Return the payments whose gateway account is configured; money on another can only be returned by a person."""
    configured = account_slugs()
    return [payment for payment in purchase.payments.select_related("account") if payment.account.slug in configured]


def amount_step(*, payments: Sequence[Payment], currency: str) -> int:
    """Return the step, in minor units, that every payment's gateway accepts."""
    return max((gateway_for(payment.account).step(currency) for payment in payments), default=1)


def check_quantities(*, lines: Sequence[PurchaseLine], quantities: Mapping[int, int]) -> None:
    """Validate what was asked for against what is left.

    Raises:
        InvalidInput, QuantityTooHigh, AlreadyRefunded: as in `quote_purchase`; `field` is `lines`.
    """
    by_id = {line.pk: line for line in lines}
    if not quantities:
        raise InvalidInput(_("Choose at least one thing to refund."), field="lines")
    for line_id, quantity in quantities.items():
        line = by_id.get(line_id)
        if line is None:
            raise InvalidInput(_("This purchase has no such line."), field="lines")
        if quantity < 1:
            raise InvalidInput(_("Ask for at least one of “%(name)s”.") % {"name": line.name}, field="lines")
        if line.quantity_left <= 0 or line.left_minor <= 0:
            raise AlreadyRefunded(_("“%(name)s” was already refunded, or its refund is on its way.") % {"name": line.name}, field="lines")
        if quantity > line.quantity_left:
            message = ngettext(
                "Only %(left)d of “%(name)s” is left to refund.", "Only %(left)d of “%(name)s” are left to refund.", line.quantity_left
            )
            raise QuantityTooHigh(message % {"left": line.quantity_left, "name": line.name}, field="lines")
