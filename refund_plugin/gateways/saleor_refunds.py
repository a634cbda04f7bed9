"""What happened to the money of a Saleor transaction, read from its events and from the refunds that were granted on it. Pure.

A refund at another payment app is a *granted refund* that was requested there, or events alone where somebody refunded without granting.
Saleor's own status of a granted refund is not enough: it tells the last event, and an app that reports the same reference with another
amount turns a refund that was paid into a failure (INCORRECT_DETAILS). So the events are read, by the rules of Saleor's own totals
(saleor/payment/transaction_item_calculations.py), and where they contradict each other the totals decide.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer, ListedRefund, PaymentState
from refund_plugin.gateways.facts import WebhookDispute
from refund_plugin.money import Money
from refund_plugin.saleor.data import EventData, GrantedRefundData, TransactionData

REQUEST, SUCCESS, FAILURE, REVERSE = "REFUND_REQUEST", "REFUND_SUCCESS", "REFUND_FAILURE", "REFUND_REVERSE"
REFUND_TYPES = frozenset({REQUEST, SUCCESS, FAILURE, REVERSE})
CHARGE_BACK = "CHARGE_BACK"
# what Saleor writes when the mutation itself was refused (saleor/payment/gateway.py)
NOBODY_TO_ASK = "No app or plugin is configured to handle payment action requests."
LONGEST_REASON = 400
_MARK = re.compile(r"\[(?P<installation>[^\[\]]*):(?P<refund>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]")
_STATUS = {"PENDING": AnswerKind.PENDING, "SUCCESS": AnswerKind.SUCCEEDED, "FAILURE": AnswerKind.FAILED}
_ORDER = (AnswerKind.SUCCEEDED, AnswerKind.PENDING, AnswerKind.MAYBE_EXECUTED, AnswerKind.FAILED)


def marked_reason(words: str, *, refund_id: UUID, installation: str) -> str:
    """Return the reason of a granted refund by which it is found again: words for people, then our mark."""
    clean = installation.replace("[", "(").replace("]", ")")
    return f"{words[:LONGEST_REASON]} [{clean}:{refund_id}]".strip()


def mark_of(reason: str) -> tuple[UUID | None, str]:
    """Return the refund and the installation that a reason is marked with; None and "" when it has no mark of ours."""
    found = _MARK.search(reason)
    return (UUID(found["refund"]), found["installation"]) if found else (None, "")


@dataclass(frozen=True, slots=True)
class Attempt:
    """The events of one try to refund, oldest first; `kind` is what they prove of it, `amount` what it took or would take."""

    events: tuple[EventData, ...]
    kind: AnswerKind
    amount: Decimal

    @property
    def is_unseen(self) -> bool:
        """Whether Saleor's totals do not have it: the app was asked, and has not said under which reference it refunds."""
        may_pay = self.kind in (AnswerKind.PENDING, AnswerKind.MAYBE_EXECUTED)
        return may_pay and not any(event.psp_reference for event in self.events)


@dataclass(frozen=True, slots=True)
class Movement:
    """One refund of a transaction.

    Attributes:
        name: the gateway's id of it.
        grant: None for one that nobody granted.
        kind: None for one that was granted and never requested.
        amount: what was told last, in the transaction's currency.
    """

    name: str
    grant: GrantedRefundData | None
    kind: AnswerKind | None
    amount: Decimal
    created: datetime
    attempts: tuple[Attempt, ...]

    @property
    def mark(self) -> tuple[UUID | None, str]:
        """Our refund's id and installation, where its reason has them."""
        return mark_of(self.grant.reason) if self.grant else (None, "")


def refund_name(transaction_id: str, part: str) -> str:
    """Return the gateway's id of a refund: Saleor has no query for a granted refund, so it names its transaction too."""
    return f"{transaction_id}:{part}"


def attempts_of(transaction: TransactionData) -> list[Attempt]:
    """Return the tries to refund that the events of a transaction tell of, oldest first."""
    groups: list[list[EventData]] = []
    told = [event for event in transaction.events if event.type in REFUND_TYPES]
    for event in sorted(told, key=lambda event: (event.created, event.type != REQUEST)):
        group = _group_of(event, groups)
        if group is None:
            groups.append([event])
        else:
            group.append(event)
    read = [_told(group) for group in groups]
    sure = sum((amount for kind, amount in read if kind == AnswerKind.SUCCEEDED), Decimal(0))
    disputed = sum((amount for kind, amount in read if kind is None), Decimal(0))
    settled = {sure + disputed: AnswerKind.SUCCEEDED, sure: AnswerKind.FAILED}.get(transaction.refunded, AnswerKind.MAYBE_EXECUTED)
    return [Attempt(tuple(group), settled if kind is None else kind, amount) for group, (kind, amount) in zip(groups, read, strict=True)]


def _group_of(event: EventData, groups: Sequence[list[EventData]]) -> list[EventData] | None:
    """Return the try that an event belongs to; None for the first one of another.

    It is told by the app's reference. A result whose reference no request has, or without any, is about the oldest request of this
    amount that has none: an app may report before Saleor has written down what it answered, or after Saleor gave up waiting.
    """
    if event.psp_reference:
        found = next((group for group in groups if event.psp_reference in {known.psp_reference for known in group}), None)
        if found is not None:
            return found
    if event.type == REQUEST:
        return None
    waiting = (group for group in groups if group[0].type == REQUEST and not any(known.psp_reference for known in group))
    if not event.psp_reference:
        waiting = (group for group in waiting if len(group) == 1)
    return next((group for group in waiting if group[0].amount == event.amount), None)


def _told(events: Sequence[EventData]) -> tuple[AnswerKind | None, Decimal]:
    """Return what one try's events prove, and its amount; None where only the transaction's totals can decide.

    A failure without a reference is none of the app's: Saleor writes it when no answer came in time, and the app may have paid.
    """
    last = {event.type: event for event in events}
    success, failure, reverse = last.get(SUCCESS), last.get(FAILURE), last.get(REVERSE)
    if success is not None and reverse is not None:
        left = success.amount - reverse.amount
        return (AnswerKind.SUCCEEDED, left) if left > 0 else (AnswerKind.FAILED, success.amount)
    if success is not None:
        contradicted = failure is not None and bool(failure.psp_reference)
        return (None if contradicted else AnswerKind.SUCCEEDED), success.amount
    if failure is not None:
        is_definite = bool(failure.psp_reference) or failure.message == NOBODY_TO_ASK
        return (AnswerKind.FAILED if is_definite else AnswerKind.MAYBE_EXECUTED), events[0].amount
    return (AnswerKind.FAILED if reverse is not None else AnswerKind.PENDING), events[0].amount


def movements_of(transaction: TransactionData, grants: Sequence[GrantedRefundData]) -> list[Movement]:
    """Return all refunds of a transaction, newest first.

    Two that were requested in the same moment may have been taken for one by the app: what carries one reference was paid once. It
    counts for the one that is ours, and the other is none.
    """
    ours_first = sorted(grants, key=lambda grant: (mark_of(grant.reason)[0] is None, grant.created))
    of_grant: dict[str, list[Attempt]] = {}
    shadowed: set[str] = set()
    found: list[Movement] = []
    for attempt in attempts_of(transaction):
        names = {event.id for event in attempt.events}
        owners = [grant.id for grant in ours_first if any(event.id in names for event in grant.events)]
        shadowed.update(owners[1:])
        if owners:
            of_grant.setdefault(owners[0], []).append(attempt)
        else:
            found.append(_ungranted(transaction, attempt))
    for grant in grants:
        tries = of_grant.get(grant.id, [])
        if tries or grant.transaction_id == transaction.id:
            found.append(_granted(transaction, grant, tries, is_shadowed=grant.id in shadowed))
    return sorted(found, key=lambda movement: movement.created, reverse=True)


def _granted(transaction: TransactionData, grant: GrantedRefundData, attempts: Sequence[Attempt], *, is_shadowed: bool) -> Movement:
    kinds = {attempt.kind for attempt in attempts}
    kind = next((known for known in _ORDER if known in kinds), None)
    if not attempts and is_shadowed:
        kind = AnswerKind.MAYBE_EXECUTED if mark_of(grant.reason)[0] else None
    elif not attempts:
        kind = _STATUS.get(grant.status)
    taking = [attempt.amount for attempt in attempts if attempt.kind == kind]
    if kind != AnswerKind.SUCCEEDED:
        taking = taking[-1:]
    amount = sum(taking, Decimal(0)) if taking else grant.amount
    return Movement(refund_name(transaction.id, grant.id), grant, kind, amount, grant.created, tuple(attempts))


def _ungranted(transaction: TransactionData, attempt: Attempt) -> Movement:
    first = attempt.events[0]
    return Movement(refund_name(transaction.id, first.id), None, attempt.kind, attempt.amount, first.created, (attempt,))


def answer_of(movement: Movement, *, currency: str) -> GatewayAnswer:
    """Return a refund as the engine reads it; one that was never requested is not executed and not refused either."""
    last = movement.attempts[-1].events[-1] if movement.attempts else None
    failed = movement.kind == AnswerKind.FAILED
    raw: dict[str, object] = {"id": movement.name, "status": movement.grant.status if movement.grant else ""}
    raw["events"] = [
        {"id": event.id, "type": event.type, "amount": str(event.amount), "pspReference": event.psp_reference}
        for attempt in movement.attempts
        for event in attempt.events
    ]
    return GatewayAnswer(
        kind=movement.kind or AnswerKind.MAYBE_EXECUTED,
        gateway_refund_id=movement.name,
        amount=Money.from_decimal(movement.amount, currency),
        code=("reversed" if last and last.type == REVERSE else "refused_by_payment_app") if failed else "",
        message=last.message[:500] if last and failed else "",
        raw=raw,
    )


def listed(movement: Movement, *, transaction: TransactionData) -> ListedRefund:
    """Return a refund as a listing shows it."""
    refund_id, installation = movement.mark
    return ListedRefund(
        gateway_refund_id=movement.name,
        gateway_payment_id=transaction.id,
        refund_id=refund_id,
        installation=installation,
        created=movement.created,
        answer=answer_of(movement, currency=transaction.currency),
    )


def requested(movements: Sequence[Movement]) -> list[Movement]:
    """Leave out what was granted and never requested: no money moves by that."""
    return [movement for movement in movements if movement.kind is not None]


def unseen(movements: Sequence[Movement]) -> Decimal:
    """Return what is being refunded and not taken off Saleor's totals yet, which is how two requests can both pass there."""
    return sum((attempt.amount for movement in movements for attempt in movement.attempts if attempt.is_unseen), Decimal(0))


def charged_back(transaction: TransactionData) -> Decimal:
    """Return what the customer's bank took back; Saleor takes it off what was charged."""
    return sum((event.amount for event in transaction.events if event.type == CHARGE_BACK), Decimal(0))


def payment_state_of(transaction: TransactionData, movements: Sequence[Movement]) -> PaymentState:
    """Return a transaction as a payment: what was captured in all is what is charged now and what went back."""
    taken_back = charged_back(transaction)
    captured = transaction.charged + transaction.refunded + transaction.refund_pending + taken_back
    is_captured = captured > 0
    is_canceled = not is_captured and transaction.authorized <= 0 and transaction.canceled > 0
    return PaymentState(
        gateway_payment_id=transaction.id,
        captured=Money.from_decimal(captured if is_captured else transaction.authorized, transaction.currency),
        refunded=Money.from_decimal(transaction.refunded + transaction.refund_pending + unseen(movements), transaction.currency),
        is_captured=is_captured,
        is_canceled=is_canceled,
        disputed=taken_back > 0,
        method="card" if transaction.brand or transaction.last4 else "",
        brand=transaction.brand,
        last4=transaction.last4,
        paid_at=paid_at(transaction) if is_captured else None,
    )


def disputes_of(transaction: TransactionData) -> tuple[WebhookDispute, ...]:
    """Return what a bank took back, as disputes that stay open: Saleor never tells how they ended."""
    return tuple(
        WebhookDispute(
            event_id="",
            event_type="",
            livemode=True,
            created=event.created,
            dispute_id=f"{transaction.id}:{event.id}",
            gateway_payment_id=transaction.id,
            status="charge_back",
            amount=Money.from_decimal(event.amount, transaction.currency),
            reason=event.message[:80],
            is_inquiry=False,
            is_open=True,
            is_won=False,
            is_lost=False,
            evidence_due=None,
            opened_at=event.created,
        )
        for event in transaction.events
        if event.type == CHARGE_BACK
    )


def is_transaction_id(name: str) -> bool:
    """Tell whether a name is Saleor's global id of a transaction; asked for anything else, Saleor answers with an error."""
    try:
        return base64.b64decode(name, validate=True).startswith(b"TransactionItem:")
    except (ValueError, binascii.Error):
        return False


def paid_at(transaction: TransactionData) -> datetime:
    """Return when a transaction was charged first; when it was made, where no event says."""
    charges = [event.created for event in transaction.events if event.type == "CHARGE_SUCCESS"]
    return min(charges, default=transaction.created)


def grants_on(grants: Sequence[GrantedRefundData], refund_id: UUID) -> list[GrantedRefundData]:
    """Return the granted refunds that carry our mark, oldest first."""
    return sorted((grant for grant in grants if mark_of(grant.reason)[0] == refund_id), key=lambda grant: grant.created)


def burnt_key(refund_id: UUID) -> str:
    """Return the key of an order's private metadata that says that a refund must never be sent again."""
    return f"refunds.burnt.{refund_id}"


def is_burnt(private_metadata: Mapping[str, str], refund_id: UUID) -> bool:
    """Tell whether a refund was given up for good."""
    return burnt_key(refund_id) in private_metadata
