"""Freeze what was bought while its money is on the way back, revoke it when the money has gone, give it back when it stays.

What is wanted is derived from the refunds as they stand, never from the event that rang, so the order of events does not
matter. The store is told outside any transaction and again until it confirms; the money waits for nobody here.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from refund_plugin import clock
from refund_plugin.events.models import Event
from refund_plugin.orders.events import ACCESS_CORRECTED
from refund_plugin.orders.models import PurchaseLine
from refund_plugin.orders.queries import usage_of
from refund_plugin.refunds import events
from refund_plugin.refunds.access.models import AccessState
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Allocation
from refund_plugin.refunds.states import GONE, HELD
from refund_plugin.stores.base import LineAccess, StoreSilent, StoreUnavailable
from refund_plugin.stores.registry import adapter_for

logger = logging.getLogger(__name__)

NAME = "access"
KINDS = (
    ACCESS_CORRECTED,
    events.REQUEST_APPROVED,
    events.REQUEST_CANCELED,
    events.REFUND_RETRIED,
    events.REFUND_SUCCEEDED,
    events.REFUND_FAILED,
    events.REFUND_CANCELED,
    events.REFUND_ALLOCATED,
    events.REFUND_MANUAL_CLAIMED,
    events.REFUND_MANUAL_PAID,
    events.REFUND_RELEASED,
    events.REFUND_GIVEN_UP,
)
LEASE_SECONDS = 60
WAIT_SECONDS, LONGEST_WAIT_SECONDS = 10, 3600
FAILURES_FOR_ALERT = 8


def on_event(event: Event) -> None:
    """Bring access in line with the refunds of an event; may be called again for the same event."""
    refund = event.payload.get("refund")
    found = Allocation.objects.filter(refund=refund) if refund else Allocation.objects.filter(refund__request=event.case)
    line_ids = set(found.values_list("line", flat=True))
    if event.kind == ACCESS_CORRECTED:
        mark_used(line_ids=[event.payload["line"]], now=clock.now())
    elif line_ids and refresh_lines(line_ids=line_ids, now=clock.now()):
        tell_stores(clock.now(), line_ids=line_ids)


def refresh_lines(*, line_ids: Collection[int], now: datetime) -> int:
    """Write down what is wanted for these lines; return for how many the store has yet to confirm it.

    Lines of stores that keep no access are left alone.
    """
    lines = PurchaseLine.objects.select_related("purchase__store").filter(pk__in=line_ids)
    kept = {line.pk: line for line in lines if (adapter := adapter_for(line.purchase.store)) and adapter.keeps_access()}
    if not kept:
        return 0
    with transaction.atomic():
        AccessState.objects.bulk_create((AccessState(line_id=pk, changed_at=now) for pk in sorted(kept)), ignore_conflicts=True)
        states = list(for_update(AccessState.objects.filter(line__in=kept).order_by("line_id")))
        units = _units(kept)  # read behind the lock: whoever comes last has seen everything
        for state in states:
            frozen, revoked = _wanted(kept[state.line_id], state, units[state.line_id])
            if (frozen, revoked) != (state.wanted_frozen, state.wanted_revoked):
                state.wanted_frozen, state.wanted_revoked = frozen, revoked
                state.version, state.changed_at = state.version + 1, now
                state.due_at, state.failures = clock.database_now(), 0
                state.save()
    return sum(state.due_at is not None for state in states)


def mark_used(*, line_ids: Collection[int], now: datetime) -> int:
    """Let stores that show how much was used be told of these lines anew, what they may use being as it was; return how many.

    Lines of other stores are left alone.
    """
    lines = PurchaseLine.objects.select_related("purchase__store").filter(pk__in=line_ids)
    shown = sorted(line.pk for line in lines if (adapter := adapter_for(line.purchase.store)) and adapter.shows_use())
    if not shown:
        return 0
    with transaction.atomic():
        AccessState.objects.bulk_create((AccessState(line_id=pk, changed_at=now) for pk in shown), ignore_conflicts=True)
        states = for_update(AccessState.objects.filter(line__in=shown).order_by("line_id"))
        return AccessState.objects.filter(pk__in=[state.pk for state in states]).update(
            version=F("version") + 1, changed_at=now, due_at=clock.database_now(), failures=0
        )


class _Units:
    """Units of one line, by what has become of the money for them.

    Attributes:
        held, gone: reserved or on their way; with the customer.
        debts: of them, those whose money had come back once, or may have: a failed refund that is still owed, or its successor.
    """

    def __init__(self) -> None:
        self.held = self.gone = self.failed = self.tried_again = 0

    @property
    def debts(self) -> int:
        return self.failed + self.tried_again


def _units(line_ids: Collection[int]) -> dict[int, _Units]:
    found = {pk: _Units() for pk in line_ids}
    parts = Allocation.objects.filter(line__in=line_ids).values_list(
        "line", "quantity", "counted_quantity", "refund__state", "refund__owed", "refund__supersedes"
    )
    for line, quantity, counted, state, owed, supersedes in parts:
        units = found[line]
        if state in GONE:
            units.gone += counted
        elif state in HELD:
            units.held += counted
            units.tried_again += counted if supersedes else 0
        elif owed:
            units.failed += quantity
    return found


def _wanted(line: PurchaseLine, state: AccessState, units: _Units) -> tuple[int, int]:
    """Return how many units should be frozen and revoked.

    What was revoked stays revoked while its debt is open. It comes back when the debt is given up, unless the customer has
    bought the same thing anew meanwhile.
    """
    locked = min(line.quantity, units.held + units.gone + units.failed)
    revoked = min(locked, units.gone + min(max(0, state.wanted_revoked - units.gone), units.debts))
    frozen = locked - revoked
    if revoked < state.wanted_revoked and _bought_again(line):
        revoked = min(state.wanted_revoked, line.quantity - frozen)
    return frozen, revoked


def _bought_again(line: PurchaseLine) -> bool:
    newer = PurchaseLine.objects.filter(
        sku=line.sku, purchase__customer_id=line.purchase.customer_id, purchase__purchased_at__gt=line.purchase.purchased_at
    )
    return newer.filter(quantity__gt=F("held_quantity") + F("gone_quantity")).exists()


def tell_stores(now: datetime, *, line_ids: Collection[int] | None = None, limit: int = 100) -> int:
    """Tell the stores what is due; return how many lines they were told about. The sweep calls this every time.

    Args:
        now: UTC.
        line_ids: only these lines.
    """
    due = AccessState.objects.filter(_due(clock.database_now()))
    if line_ids is not None:
        due = due.filter(line__in=line_ids)
    told, silent = 0, set[int]()
    for state in due.select_related("line__purchase__store").order_by("due_at", "pk")[:limit]:
        store_id = state.line.purchase.store_id
        if store_id in silent:
            continue
        try:
            told += _tell(state, now)
        except StoreSilent:
            silent.add(store_id)
            later = clock.database_now() + timedelta(seconds=WAIT_SECONDS)
            AccessState.objects.filter(_due(clock.database_now()), line__purchase__store=store_id).update(due_at=later)
    return told


def _due(now: datetime) -> Q:
    return Q(due_at__lte=now) & (Q(lease_until__isnull=True) | Q(lease_until__lt=now))


def _tell(state: AccessState, now: datetime) -> int:
    """Tell one store of one line; return 0 when somebody else does.

    Raises:
        StoreSilent: nobody answers there at all; this is written down.
    """
    started = clock.database_now()
    mine = AccessState.objects.filter(pk=state.pk, fence=state.fence)
    lease = started + timedelta(seconds=LEASE_SECONDS)
    if not mine.filter(_due(started)).update(lease_until=lease, fence=F("fence") + 1):
        return 0
    # what is wanted may have changed since the row was read, but not the row's right to be told: read it under the lease
    state.refresh_from_db()
    line = state.line
    adapter = adapter_for(line.purchase.store)
    error = "no adapter is registered for this kind of store"
    if adapter is not None:
        try:
            adapter.set_access(_described(state, line))
        except StoreSilent as silence:
            _record(state, str(silence), now=now)
            raise
        except StoreUnavailable as unavailable:
            error = str(unavailable) or "the store did not answer"
        except Exception as failure:  # an adapter's own fault delays this line, not the others
            logger.exception("the adapter %s failed", line.purchase.store.adapter)
            error = f"{type(failure).__name__}: {failure}"
        else:
            error = ""
    _record(state, error, now=now)
    return 1


def _described(state: AccessState, line: PurchaseLine) -> LineAccess:
    return LineAccess(
        store=line.purchase.store.slug,
        purchase_number=line.purchase.number,
        line_id=line.pk,
        sku=line.sku,
        name=line.name,
        quantity=line.quantity,
        frozen=state.wanted_frozen,
        revoked=state.wanted_revoked,
        version=state.version,
        store_line_id=str(line.metadata.get(f"{line.purchase.store.adapter}_line", "")),
        downloads=usage_of([line])[line.pk].downloads,
    )


def _record(told: AccessState, error: str, *, now: datetime) -> None:
    """Write down what the store said, unless the lease was lost; what changed meanwhile is due at once."""
    with transaction.atomic():
        state = for_update(AccessState.objects.filter(pk=told.pk, fence=told.fence)).first()
        if state is None:
            return
        state.lease_until = None
        if error:
            logger.warning("access of line %s: %s", state.line_id, error)
            state.failures, state.last_error = state.failures + 1, error[:500]
            wait = min(WAIT_SECONDS * 2 ** (state.failures - 1), LONGEST_WAIT_SECONDS)
            state.due_at = clock.database_now() + timedelta(seconds=wait)
        else:
            state.done_frozen, state.done_revoked, state.done_at = told.wanted_frozen, told.wanted_revoked, now
            state.failures, state.last_error = 0, ""
            if state.version == told.version:
                state.due_at = None
        state.save()
        if state.failures == FAILURES_FOR_ALERT:
            line = told.line
            why = f"{line.name} (order {line.purchase.number}): the store does not confirm a change of access: {error}"
            raise_alert(kind="access_stuck", key=f"access:{state.line_id}", why=why, store_id=line.purchase.store_id, now=now)
