"""The same work as it is usually written: one task per refund, its rows read and saved one by one."""

from __future__ import annotations

from django.db import transaction

from refund_plugin import clock
from refund_plugin.actor import Actor, ActorKind
from refund_plugin.events.services import record
from refund_plugin.gateways.services import gateway_for
from refund_plugin.refunds import events
from refund_plugin.refunds.execute import freeze_command, load_command
from refund_plugin.refunds.ledger.services import changed, post
from refund_plugin.refunds.models import Attempt, AttemptPurpose, Refund
from refund_plugin.refunds.states import RefundState


def refund_naively(refund_id: str) -> None:
    """Send one refund and record that it succeeded, with every row that the engine writes for it."""
    refund = Refund.objects.get(pk=refund_id)
    refund.command = freeze_command(refund)
    refund.attempt_count += 1
    refund.first_sent_at = clock.now()
    refund.state = RefundState.PROCESSING
    refund.save()
    attempt = Attempt.objects.create(
        refund=refund,
        payment=refund.payment,
        number=refund.attempt_count,
        fence=refund.fence,
        purpose=AttemptPurpose.SEND,
        started_at=clock.now(),
    )
    answer = gateway_for(refund.account).refund(load_command(refund.command))
    with transaction.atomic():
        _succeed(refund, attempt, answer.gateway_refund_id)


def _succeed(refund: Refund, attempt: Attempt, gateway_refund_id: str) -> None:
    now = clock.now()
    attempt.ended_at, attempt.answer = now, "succeeded"
    attempt.save()
    refund.state, refund.gateway_refund_id, refund.settled_at = RefundState.SUCCEEDED, gateway_refund_id, now
    refund.save()
    payment = refund.payment
    payment.held_minor -= refund.amount_minor
    payment.gone_minor += refund.amount_minor
    payment.save()
    for allocation in refund.allocations.all():
        line = allocation.line
        line.held_minor -= allocation.gross_minor
        line.gone_minor += allocation.gross_minor
        line.held_quantity -= allocation.quantity
        line.gone_quantity += allocation.quantity
        line.save()
    movement = changed(refund=refund, before=RefundState.PROCESSING, after=RefundState.SUCCEEDED)
    assert movement is not None
    post(movement, now=now)  # the database takes a movement as a whole only
    told = events.refund_event(events.REFUND_SUCCEEDED, refund, Actor(kind=ActorKind.GATEWAY, label="gateway"), was="processing")
    record(told, now=now)
