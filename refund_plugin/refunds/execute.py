"""Send what is reserved and find out about what is unknown. Rows are the queue; claims are leases with a fencing number.

Order of things, each step committed before the next: claim -> attempt rows -> calls (no transaction open) -> answers. A worker
that dies in between leaves claims that expire; whoever takes them over treats a call as one that may have been executed.
`calls.py` makes the calls of many claims at the same time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from time import monotonic
from typing import Any, cast
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Value, When

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.events.services import record
from refund_plugin.gateways.answers import Operation
from refund_plugin.gateways.base import AnswerKind, Gateway, RefundCommand
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import gateway_for, hold_account
from refund_plugin.money import Money
from refund_plugin.orders.models import SALEOR_LINE, Payment
from refund_plugin.refunds import events
from refund_plugin.refunds.absence import purpose_of
from refund_plugin.refunds.balances import has_open_dispute
from refund_plugin.refunds.brake.queries import paused_stores
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Attempt, AttemptPurpose, Refund, RefundOrigin, WaitsFor
from refund_plugin.refunds.outcomes import STOPPING, Call
from refund_plugin.refunds.states import DRIVEN, RefundState
from refund_plugin.statements import KeptStatement

logger = logging.getLogger(__name__)

BUSY_PAYMENT_SECONDS = 0.5
READS = (AttemptPurpose.RETRIEVE, AttemptPurpose.LIST)


@dataclass(frozen=True, slots=True)
class Claim:
    """A refund this worker may work on until its lease ends."""

    refund_id: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class Started:
    """A call whose attempt row is committed, and all that is needed to make it.

    `deadline` is when the lease ends, by this process's monotonic clock: a worker that sleeps past it must not call, because
    somebody else may have asked since, and been told a "no" that the gateway does not keep.
    """

    refund_id: UUID
    call: Call
    gateway: Gateway
    command: RefundCommand
    captured: Money
    gateway_refund_id: str
    deadline: float = inf


def claim_due(*, batch: int, account: GatewayAccount | None = None, unknown_first: bool = False) -> list[Claim]:
    """Lease up to `batch` due refunds. Locks refunds only, and commits.

    Args:
        account: only refunds over this one.
        unknown_first: prefer what may have been executed; to find out whether a gateway is back.
    """
    with transaction.atomic(durable=True):
        now = clock.database_now()
        until = now + timedelta(seconds=settings().lease_seconds)  # also when it is due again: out of the way of the next claims
        lease = _lease_at_once if connection.vendor == "postgresql" else _lease_found
        leased = lease(now, until, batch=batch, account_id=account.pk if account else None, unknown_first=unknown_first)
        if expired := [row.refund_id for row in leased if row.expired]:
            _do_expire(expired, now)
        return [Claim(row.refund_id, row.fence) for row in leased]


@dataclass(frozen=True, slots=True)
class _Leased:
    """A refund that was just leased; `expired` when another worker's lease on it had ended."""

    refund_id: UUID
    expired: bool
    fence: int


def _due(now: datetime) -> QuerySet[Refund]:
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    due = Refund.objects.filter(free, state__in=DRIVEN, waits_for=WaitsFor.NOTHING, due_at__lte=now, account__on_hold=False)
    return due.exclude(state=RefundState.RESERVED, origin=RefundOrigin.ENGINE, store__in=paused_stores(now).values("store"))


def _first_due(now: datetime, *, batch: int, account_id: int | None, unknown_first: bool) -> QuerySet[Refund]:
    """Return what a worker would take, in the order in which it is worked on; locked where the database can."""
    rows = _due(now) if account_id is None else _due(now).filter(account=account_id)
    order = [Case(When(state=RefundState.UNKNOWN, then=Value(0)), default=Value(1))] if unknown_first else []
    rows = rows.order_by(*order, "due_at", "id")
    if connection.features.has_select_for_update_skip_locked:
        rows = for_update(rows, skip_locked=True)
    return rows[:batch]


def _lease_found(now: datetime, until: datetime, **wanted: Any) -> list[_Leased]:
    """Find and lease in two statements, for databases that cannot do both in one."""
    found = list(_first_due(now, **wanted).values_list("pk", "lease_until", "fence"))
    mine = _due(now).filter(pk__in=[pk for pk, _lease, _fence in found])
    ids = set(mine.values_list("pk", flat=True))  # where nothing was locked, somebody may have been faster
    mine.update(
        fence=F("fence") + 1,
        lease_until=until,
        due_at=until,
        state=Case(When(state=RefundState.RESERVED, then=Value(RefundState.PROCESSING.value)), default=F("state")),
    )
    return [_Leased(pk, lease is not None, fence + 1) for pk, lease, fence in found if pk in ids]


def _lease_at_once(now: datetime, until: datetime, **wanted: Any) -> list[_Leased]:
    """Find and lease in one statement."""
    found, params = _FIRST_DUE.sql(now=now, **wanted)
    # materialized, because found twice it would lease more than its limit
    statement = f"""
        WITH due (id, lease_until, due_at) AS MATERIALIZED ({found})
        UPDATE {Refund._meta.db_table} AS refund
        SET fence = fence + 1, lease_until = %s, due_at = %s,
            state = CASE state WHEN '{RefundState.RESERVED}' THEN '{RefundState.PROCESSING}' ELSE state END
        FROM due WHERE refund.id = due.id
        RETURNING due.due_at, refund.id, due.lease_until IS NOT NULL, refund.fence
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, [*params, until, until])
        return [_Leased(pk, expired, fence) for _due_at, pk, expired, fence in sorted(cursor.fetchall())]


_FIRST_DUE = KeptStatement(lambda **wanted: _first_due(**wanted).values_list("pk", "lease_until", "due_at"), fixed=["batch"])


def _do_expire(refund_ids: list[UUID], now: datetime) -> None:
    """A worker vanished while it held these claims: a call it had begun may have been executed, the others were not sent."""
    begun = Attempt.objects.filter(refund__in=refund_ids, ended_at__isnull=True)
    called = list(begun.exclude(purpose__in=READS).values_list("refund_id", flat=True))
    begun.update(ended_at=now, answer=AnswerKind.MAYBE_EXECUTED, code="lease_expired")
    processing = Refund.objects.filter(pk__in=refund_ids, state=RefundState.PROCESSING)
    lost = list(processing.filter(pk__in=called).select_related("request"))
    processing.filter(Q(pk__in=called) | Q(maybe_executed=True)).update(state=RefundState.UNKNOWN, maybe_executed=True)
    if lost:
        record(*(events.refund_event(events.REFUND_UNKNOWN, refund, SYSTEM, code="lease_expired") for refund in lost), now=now)


def begin_attempts(claims: Sequence[Claim]) -> list[Started]:
    """Commit the attempt rows, and freeze what will be sent at the first one; claims that cannot be used now are given back."""
    try:
        return _begin(claims)
    except IntegrityError:  # another refund of one of these payments is in flight
        if len(claims) > 1:
            return [started for claim in claims for started in begin_attempts([claim])]
        give_back(claims, seconds=BUSY_PAYMENT_SECONDS)
        return []


def _begin(claims: Sequence[Claim]) -> list[Started]:
    fences = {claim.refund_id: claim.fence for claim in claims}
    deadline = monotonic() + settings().lease_seconds
    with transaction.atomic(durable=True):
        now = clock.database_now()
        paused = Exists(paused_stores(now).filter(store=OuterRef("store")))
        rows = for_update(Refund.objects.order_by("pk").annotate(paused=paused)).filter(pk__in=list(fences))
        rows = rows.select_related("payment", "account", "request")
        usable = [row for row in rows if row.fence == fences[row.pk] and row.state in DRIVEN and row.lease_until and row.lease_until >= now]
        order = list(fences)
        free, busy = _one_per_payment(sorted(usable, key=lambda refund: order.index(refund.pk)))
        waiting = {row.pk for row in usable if row.paused and row.origin == RefundOrigin.ENGINE and _is_unsent(row)}
        begun = [(row, attempt) for row in free if row.pk not in waiting and (attempt := _attempt(row, now)) is not None]
        if begun:
            refunds = [refund for refund, _attempt in begun]
            fields = ["command", "attempt_count", "first_sent_at", "lease_until", "absent_since", "absent_at"]
            Refund.objects.bulk_create(refunds, update_conflicts=True, unique_fields=["pk"], update_fields=fields)
            Attempt.objects.bulk_create(attempt for _refund, attempt in begun)
    unused = {refund.pk for refund in usable} - {refund.pk for refund, _attempt in begun} - {refund.pk for refund in busy}
    give_back([claim for claim in claims if claim.refund_id in unused], seconds=0)
    if busy:
        _end_abandoned({refund.payment_id for refund in busy})
        give_back([Claim(refund.pk, refund.fence) for refund in busy], seconds=BUSY_PAYMENT_SECONDS)
    return [_started(refund, attempt, deadline=deadline) for refund, attempt in begun]


def _is_unsent(refund: Refund) -> bool:
    return refund.state == RefundState.PROCESSING and not refund.maybe_executed


def _one_per_payment(refunds: Iterable[Refund]) -> tuple[list[Refund], list[Refund]]:
    """Split into refunds that may go now, and those of a payment that has a call in flight (invariant 3)."""
    refunds = list(refunds)
    in_flight = Attempt.objects.filter(payment__in={refund.payment_id for refund in refunds}, ended_at__isnull=True)
    taken = set(in_flight.values_list("payment_id", flat=True))
    free: list[Refund] = []
    busy: list[Refund] = []
    for refund in refunds:
        (busy if refund.payment_id in taken else free).append(refund)
        taken.add(refund.payment_id)
    return free, busy


def _attempt(refund: Refund, now: datetime) -> Attempt | None:
    """Prepare a refund for its next call and return the call's unsaved row; None when nothing may be sent."""
    try:
        gateway = gateway_for(refund.account)
    except GatewayMisconfigured as error:
        hold_account(refund.account, reason=str(error))
        return None
    why = why_stopped(refund.payment)
    purpose = purpose_of(
        refund, now, replayable=gateway.capabilities.idempotency == "key", stopped=bool(why or refund.payment.unallocated_minor)
    )
    if refund.needs_person in STOPPING:
        why = why or refund.needs_person  # stopped while it was claimed
    if purpose == AttemptPurpose.SEND and why:
        # given back in the same statement: nobody claims what waits for a person, so nobody could finish this later
        given_back = {"state": RefundState.RESERVED, "lease_until": None, "due_at": now}
        Refund.objects.filter(pk=refund.pk).update(waits_for=WaitsFor.PERSON, needs_person=why, **given_back)
        return None
    if refund.command is None:
        refund.command = freeze_command(refund, with_lines=gateway.capabilities.notes_lines)
    if purpose in (AttemptPurpose.SEND, AttemptPurpose.REPLAY):
        refund.absent_since = refund.absent_at = None  # it may arrive now, so listings begin anew
    if purpose not in READS:
        refund.first_sent_at = refund.first_sent_at or now
    refund.attempt_count += 1
    refund.lease_until = now + timedelta(seconds=settings().lease_seconds)
    return Attempt(refund=refund, payment=refund.payment, number=refund.attempt_count, fence=refund.fence, purpose=purpose, started_at=now)


def why_stopped(payment: Payment) -> str:
    """Return why nothing may go out on a payment any more; "" when it may."""
    if payment.over_minor:
        return "more is gone from this payment than was captured"
    return "the payment is disputed" if has_open_dispute(payment) else ""


def _started(refund: Refund, attempt: Attempt, *, deadline: float) -> Started:
    assert refund.command is not None
    return Started(
        refund_id=refund.pk,
        call=Call(attempt.pk, attempt.fence, attempt.purpose, attempt.started_at),
        gateway=gateway_for(refund.account),
        command=load_command(refund.command),
        captured=Money(refund.payment.captured_minor, refund.payment.currency),
        gateway_refund_id=refund.gateway_refund_id,
        deadline=deadline,
    )


def freeze_command(refund: Refund, *, with_lines: bool = False) -> dict[str, object]:
    """Return what is sent, as JSON: the same for every attempt, whatever the settings become.

    Args:
        with_lines: also tell the lines that the store has names for; one statement more.
    """
    return {
        "refund_id": str(refund.pk),
        "idempotency_key": refund.idempotency_key,
        "gateway_payment_id": refund.payment.gateway_payment_id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "operation": refund.operation,
        "reason": "requested_by_customer",
        "metadata": {
            "refund_id": str(refund.pk),
            "reference": refund.request.reference if refund.request else "",
            "reason": refund.request.reason if refund.request else "",
            "installation": settings().installation,
        },
        **({"lines": _named_lines(refund)} if with_lines else {}),
    }


def _named_lines(refund: Refund) -> list[list[str | int]]:
    """Return the store's names of the lines whose units go back with a refund."""
    parts = refund.allocations.filter(counted_quantity__gt=0).select_related("line").order_by("line__position")
    return [[part.line.metadata[SALEOR_LINE], part.counted_quantity] for part in parts if part.line.metadata.get(SALEOR_LINE)]


def load_command(stored: Mapping[str, object]) -> RefundCommand:
    """Return the command that was frozen."""
    metadata = stored["metadata"]
    assert isinstance(metadata, Mapping)
    return RefundCommand(
        refund_id=UUID(str(stored["refund_id"])),
        idempotency_key=str(stored["idempotency_key"]),
        gateway_payment_id=str(stored["gateway_payment_id"]),
        amount=Money(int(str(stored["amount_minor"])), str(stored["currency"])),
        operation=cast(Operation, str(stored["operation"])),
        reason=str(stored["reason"]),
        metadata={str(key): str(value) for key, value in metadata.items()},
        lines=tuple((str(name), int(quantity)) for name, quantity in cast(Sequence[tuple[str, int]], stored.get("lines", ()))),
    )


def give_back(claims: Sequence[Claim], *, seconds: float) -> None:
    """Return claims that made no call."""
    if not claims:
        return
    due_at = clock.database_now() + timedelta(seconds=seconds)
    for claim in claims:
        Refund.objects.filter(pk=claim.refund_id, fence=claim.fence).update(
            lease_until=None,
            due_at=due_at,
            state=Case(
                When(state=RefundState.PROCESSING, maybe_executed=False, then=Value(RefundState.RESERVED.value)),
                When(state=RefundState.PROCESSING, then=Value(RefundState.UNKNOWN.value)),
                default=F("state"),
            ),
            waits_for=Case(
                When(state=RefundState.PROCESSING, maybe_executed=False, needs_person__in=STOPPING, then=Value(WaitsFor.PERSON.value)),
                default=F("waits_for"),
            ),
        )


def _end_abandoned(payment_ids: Collection[int]) -> None:
    """End calls on these payments whose worker died after somebody else had told how their refund ended.

    Such a refund is never claimed again, so nobody else would end the call, and it would block the payment for good.
    """
    now = clock.database_now()
    settled = Refund.objects.filter(payment__in=payment_ids, lease_until__lt=now).exclude(state__in=DRIVEN)
    Attempt.objects.filter(refund__in=settled, ended_at__isnull=True).update(
        ended_at=now, answer=AnswerKind.MAYBE_EXECUTED, code="lease_expired"
    )


def wake_account(account_id: int) -> None:
    """Let everything that waits for an account be tried at once: it answers again.

    Rows that somebody holds are left to them, because whoever waits for one while holding others may wait for ever.
    """
    waiting = (RefundState.RESERVED, RefundState.UNKNOWN)
    with transaction.atomic():
        now = clock.database_now()
        rows = Refund.objects.filter(account_id=account_id, state__in=waiting, due_at__gt=now, absent_since__isnull=True)
        free = for_update(rows.order_by("pk"), skip_locked=connection.features.has_select_for_update_skip_locked)
        Refund.objects.filter(pk__in=list(free.values_list("pk", flat=True))).update(due_at=now)


def wake_siblings(refund_ids: Collection[UUID]) -> None:
    """Let the next refund of each of these refunds' payments go, which waited for their calls to end."""
    now = clock.database_now()
    waiting = Refund.objects.filter(state__in=(RefundState.RESERVED, RefundState.UNKNOWN), lease_until__isnull=True)
    soon = waiting.filter(due_at__gt=now, due_at__lte=now + timedelta(seconds=BUSY_PAYMENT_SECONDS), waits_for=WaitsFor.NOTHING)
    of_payments = soon.filter(payment__in=Refund.objects.filter(pk__in=refund_ids).values("payment"))
    last_first = of_payments.order_by("-due_at", "-pk").values_list("payment_id", "pk")
    for pk in dict(last_first).values():  # the last one named for a payment is its first one due
        waiting.filter(pk=pk).update(due_at=now)
