"""Try again after a definitive end: a successor refund with a key of its own. One refund has one key for life."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import NotFound, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.money import Money
from refund_plugin.refunds import events
from refund_plugin.refunds.authority import check_may
from refund_plugin.refunds.checks import check_reason
from refund_plugin.refunds.locks import lock_refund
from refund_plugin.refunds.models import Allocation, Refund, RefundOrigin
from refund_plugin.refunds.reserve import Part, hold_lines, hold_payments, new_refund
from refund_plugin.refunds.services import DRIVE
from refund_plugin.refunds.states import RefundState


def retry_refund(*, refund_id: UUID, by: Actor, reason: str, now: datetime) -> Refund:
    """Make the successor of a failed refund: the same amount, payment and lines, held anew.

    Args:
        reason: recorded; required.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: the refund has not failed, or has a successor.
        ExceedsBalance: the money was given to another refund meanwhile.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        failed = lock_refund(refund_id)
        if failed is None:
            raise NotFound
        live = failed.request.refunds.filter(successor__isnull=True).exclude(state=RefundState.CANCELED)
        total = Money(sum(refund.amount_minor for refund in live), failed.currency)
        check_may(request=failed.request, by=by, action=Action.APPROVE, amount=total)  # one approval in parts is still one
        if failed.state != RefundState.FAILED or Refund.objects.filter(supersedes=failed).exists():
            raise WrongState(_("Only a failed refund that nobody has tried again can be tried again."))
        parts = [
            Part(allocation.line, allocation.quantity, allocation.gross_minor, allocation.tax_minor)
            for allocation in failed.allocations.select_related("line")
        ]
        hold_lines(parts)
        hold_payments({failed.payment_id: failed.amount_minor})
        refund = new_refund(
            request=failed.request,
            decision=failed.decision,
            payment=failed.payment,
            amount=failed.amount,
            origin=RefundOrigin.STAFF,
            now=now,
        )
        refund.supersedes = failed
        refund.save(force_insert=True)
        Allocation.objects.bulk_create(
            Allocation(
                refund=refund,
                line=part.line,
                quantity=part.quantity,
                counted_quantity=part.quantity,
                gross_minor=part.gross_minor,
                tax_minor=part.tax_minor,
                tax_rate_percent=part.line.tax_rate_percent,
            )
            for part in parts
        )
        record(events.refund_event(events.REFUND_RETRIED, refund, by, reason=reason, supersedes=str(failed.pk)), now=now)
        doorbell.ring(DRIVE)
    return refund
