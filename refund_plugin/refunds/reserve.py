"""Split an approved amount over payments and lines, and hold it: guarded updates, with check constraints behind them.

Callers hold the lock on the purchase (lock order: purchase, payments by id, refunds by id).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Model
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from refund_plugin.errors import ExceedsBalance, InvalidInput
from refund_plugin.money import Money, share_of
from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.ledger.services import post, reserved
from refund_plugin.refunds.models import Allocation, Decision, Operation, Refund, RefundOrigin, RefundRequest


@dataclass(frozen=True, slots=True)
class LineGrant:
    """What one line gets back: `amount_minor` (tax included) for `quantity` units."""

    line: PurchaseLine
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Part:
    """The share of one line's grant that one payment pays."""

    line: PurchaseLine
    quantity: int
    gross_minor: int
    tax_minor: int


def split_over_payments(*, total_minor: int, left: Sequence[tuple[int, int]], step: int = 1) -> list[tuple[int, int]]:
    """Choose how much each payment gives back: an exact match, else the smallest that covers, else the largest first.

    Args:
        left: (payment id, minor units left) of every payment.
        step: minor units that every payment's share must be a multiple of.
    Returns:
        (payment id, minor units) of the payments used, in the order of ids.
    Raises:
        ExceedsBalance: all payments together have less left.
    """
    left = [(payment, amount // step * step) for payment, amount in left]
    if total_minor > sum(amount for _payment, amount in left):
        raise ExceedsBalance
    exact = [payment for payment, amount in left if amount == total_minor]
    covering = sorted((amount, payment) for payment, amount in left if amount > total_minor)
    if exact:
        return [(min(exact), total_minor)]
    if covering:
        return [(covering[0][1], total_minor)]
    chosen, open_minor = [], total_minor
    for payment, amount in sorted(left, key=lambda item: (-item[1], item[0])):
        used = min(amount, open_minor)
        if used:
            chosen.append((payment, used))
            open_minor -= used
    return sorted(chosen)


def tax_of(*, line: PurchaseLine, gross_minor: int, refunded_gross_minor: int, refunded_tax_minor: int) -> int:
    """Return the tax within `gross_minor`, so that the tax of all refunds of a line adds up to the line's own tax.

    It is the tax due on everything refunded so far and now, rounded once, less what was already returned.
    """
    due = share_of(line.tax_minor, refunded_gross_minor + gross_minor, line.paid_minor) if line.paid_minor else 0
    return min(max(due - refunded_tax_minor, 0), gross_minor, max(line.tax_minor - refunded_tax_minor, 0))


def allocate_parts(*, grants: Sequence[LineGrant], amounts: Sequence[int]) -> list[list[Part]]:
    """Fill each payment's amount with the lines in order; parts, quantities and tax add up exactly.

    Args:
        amounts: minor units per payment; they sum to the sum of the grants.
    Returns:
        The parts of each payment, in the order of `amounts`.
    """
    result: list[list[Part]] = []
    queue = [grant for grant in grants if grant.amount_minor > 0]
    index, given, tax_given = 0, 0, 0
    for amount in amounts:
        parts: list[Part] = []
        open_minor = amount
        while open_minor > 0:
            grant = queue[index]
            gross = min(open_minor, grant.amount_minor - given)
            line = grant.line
            tax = tax_of(
                line=line,
                gross_minor=gross,
                refunded_gross_minor=line.held_minor + line.gone_minor + given,
                refunded_tax_minor=line.refunded_tax_minor + tax_given,
            )
            # the units travel with the first part of their line, so that they are counted once
            parts.append(Part(line, grant.quantity if given == 0 else 0, gross, tax))
            open_minor -= gross
            given, tax_given = given + gross, tax_given + tax
            if given == grant.amount_minor:
                index, given, tax_given = index + 1, 0, 0
        result.append(parts)
    return result


def hold(parts: Sequence[Part], amounts: Mapping[int, int]) -> None:
    """Hold amounts and quantities on lines, and minor units on payments (by id): all or nothing, by guarded updates.

    Raises:
        ExceedsBalance: another request was faster on one of the lines or payments.
    """
    more: dict[int, tuple[int, int, int]] = {}
    for part in parts:
        gross, quantity, tax = more.get(part.line.pk, (0, 0, 0))
        more[part.line.pk] = gross + part.gross_minor, quantity + part.quantity, tax + part.tax_minor
    lines = GuardedAddition(
        PurchaseLine,
        ("held_minor", "held_quantity", "refunded_tax_minor"),
        more,
        guard="kept.held_minor + kept.gone_minor + more.held_minor <= kept.paid_minor"
        " AND kept.held_quantity + kept.gone_quantity + more.held_quantity <= kept.quantity",
    )
    payments = GuardedAddition(
        Payment,
        ("held_minor",),
        {pk: (amount,) for pk, amount in amounts.items()},
        guard="kept.held_minor + kept.gone_minor + kept.disputed_minor - kept.over_minor + more.held_minor <= kept.captured_minor",
    )
    held_lines, held_payments = add_to_rows(lines, payments)
    if held_lines != len(more):
        raise ExceedsBalance(field="lines")
    if held_payments != len(amounts):
        raise ExceedsBalance


@dataclass(frozen=True, slots=True)
class GuardedAddition:
    """Raise columns of rows, each row by numbers of its own.

    Written by hand: the ORM gives rows their own numbers only by a CASE for every column, which costs it milliseconds to
    build, and every request for a refund comes by here.

    Attributes:
        more: by primary key, what is added to each of `columns`.
        guard: SQL over the row as it is (`kept.column`) and what is added to it (`more.column`).
    """

    model: type[Model]
    columns: Sequence[str]
    more: Mapping[int, Sequence[int]]
    guard: str

    def sql(self) -> str:
        """Return the statement, with a placeholder for each of `values`."""
        row = f"({', '.join(['%s'] * (1 + len(self.columns)))})"
        names = ", ".join(f"column{number} AS {name}" for number, name in enumerate(("id", *self.columns), start=1))
        sums = ", ".join(f"{column} = kept.{column} + more.{column}" for column in self.columns)
        return (
            f"UPDATE {connection.ops.quote_name(self.model._meta.db_table)} AS kept SET {sums}"
            f" FROM (SELECT {names} FROM (VALUES {', '.join([row] * len(self.more))}) AS given) AS more"
            f" WHERE kept.id = more.id AND {self.guard}"
        )

    def values(self) -> list[int]:
        """Return the numbers of the statement."""
        return [number for pk, numbers in self.more.items() for number in (pk, *numbers)]


def add_to_rows(lines: GuardedAddition, payments: GuardedAddition) -> tuple[int, int]:
    """Make both additions, in one statement where the database can; return how many rows of each passed their guard."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"WITH held_lines AS ({lines.sql()} RETURNING 1), held_payments AS ({payments.sql()} RETURNING 1)"
                " SELECT (SELECT count(*) FROM held_lines), (SELECT count(*) FROM held_payments)",
                [*lines.values(), *payments.values()],
            )
            counted: tuple[int, int] = cursor.fetchone()
            return counted
        cursor.execute(lines.sql(), lines.values())
        changed = cursor.rowcount
        cursor.execute(payments.sql(), payments.values())
        return changed, cursor.rowcount


def do_reserve(
    *,
    request: RefundRequest,
    decision: Decision,
    grants: Sequence[LineGrant],
    payments: Sequence[Payment],
    step: int,
    origin: RefundOrigin,
    now: datetime,
    refund_id: uuid.UUID | None = None,
) -> list[Refund]:
    """Hold the granted money and make one refund per payment used. The purchase is locked by the caller.

    Args:
        refund_id: what the refund is to be called, where there is but one payment.

    Raises:
        ExceedsBalance: lines or payments have less left.
        InvalidInput: a part of a payment that is not captured.
    """
    total = sum(grant.amount_minor for grant in grants)
    by_id = {payment.pk: payment for payment in payments}
    chosen = split_over_payments(total_minor=total, left=[(payment.pk, payment.left.minor) for payment in payments], step=step)
    parts = allocate_parts(grants=grants, amounts=[amount for _payment, amount in chosen])
    hold([part for group in parts for part in group], dict(chosen))
    refunds = Refund.objects.bulk_create(
        new_refund(
            request=request,
            decision=decision,
            payment=by_id[payment],
            amount=Money(amount, request.purchase.currency),
            origin=origin,
            now=now,
            refund_id=refund_id,
        )
        for payment, amount in chosen
    )
    Allocation.objects.bulk_create(allocation_of(refund, part) for refund, group in zip(refunds, parts, strict=True) for part in group)
    post(
        *(reserved(refund=refund, taxes=[part.tax_minor for part in group]) for refund, group in zip(refunds, parts, strict=True)),
        now=now,
    )
    return refunds


def allocation_of(refund: Refund, part: Part) -> Allocation:
    """Return an unsaved allocation of `part` to `refund`."""
    return Allocation(
        refund=refund,
        line=part.line,
        quantity=part.quantity,
        counted_quantity=part.quantity,
        gross_minor=part.gross_minor,
        tax_minor=part.tax_minor,
        tax_rate_percent=part.line.tax_rate_percent,
    )


def operation_for(payment: Payment, amount_minor: int) -> Operation:
    """Return what the gateway is asked to do: a payment that is not captured yet is let go of, and only as a whole.

    Raises:
        InvalidInput: a part of it.
    """
    if payment.is_captured:
        return Operation.REFUND
    if amount_minor != payment.captured_minor:
        whole = Money(payment.captured_minor, payment.currency)
        message = _("The payment of %(amount)s is not captured yet, so it can only be let go of as a whole.") % {"amount": whole}
        raise InvalidInput(message, field="amounts")
    return Operation.CANCEL_PAYMENT


def new_refund(
    *,
    request: RefundRequest,
    decision: Decision,
    payment: Payment,
    amount: Money,
    origin: RefundOrigin,
    now: datetime,
    refund_id: uuid.UUID | None = None,
) -> Refund:
    """Return an unsaved refund with the key it keeps for life."""
    refund_id = refund_id or uuid.uuid4()
    return Refund(
        id=refund_id,
        store_id=request.store_id,
        request=request,
        decision=decision,
        payment=payment,
        account_id=payment.account_id,
        livemode=payment.livemode,
        amount_minor=amount.minor,
        currency=amount.currency,
        origin=origin,
        operation=operation_for(payment, amount.minor),
        idempotency_key=f"refund-{refund_id}",
        due_at=Now(),
        reserved_at=Now(),
        created_at=now,
    )
