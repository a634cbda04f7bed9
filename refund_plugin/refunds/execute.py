"""Send what is reserved and find out about what is unknown. Rows are the queue; claims are leases with a fencing number.

Order of things, each step committed before the next: claim -> attempt row -> call (no transaction open) -> answer. A worker
that dies in between leaves a claim that expires; whoever takes it over treats the call as one that may have been executed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.events.services import record
from refund_plugin.gateways.base import AnswerKind, Gateway, GatewayAnswer, RefundCommand, refuse_inside_transaction
from refund_plugin.gateways.services import gateway_for, hold_account
from refund_plugin.money import Money
from refund_plugin.refunds import events
from refund_plugin.refunds.models import Attempt, AttemptPurpose, Refund
from refund_plugin.refunds.outcomes import Call, record_answer
from refund_plugin.refunds.states import HELD, RefundState

logger = logging.getLogger(__name__)

BUSY_PAYMENT_SECONDS = 0.5
ABSENT_CHECK_SECONDS = 600
READS = (AttemptPurpose.RETRIEVE, AttemptPurpose.LIST)


@dataclass(frozen=True, slots=True)
class Claim:
    """A refund this worker may work on until its lease ends."""

    refund_id: UUID
    fence: int


def drive_refunds(*, limit: int = 1000) -> int:
    """Work on everything that is due, up to `limit` refunds; return how many calls were made."""
    calls = 0
    while calls < limit:
        claims = claim_due(batch=min(settings().claim_batch, limit - calls))
        if not claims:
            break
        for claim in claims:
            calls += work_on(claim)
    return calls


def claim_due(*, batch: int) -> list[Claim]:
    """Lease up to `batch` due refunds. Locks refunds only, and commits."""
    with transaction.atomic(durable=True):
        now = clock.database_now()
        rows = _due(now).order_by("due_at", "id")
        if connection.features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True, of=("self",))
        found = list(rows.values_list("pk", "lease_until")[:batch])
        if not found:
            return []
        expired = [pk for pk, lease in found if lease is not None]
        if expired:
            _do_expire(expired, now)
        ids = [pk for pk, _lease in found]
        _due(now).filter(pk__in=ids).update(
            fence=F("fence") + 1,
            lease_until=now + timedelta(seconds=settings().lease_seconds),
            state=Case(When(state=RefundState.RESERVED, then=Value(RefundState.PROCESSING.value)), default=F("state")),
        )
        return [Claim(pk, fence) for pk, fence in Refund.objects.filter(pk__in=ids).order_by("due_at", "id").values_list("pk", "fence")]


def _due(now: datetime) -> QuerySet[Refund]:
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
    return Refund.objects.filter(free, state__in=HELD, due_at__lte=now, account__on_hold=False)


def _do_expire(refund_ids: list[UUID], now: datetime) -> None:
    """A worker vanished while it held these claims: a call it had begun may have been executed, the others were not sent."""
    begun = Attempt.objects.filter(refund__in=refund_ids, ended_at__isnull=True)
    called = list(begun.exclude(purpose__in=READS).values_list("refund_id", flat=True))
    begun.update(ended_at=now, answer=AnswerKind.MAYBE_EXECUTED, code="lease_expired")
    processing = Refund.objects.filter(pk__in=refund_ids, state=RefundState.PROCESSING)
    lost = list(processing.filter(pk__in=called).select_related("request"))
    processing.filter(Q(pk__in=called) | Q(maybe_executed=True)).update(state=RefundState.UNKNOWN, maybe_executed=True)
    processing.update(state=RefundState.RESERVED)
    if lost:
        record(*(events.refund_event(events.REFUND_UNKNOWN, refund, SYSTEM, code="lease_expired") for refund in lost), now=now)


def work_on(claim: Claim) -> int:
    """Make the one call that a claimed refund needs next; return 1 when the gateway was called."""
    started = begin_attempt(claim)
    if started is None:
        return 0
    call, command, gateway, refund = started
    answer = call_gateway(gateway, call.purpose, command, refund.gateway_refund_id)
    if answer is None:
        _record_absent(claim, call)
    else:
        record_answer(refund_id=claim.refund_id, answer=answer, call=call, now=clock.now())
    return 1


def begin_attempt(claim: Claim) -> tuple[Call, RefundCommand, Gateway, Refund] | None:
    """Commit the attempt row, and freeze what will be sent at the first one; None when the claim cannot be used now."""
    try:
        with transaction.atomic(durable=True):
            refund = Refund.objects.select_for_update(of=("self",)).select_related("payment", "account", "request").get(pk=claim.refund_id)
            now = clock.database_now()
            if refund.fence != claim.fence or refund.state not in HELD or (refund.lease_until and refund.lease_until < now):
                return None
            gateway = gateway_for(refund.account)
            refund.lease_until = now + timedelta(seconds=settings().lease_seconds)
            purpose = purpose_of(refund, now)
            if refund.command is None:
                refund.command = freeze_command(refund)
            refund.attempt_count += 1
            refund.first_sent_at = refund.first_sent_at or now
            refund.save(update_fields=["command", "attempt_count", "first_sent_at", "lease_until"])
            attempt = Attempt.objects.create(
                refund=refund,
                payment=refund.payment,
                number=refund.attempt_count,
                fence=claim.fence,
                purpose=purpose,
                started_at=now,
            )
    except IntegrityError:  # another refund of this payment is in flight
        _end_abandoned(claim)
        _give_back(claim, seconds=BUSY_PAYMENT_SECONDS)
        return None
    except GatewayMisconfigured as error:
        _give_back(claim, seconds=0)
        hold_account(Refund.objects.select_related("account").get(pk=claim.refund_id).account, reason=str(error))
        return None
    return Call(attempt.pk, claim.fence, purpose), load_command(refund.command), gateway, refund


def purpose_of(refund: Refund, now: datetime) -> AttemptPurpose:
    """Return which call a refund needs: a key is replayed only while the gateway surely knows it, else we look."""
    if refund.state == RefundState.PENDING:
        return AttemptPurpose.RETRIEVE if refund.gateway_refund_id else AttemptPurpose.LIST
    young = refund.first_sent_at is None or now - refund.first_sent_at < timedelta(hours=settings().key_replay_hours)
    if refund.state == RefundState.UNKNOWN:
        return AttemptPurpose.REPLAY if young else AttemptPurpose.LIST
    return AttemptPurpose.SEND


def freeze_command(refund: Refund) -> dict[str, object]:
    """Return what is sent, as JSON: the same for every attempt, whatever the settings become."""
    return {
        "refund_id": str(refund.pk),
        "idempotency_key": refund.idempotency_key,
        "gateway_payment_id": refund.payment.gateway_payment_id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "reason": "requested_by_customer",
        "metadata": {
            "refund_id": str(refund.pk),
            "reference": refund.request.reference,
            "installation": settings().installation,
        },
    }


def load_command(stored: Mapping[str, object]) -> RefundCommand:
    """Return the command that was frozen."""
    metadata = stored["metadata"]
    assert isinstance(metadata, Mapping)
    return RefundCommand(
        refund_id=UUID(str(stored["refund_id"])),
        idempotency_key=str(stored["idempotency_key"]),
        gateway_payment_id=str(stored["gateway_payment_id"]),
        amount=Money(int(str(stored["amount_minor"])), str(stored["currency"])),
        reason=str(stored["reason"]),
        metadata={str(key): str(value) for key, value in metadata.items()},
    )


def call_gateway(gateway: Gateway, purpose: str, command: RefundCommand, gateway_refund_id: str) -> GatewayAnswer | None:
    """Make the call, with no transaction open; None means that a complete listing does not have our refund."""
    refuse_inside_transaction()
    try:
        if purpose == AttemptPurpose.RETRIEVE:
            return gateway.retrieve(gateway_refund_id)
        if purpose == AttemptPurpose.LIST:
            return gateway.find(gateway_payment_id=command.gateway_payment_id, refund_id=command.refund_id)
        return gateway.refund(command)
    except Exception as error:  # a defect in an adapter must read as "nobody knows", never as "failed"
        logger.exception("gateway %s broke during %s", gateway.kind, purpose)
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="adapter_error", message=type(error).__name__)


def _record_absent(claim: Claim, call: Call) -> None:
    """The gateway does not list it. Absence alone proves nothing yet, so it stays unknown and a person is told."""
    with transaction.atomic(durable=True):
        now = clock.database_now()
        Attempt.objects.filter(pk=call.attempt_id).update(ended_at=now, answer="absent")
        refund = Refund.objects.select_for_update(of=("self",)).select_related("request").get(pk=claim.refund_id)
        if refund.fence != claim.fence:
            return
        if not refund.needs_person:
            refund.needs_person = "not in the gateway's listing"
            record(events.refund_event(events.REFUND_ALERT, refund, SYSTEM, why=refund.needs_person), now=now)
        refund.lease_until, refund.due_at = None, now + timedelta(seconds=ABSENT_CHECK_SECONDS)
        refund.save(update_fields=["needs_person", "lease_until", "due_at"])


def _end_abandoned(claim: Claim) -> None:
    """End calls on the claim's payment whose worker died after somebody else had told how their refund ended.

    Such a refund is never claimed again, so nobody else would end the call, and it would block the payment for good.
    """
    now = clock.database_now()
    payment = Refund.objects.filter(pk=claim.refund_id).values("payment")
    settled = Refund.objects.filter(payment__in=payment, lease_until__lt=now).exclude(state__in=HELD)
    Attempt.objects.filter(refund__in=settled, ended_at__isnull=True).update(
        ended_at=now, answer=AnswerKind.MAYBE_EXECUTED, code="lease_expired"
    )


def _give_back(claim: Claim, *, seconds: float) -> None:
    """Return a claim that made no call."""
    due_at = clock.database_now() + timedelta(seconds=seconds)
    Refund.objects.filter(pk=claim.refund_id, fence=claim.fence).update(
        lease_until=None,
        due_at=due_at,
        state=Case(
            When(state=RefundState.PROCESSING, maybe_executed=False, then=Value(RefundState.RESERVED.value)),
            When(state=RefundState.PROCESSING, then=Value(RefundState.UNKNOWN.value)),
            default=F("state"),
        ),
    )
