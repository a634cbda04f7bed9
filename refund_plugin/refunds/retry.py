"""Try again after a definitive end: a successor refund with a key of its own. One refund has one key for life."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from refund_plugin.actor import Action, Actor
from refund_plugin.errors import NotFound, WrongState
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.money import Money
from refund_plugin.refunds import events
from refund_plugin.refunds.authority import check_may
from refund_plugin.refunds.balances import Balances
from refund_plugin.refunds.checks import check_reason
from refund_plugin.refunds.ledger.services import post, superseded
from refund_plugin.refunds.locks import lock_refund
from refund_plugin.refunds.models import Allocation, Refund, RefundOrigin, RefundRequest
from refund_plugin.refunds.reserve import Part, allocation_of, hold, new_refund
from refund_plugin.refunds.states import OVER, RefundState

RESTORED = gettext_lazy("The records were restored from a backup. Wait until the payment provider has told whether it was paid since.")


def retry_refund(*, refund_id: UUID, by: Actor, reason: str, now: datetime) -> Refund:
    """Make the successor of a refund that failed: the same amount, payment and lines, held anew.

    Args:
        reason: recorded; required.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: the refund has not failed, was given up, has a successor, or may have one that a restored backup does not know.
        ExceedsBalance: the money was given to another refund meanwhile.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        failed = lock_refund(refund_id)
        check_successor(failed, by=by)
        assert failed is not None
        if failed.list_first:
            raise WrongState(RESTORED)
        successor = do_supersede(failed, origin=RefundOrigin.STAFF, by=by, reason=reason, now=now)
        doorbell.ring(events.DRIVE)
    return successor


def give_up_refund(*, refund_id: UUID, by: Actor, reason: str, now: datetime) -> Refund:
    """End the debt behind a refund that failed: the customer was paid otherwise, or does not want the money.

    Args:
        reason: recorded; required.
        now: UTC.
    Raises:
        NotFound, NotAllowed: see `check_may`.
        WrongState: the refund has not failed, was given up, or has a successor.
    """
    check_reason(reason)
    with transaction.atomic(durable=True):
        failed = lock_refund(refund_id)
        check_successor(failed, by=by)
        assert failed is not None
        balances = Balances([failed])
        balances.give_up(failed)
        balances.write(now=now)
        record(events.refund_event(events.REFUND_GIVEN_UP, failed, by, reason=reason), now=now)
    return failed


def check_successor(failed: Refund | None, *, by: Actor) -> None:
    """Check that `by` may decide what follows a refund.

    Raises:
        NotFound, NotAllowed, WrongState: as in `retry_refund`.
    """
    if failed is None or failed.request is None:
        raise NotFound
    check_may(request=failed.request, by=by, action=Action.APPROVE, amount=live_total(failed.request, failed.currency))
    if failed.state not in OVER or not failed.owed:
        raise WrongState(_("Only a failed refund that nobody has tried again can be tried again."))


def live_total(request: RefundRequest, currency: str) -> Money:
    """Return what a request pays in all: one approval in parts is still one."""
    live = request.refunds.filter(successor__isnull=True).exclude(state=RefundState.CANCELED, owed=False)
    return Money(sum(refund.amount_minor for refund in live), currency)


def do_supersede(failed: Refund, *, origin: RefundOrigin, by: Actor, reason: str, now: datetime, refund_id: UUID | None = None) -> Refund:
    """Hand the debt of a locked, failed refund to a new one with a key of its own.

    Args:
        refund_id: what the new one is to be called; any other name when omitted.

    Raises:
        ExceedsBalance: the money was given to another refund meanwhile.
    """
    assert failed.request is not None and failed.decision is not None
    parts = [
        Part(allocation.line, allocation.quantity, allocation.gross_minor, allocation.tax_minor)
        for allocation in failed.allocations.select_related("line")
    ]
    with transaction.atomic():  # all or nothing, also where the caller goes on without a successor
        hold(parts, {failed.payment_id: failed.amount_minor})
    successor = new_refund(
        request=failed.request,
        decision=failed.decision,
        payment=failed.payment,
        amount=failed.amount,
        origin=origin,
        now=now,
        refund_id=refund_id,
    )
    successor.supersedes = failed
    successor.save(force_insert=True)
    Allocation.objects.bulk_create(allocation_of(successor, part) for part in parts)
    failed.owed = False
    failed.save(update_fields=["owed"])
    post(superseded(refund=failed, successor=successor), now=now)
    record(events.refund_event(events.REFUND_RETRIED, successor, by, reason=reason, supersedes=str(failed.pk)), now=now)
    return successor
