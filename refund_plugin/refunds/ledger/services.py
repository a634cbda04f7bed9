"""Book what happened to a refund. Every function belongs into the transaction that made it true."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from refund_plugin.orders.models import Payment
from refund_plugin.refunds.ledger.models import Account, LedgerEntry, LedgerEvent
from refund_plugin.refunds.models import Refund, RefundOrigin
from refund_plugin.refunds.states import RefundState

_EVENT_OF = {
    RefundState.PENDING: LedgerEvent.PENDING,
    RefundState.SUCCEEDED: LedgerEvent.SUCCEEDED,
    RefundState.FAILED: LedgerEvent.FAILED,
    RefundState.CANCELED: LedgerEvent.FAILED,
    RefundState.MANUAL_PAID: LedgerEvent.PAID_BY_HAND,
}


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of a movement, in minor units; `debit` or `credit` is zero. `refund` is the movement's own when omitted."""

    account: Account
    debit: int = 0
    credit: int = 0
    refund: Refund | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """Postings that balance; those of zero are left out."""

    event: LedgerEvent
    store_id: int
    currency: str
    postings: Sequence[Posting]
    refund: Refund | None = None
    payment: Payment | None = None


def post(*movements: Movement, now: datetime) -> None:
    """Append the movements, in one statement.

    Raises:
        ValueError: debits and credits of a movement differ.
    """
    entries: list[LedgerEntry] = []
    for movement in movements:
        if sum(posting.debit for posting in movement.postings) != sum(posting.credit for posting in movement.postings):
            raise ValueError(f"{movement.event}: debits and credits differ")
        number = uuid.uuid4()
        entries += [
            LedgerEntry(
                movement=number,
                event=movement.event,
                account=posting.account,
                debit_minor=posting.debit,
                credit_minor=posting.credit,
                currency=movement.currency,
                store_id=movement.store_id,
                refund=posting.refund or movement.refund,
                payment=movement.payment or (movement.refund.payment if movement.refund else None),
                recorded_at=now,
            )
            for posting in movement.postings
            if posting.debit or posting.credit
        ]
    if entries:
        LedgerEntry.objects.bulk_create(entries)


def transfer(*, event: LedgerEvent, refund: Refund, debit: Account, credit: Account, amount_minor: int | None = None) -> Movement:
    """Return a movement of a refund's amount (or a part of it) from one account to another."""
    amount = refund.amount_minor if amount_minor is None else amount_minor
    postings = [Posting(debit, debit=amount), Posting(credit, credit=amount)]
    return Movement(event, refund.store_id, refund.currency, postings, refund=refund)


def reserved(*, refund: Refund, taxes: Iterable[int]) -> Movement:
    """Return the movement that makes the debt: revenue and tax are given back, the customer is owed.

    Args:
        taxes: the tax within each allocation, in minor units.
    """
    tax = sum(taxes)
    postings = [
        Posting(Account.REVENUE_CONTRA, debit=refund.amount_minor - tax),
        Posting(Account.TAX, debit=tax),
        Posting(Account.CUSTOMER_PAYABLE, credit=refund.amount_minor),
    ]
    return Movement(LedgerEvent.RESERVED, refund.store_id, refund.currency, postings, refund=refund)


def released(*, refund: Refund, taxes: Iterable[int]) -> Movement:
    """Return the reverse of `reserved`: the debt is canceled or given up."""
    tax = sum(taxes)
    postings = [
        Posting(Account.CUSTOMER_PAYABLE, debit=refund.amount_minor),
        Posting(Account.REVENUE_CONTRA, credit=refund.amount_minor - tax),
        Posting(Account.TAX, credit=tax),
    ]
    return Movement(LedgerEvent.RELEASED, refund.store_id, refund.currency, postings, refund=refund)


def allocated(*, refund: Refund, taxes: Iterable[int], back: bool = False) -> Movement:
    """Return the movement that an external refund's lines make: revenue and tax were given back, so nothing is unallocated.

    Args:
        back: the reverse, because its money has come back.
    """
    tax = sum(taxes)
    amounts = {Account.REVENUE_CONTRA: refund.amount_minor - tax, Account.TAX: tax, Account.UNALLOCATED: -refund.amount_minor}
    postings = [
        Posting(account, debit=max(0, -amount if back else amount), credit=max(0, amount if back else -amount))
        for account, amount in amounts.items()
    ]
    event = LedgerEvent.FAILED if back else LedgerEvent.ALLOCATED
    return Movement(event, refund.store_id, refund.currency, postings, refund=refund)


def overpaid(payment: Payment) -> Movement | None:
    """Return what brings the customer's debt up to date: what went out past us beyond what was captured, and is on no line.

    None when it is booked as it should be. The payment is locked, and written as it stands.
    """
    due = min(payment.unallocated_minor, max(0, payment.gone_minor - payment.captured_minor))
    entries = LedgerEntry.objects.filter(payment=payment, refund__isnull=True, account=Account.CUSTOMER_RECEIVABLE)
    sums = entries.aggregate(debit=Sum("debit_minor"), credit=Sum("credit_minor"))
    more = due - ((sums["debit"] or 0) - (sums["credit"] or 0))
    if not more:
        return None
    postings = [
        Posting(Account.CUSTOMER_RECEIVABLE, debit=max(0, more), credit=max(0, -more)),
        Posting(Account.UNALLOCATED, debit=max(0, -more), credit=max(0, more)),
    ]
    return Movement(LedgerEvent.EXTERNAL, payment.purchase.store_id, payment.currency, postings, payment=payment)


def superseded(*, refund: Refund, successor: Refund) -> Movement:
    """Return the movement that hands the debt of a failed refund to its successor."""
    postings = [
        Posting(Account.CUSTOMER_PAYABLE, debit=refund.amount_minor),
        Posting(Account.CUSTOMER_PAYABLE, credit=refund.amount_minor, refund=successor),
    ]
    return Movement(LedgerEvent.SUPERSEDED, refund.store_id, refund.currency, postings, refund=refund)


def changed(*, refund: Refund, before: str, after: str) -> Movement | None:
    """Return what a change of state books: the amount goes from where it stood to where it stands; None when it stays."""
    source, target = _stands_in(refund, before), _stands_in(refund, after)
    if source == target:
        return None
    event = LedgerEvent.BOUNCED if before == RefundState.MANUAL_PAID else _EVENT_OF[RefundState(after)]
    if refund.origin == RefundOrigin.EXTERNAL and after in (RefundState.PENDING, RefundState.SUCCEEDED):
        event = LedgerEvent.EXTERNAL
    return transfer(event=event, refund=refund, debit=source, credit=target)


def _stands_in(refund: Refund, state: str) -> Account:
    """Return the account on whose credit side a refund's amount stands in `state`."""
    if state == RefundState.PENDING:
        return Account.IN_TRANSIT
    if state == RefundState.SUCCEEDED:
        return Account.GATEWAY_CLEARING
    if state == RefundState.MANUAL_PAID:
        return Account.STORE_CREDIT if (refund.proof or {}).get("method") == "store_credit" else Account.BANK
    return home_of(refund)


def home_of(refund: Refund) -> Account:
    """Return the account that a refund's amount comes from: the debt, or what stands in for a debt that there is not."""
    if refund.owed:
        return Account.CUSTOMER_PAYABLE
    return Account.UNALLOCATED if refund.origin == RefundOrigin.EXTERNAL else Account.CUSTOMER_RECEIVABLE
