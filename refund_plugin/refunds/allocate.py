"""Say which lines a refund belongs to that was made past us; until then it stands as unallocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, WrongState
from refund_plugin.events.services import record
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.refunds import events
from refund_plugin.refunds.authority import TRUSTED, is_own
from refund_plugin.refunds.balances import Balances, balance_of
from refund_plugin.refunds.checks import check_reason
from refund_plugin.refunds.ledger.services import allocated
from refund_plugin.refunds.locks import for_update, lock_refund
from refund_plugin.refunds.models import Allocation, Refund, RefundOrigin
from refund_plugin.refunds.reserve import Part, allocation_of, tax_of


def allocate_external(*, refund_id: UUID, amounts: Mapping[int, int], by: Actor, reason: str, now: datetime) -> Refund:
    """Assign an external refund to lines of its purchase; its money counts on them from now on.

    The units that count as refunded are those that the amount pays back whole.

    Args:
        amounts: minor units by line id, tax included; they add up to the refund. More than is left on a line raises its `over`,
            because the money has gone already.
        reason: recorded; required.
        now: UTC.
    Raises:
        NotFound: no such refund in the actor's store.
        NotAllowed: the actor may not approve refunds, or it is their own purchase.
        WrongState: it is not external, was assigned already, or its money has not gone.
        InvalidInput: a line of another purchase, an amount below zero, or a sum that is not the refund's.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund is None or (by.store_id is not None and by.store_id != refund.store_id):
            raise NotFound
        purchase = refund.payment.purchase
        _check_may(purchase, by)
        if not may_allocate(refund) or refund.allocations.exists():
            raise WrongState(_("This refund is assigned already, or its money has come back."))
        lines = {line.pk: line for line in for_update(PurchaseLine.objects.order_by("pk")).filter(purchase=purchase)}
        _check_amounts(refund, lines, amounts)
        parts = [_part(lines[pk], amount) for pk, amount in amounts.items() if amount]
        _do_allocate(refund, parts, now=now)
        lines_told = {str(part.line.pk): part.gross_minor for part in parts}
        record(events.refund_event(events.REFUND_ALLOCATED, refund, by, reason=reason, lines=lines_told, purchase=purchase.pk), now=now)
    return refund


def may_allocate(refund: Refund) -> bool:
    """Tell whether a refund that nobody assigned yet can be: it was made past us, and its money has gone or is on its way."""
    return refund.origin == RefundOrigin.EXTERNAL and bool(balance_of(refund.state))


def suggest_allocation(refund: Refund) -> dict[int, int]:
    """Return an allocation to start from: lines in their order, each up to what is left on it; the rest on the first line."""
    lines = list(refund.payment.purchase.lines.all())
    open_minor, suggested = refund.amount_minor, {}
    for line in lines:
        suggested[line.pk] = min(line.left_minor, open_minor)
        open_minor -= suggested[line.pk]
    if open_minor and lines:
        suggested[lines[0].pk] += open_minor
    return {pk: amount for pk, amount in suggested.items() if amount}


def _check_may(purchase: Purchase, by: Actor) -> None:
    if by.kind in TRUSTED:
        return
    if not by.may(Action.APPROVE):
        raise NotAllowed
    if is_own(purchase=purchase, by=by):
        raise NotAllowed(_("This is your own purchase: a colleague has to do it."))


def _check_amounts(refund: Refund, lines: Mapping[int, PurchaseLine], amounts: Mapping[int, int]) -> None:
    if set(amounts) - set(lines):
        raise InvalidInput(_("This purchase has no such line."), field="amounts")
    if any(amount < 0 for amount in amounts.values()):
        raise InvalidInput(_("An amount cannot be below zero."), field="amounts")
    total = Money(sum(amounts.values()), refund.currency)
    if total != refund.amount:
        message = _("The amounts add up to %(total)s; the refund is %(amount)s.") % {"total": total, "amount": refund.amount}
        raise InvalidInput(message, field="amounts")


def _part(line: PurchaseLine, amount: int) -> Part:
    whole = line.quantity_left if amount >= line.left_minor else amount * line.quantity // line.paid_minor
    tax = tax_of(
        line=line,
        gross_minor=amount,
        refunded_gross_minor=line.held_minor + line.gone_minor,
        refunded_tax_minor=line.refunded_tax_minor,
    )
    return Part(line, min(whole, line.quantity_left), amount, tax)


def _do_allocate(refund: Refund, parts: Sequence[Part], *, now: datetime) -> None:
    """Count the parts on their locked lines where the refund counts on its payment."""
    Allocation.objects.bulk_create(allocation_of(refund, part) for part in parts)
    balances = Balances([refund])
    balance = balance_of(refund.state)
    for part in parts:
        line = part.line
        setattr(line, f"{balance}_minor", getattr(line, f"{balance}_minor") + part.gross_minor)
        setattr(line, f"{balance}_quantity", getattr(line, f"{balance}_quantity") + part.quantity)
        line.refunded_tax_minor += part.tax_minor
        line.over_minor = max(0, line.held_minor + line.gone_minor - line.paid_minor)
        balances.touch(line)
    refund.payment.unallocated_minor = max(0, refund.payment.unallocated_minor - refund.amount_minor)
    balances.touch(refund.payment)
    balances.movements.append(allocated(refund=refund, taxes=[part.tax_minor for part in parts]))
    balances.write(now=now)
