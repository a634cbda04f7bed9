"""Refunds with their payments and lines: locked, moved in memory as the table says, and written at once.

One refund or fifty cost the same number of statements, which is what makes a worker fast.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db.models import Model

from refund_plugin.events.services import DomainEvent, record
from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.ledger.services import Movement, allocated, changed, overpaid, post, released
from refund_plugin.refunds.locks import for_update, lock_refunds
from refund_plugin.refunds.models import Allocation, DisputeKind, DisputeOutcome, Refund, RefundOrigin
from refund_plugin.refunds.states import GONE, HELD, RefundState

Row = TypeVar("Row", bound=Model)

_PAYMENT_FIELDS = ["held_minor", "gone_minor", "over_minor", "disputed_minor", "unallocated_minor"]
_LINE_FIELDS = ["held_minor", "gone_minor", "held_quantity", "gone_quantity", "refunded_tax_minor", "over_minor"]
_REFUND_FIELDS = [
    field.attname
    for field in Refund._meta.concrete_fields
    if field.attname
    not in ("id", "store_id", "request_id", "decision_id", "payment_id", "account_id", "idempotency_key", "created_at", "reserved_at")
]


def balance_of(state: str) -> str:
    """Return the name of the balance a refund in `state` counts in: `held`, `gone`, or nothing."""
    if state in HELD:
        return "held"
    return "gone" if state in GONE else ""


def over_of(payment: Payment) -> int:
    """Return how much more than was captured is held, gone and disputed, in minor units."""
    return max(0, payment.held_minor + payment.gone_minor + payment.disputed_minor - payment.captured_minor)


def has_open_dispute(payment: Payment) -> bool:
    """Tell whether the customer's bank decides about a payment now. Once it has, what is left may go out: `disputed` keeps its part."""
    return bool(payment.disputed_minor) and payment.disputes.filter(kind=DisputeKind.FORMAL, outcome=DisputeOutcome.OPEN).exists()


class Balances:
    """The changes of one transaction.

    Args:
        refunds: locked, each with its payment; refunds of one payment share its object.
    Attributes:
        movements, told: what `write` posts to the ledger and records as events.
    """

    def __init__(self, refunds: Sequence[Refund]) -> None:
        self.refunds = {refund.pk: refund for refund in refunds}
        self.movements: list[Movement] = []
        self.told: list[DomainEvent] = []
        self._dirty: dict[type[Model], dict[object, Model]] = defaultdict(dict)
        self._parts: dict[UUID, list[Allocation]] | None = None
        self._were_over = {refund.payment_id for refund in refunds if refund.payment.over_minor}

    @classmethod
    def lock(cls, refund_ids: Iterable[UUID]) -> Balances:
        """Lock refunds, their payments and purchases."""
        return cls(lock_refunds(refund_ids))

    def parts(self, refund: Refund) -> list[Allocation]:
        """Return the allocations of a refund, each with its locked line; lines are shared."""
        if self._parts is None:
            self._parts = {pk: [] for pk in self.refunds}
            found = list(Allocation.objects.filter(refund__in=list(self.refunds)).order_by("pk"))
            lines = for_update(PurchaseLine.objects.order_by("pk")).in_bulk({allocation.line_id for allocation in found})
            for allocation in found:
                allocation.line = lines[allocation.line_id]
                self._parts[allocation.refund_id].append(allocation)
        return self._parts[refund.pk]

    def touch(self, *rows: Model) -> None:
        """Write these rows too."""
        for row in rows:
            self._dirty[type(row)][row.pk] = row

    def move(self, refund: Refund, after: str) -> bool:
        """Move a refund to `after`, and its amount with it on payment, lines and ledger.

        Only the gateway's word brings money back into a balance that has since been given away; then `over` rises.

        Returns:
            Whether `over` rose on the payment.
        """
        before, refund.state = refund.state, after
        self.touch(refund)
        movement = changed(refund=refund, before=before, after=after)
        if movement is not None:
            self.movements.append(movement)
        source, target = balance_of(before), balance_of(after)
        if source == target:
            return False
        payment, over_before = refund.payment, refund.payment.over_minor
        _shift(payment, "minor", refund.amount_minor, source, target)
        if refund.origin == RefundOrigin.EXTERNAL:
            self._move_unallocated(refund, source, target)
            if self.parts(refund) and not (source and target):
                taxes = [part.tax_minor for part in self.parts(refund)]
                self.movements.append(allocated(refund=refund, taxes=taxes, back=not target))
        payment.over_minor = over_of(payment)
        self.touch(payment)
        for allocation in self.parts(refund):
            self._move_part(allocation, source, target)
        return payment.over_minor > over_before

    def release(self, refund: Refund) -> None:
        """Cancel a refund that was never sent: the debt is gone, and what it held is free."""
        self.move(refund, RefundState.CANCELED)
        self.give_up(refund)

    def give_up(self, refund: Refund) -> None:
        """End the debt behind a refund whose money did not move."""
        self.movements.append(released(refund=refund, taxes=[part.tax_minor for part in self.parts(refund)]))
        refund.owed = False
        self.touch(refund)

    def write(self, *, now: datetime) -> None:
        """Write everything that changed, and record what is told about it: one statement per table."""
        self._book_overpaid()
        self._write(Payment, _PAYMENT_FIELDS)
        self._write(PurchaseLine, _LINE_FIELDS)
        self._write(Allocation, ["counted_quantity"])
        self._write(Refund, _REFUND_FIELDS)
        self._dirty.clear()
        post(*self.movements, now=now)
        self.movements.clear()
        if self.told:
            record(*self.told, now=now)
            self.told.clear()

    def _write(self, model: type[Row], fields: Sequence[str]) -> None:
        rows = list(self._dirty[model].values())
        if rows:
            # every row is there and locked: "insert or update" is the one statement that writes each row its own values
            model._default_manager.bulk_create(rows, update_conflicts=True, unique_fields=["pk"], update_fields=fields)  # type: ignore[arg-type]

    def _book_overpaid(self) -> None:
        for payment in self._dirty[Payment].values():
            assert isinstance(payment, Payment)
            if payment.over_minor or payment.pk in self._were_over:
                movement = overpaid(payment)
                if movement is not None:
                    self.movements.append(movement)

    def _move_unallocated(self, refund: Refund, source: str, target: str) -> None:
        if self.parts(refund):
            return
        change = (refund.amount_minor if target else 0) - (refund.amount_minor if source else 0)
        refund.payment.unallocated_minor = max(0, refund.payment.unallocated_minor + change)

    def _move_part(self, allocation: Allocation, source: str, target: str) -> None:
        line = allocation.line
        if not source:  # back from nothing: it may count only for units that nobody else took meanwhile
            allocation.counted_quantity = min(allocation.quantity, line.quantity_left)
            line.refunded_tax_minor += allocation.tax_minor
            self.touch(allocation)
        _shift(line, "minor", allocation.gross_minor, source, target)
        _shift(line, "quantity", allocation.counted_quantity, source, target)
        if not target:
            line.refunded_tax_minor -= allocation.tax_minor
        line.over_minor = max(0, line.held_minor + line.gone_minor - line.paid_minor)
        self.touch(line)


def _shift(row: Payment | PurchaseLine, unit: str, amount: int, source: str, target: str) -> None:
    if source:
        setattr(row, f"{source}_{unit}", getattr(row, f"{source}_{unit}") - amount)
    if target:
        setattr(row, f"{target}_{unit}", getattr(row, f"{target}_{unit}") + amount)
