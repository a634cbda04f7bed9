"""Move a refund's amount between held, gone and neither, on its payment and its lines.

Callers hold the locks on purchase, payment and refund.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import GONE, HELD, RefundState


def balance_of(state: str) -> str:
    """Return the name of the balance a refund in `state` counts in: `held`, `gone`, or nothing."""
    if state in HELD:
        return "held"
    return "gone" if state in GONE else ""


def move_balance(*, refund: Refund, before: str, after: str) -> bool:
    """Move the refund's amount as its state goes from `before` to `after`.

    Only the gateway's word brings money back into a balance that has since been given away; then `over` rises.

    Returns:
        Whether `over` rose on the payment.
    """
    source, target = balance_of(before), balance_of(after)
    if source == target:
        return False
    payment = refund.payment
    over_before = payment.over_minor
    _shift(payment, "minor", refund.amount_minor, source, target)
    payment.over_minor = max(0, payment.held_minor + payment.gone_minor + payment.disputed_minor - payment.captured_minor)
    payment.save(update_fields=["held_minor", "gone_minor", "over_minor"])
    allocations = list(refund.allocations.all())
    lines = PurchaseLine.objects.select_for_update().in_bulk([allocation.line_id for allocation in allocations])
    for allocation in allocations:
        line = lines[allocation.line_id]
        if not source:  # back from nothing: it may count only for units that nobody else took meanwhile
            allocation.counted_quantity = min(allocation.quantity, line.quantity_left)
        _shift(line, "minor", allocation.gross_minor, source, target)
        _shift(line, "quantity", allocation.counted_quantity, source, target)
        if not source:
            line.refunded_tax_minor += allocation.tax_minor
        if not target:
            line.refunded_tax_minor -= allocation.tax_minor
        line.over_minor = max(0, line.held_minor + line.gone_minor - line.paid_minor)
        line.save(update_fields=["held_minor", "gone_minor", "held_quantity", "gone_quantity", "refunded_tax_minor", "over_minor"])
        if not source:
            allocation.save(update_fields=["counted_quantity"])
    return payment.over_minor > over_before


def _shift(row: Payment | PurchaseLine, unit: str, amount: int, source: str, target: str) -> None:
    if source:
        setattr(row, f"{source}_{unit}", getattr(row, f"{source}_{unit}") - amount)
    if target:
        setattr(row, f"{target}_{unit}", getattr(row, f"{target}_{unit}") + amount)


def release_refunds(refunds: Sequence[Refund], *, now: datetime) -> None:
    """Cancel refunds that were reserved and never sent, and let go of what they held."""
    payments = {
        payment.pk: payment
        for payment in Payment.objects.select_for_update().filter(pk__in={refund.payment_id for refund in refunds}).order_by("pk")
    }
    for refund in refunds:
        refund.payment = payments[refund.payment_id]
        move_balance(refund=refund, before=refund.state, after=RefundState.CANCELED)
        refund.state = RefundState.CANCELED
        refund.settled_at = now
        refund.save(update_fields=["state", "settled_at"])
