"""End a subscription whose remaining term is given back, before the money goes, so that it cannot renew behind the refund.

The refund waits (`waits_for`) from the request on, at the amount that was quoted. The gateway is asked outside any transaction, again
and again, until its answer or its webhook says that the subscription has ended. A refund that is taken back before ends nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.events import doorbell
from refund_plugin.events.services import record
from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.gateways.services import gateway_for, hold_account
from refund_plugin.money import share_of
from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Decision, Operation, Refund, WaitsFor
from refund_plugin.refunds.outcomes import NOT_ENDED, STOPPING
from refund_plugin.refunds.reserve import LineGrant
from refund_plugin.refunds.states import GONE, HELD, RefundState
from refund_plugin.refunds.subscriptions.models import EndState, InvoiceNote, SubscriptionEnd

logger = logging.getLogger(__name__)

END = "refund_plugin.end_subscriptions"  # the task that workers are woken for
LEASE_SECONDS = 60
RETRY_SECONDS = (2, 10, 60, 300, 900)
ATTEMPTS_FOR_ALERT = 6
BATCH = 100
RACES = 5


def do_follow(refunds: Sequence[Refund], grants: Sequence[LineGrant], decision: Decision, *, now: datetime) -> None:
    """Let refunds wait for the end of their subscription, if they give back its term, and note whose invoices want a credit note.

    Called in the transaction that reserved them; the purchase is locked.

    Args:
        now: UTC; the moment of the quote.
    """
    notes = [refund for refund in refunds if refund.payment.invoice_id and refund.operation == Operation.REFUND]
    InvoiceNote.objects.bulk_create(InvoiceNote(refund=refund, due_at=Now()) for refund in notes)
    subscribed = [refund for refund in refunds if refund.payment.subscription_id]
    if not subscribed or not _give_back_the_term(grants, decision, now):
        return
    payments = {(refund.account_id, refund.payment.subscription_id): refund.payment for refund in subscribed}
    for (account_id, subscription_id), payment in payments.items():
        known = SubscriptionEnd.objects.filter(account=account_id, subscription_id=subscription_id)
        if known.filter(state=EndState.ENDED).exists():
            continue
        waiting = [refund.pk for refund in subscribed if refund.payment.subscription_id == subscription_id]
        Refund.objects.filter(pk__in=waiting).update(waits_for=WaitsFor.SUBSCRIPTION)
        _want_end(payment, now=now)
        doorbell.ring(END)


def _want_end(payment: Payment, *, now: datetime) -> None:
    """Let a subscription be ended; two purchases may wait for one end.

    The row is touched after it was inserted or found: then nobody can drop it any more before our refunds can be seen. Had
    somebody dropped it in the same moment, there would be none to touch, and it is wanted anew.
    """
    wanted = SubscriptionEnd.objects.filter(account=payment.account_id, subscription_id=payment.subscription_id, state=EndState.WANTED)
    # what is charged later is a renewal that slipped in: a clock of ours that is ahead must not hide one
    quoted_at = min(now, clock.database_now())
    for _race in range(RACES):
        end = SubscriptionEnd(
            account_id=payment.account_id, subscription_id=payment.subscription_id, payment=payment, quoted_at=quoted_at, due_at=Now()
        )
        SubscriptionEnd.objects.bulk_create([end], ignore_conflicts=True)
        if wanted.update(due_at=Now()):
            return
    raise RuntimeError(f"the end of {payment.subscription_id} was dropped {RACES} times while it was wanted")


def _give_back_the_term(grants: Sequence[LineGrant], decision: Decision, now: datetime) -> bool:
    """Tell whether everything of the purchase that still runs is given back.

    A part of its units, or less than the rest of the term by a person's own choice, is a favour that ends nothing.
    """
    amounts = {grant.line.pk: grant for grant in grants}
    purchase_id = grants[0].line.purchase_id
    running = list(PurchaseLine.objects.filter(purchase=purchase_id, term_start__isnull=False, term_end__gt=now))
    if not any(line.pk in amounts for line in running) or any(line.quantity_left and line.left_minor for line in running):
        return False
    return not decision.is_override or all(
        grant.amount_minor >= _rest_minor(line, grant.quantity, now) for line in running if (grant := amounts.get(line.pk)) is not None
    )


def _rest_minor(line: PurchaseLine, quantity: int, now: datetime) -> int:
    """Return what the whole days that are left of a line's term cost, in minor units."""
    assert line.term_start is not None and line.term_end is not None
    day = timedelta(days=1)
    days, left = max(1, -(-(line.term_end - line.term_start) // day)), (line.term_end - max(now, line.term_start)) // day
    return share_of(line.paid_minor, left * quantity, days * line.quantity)


def drive_ends(now: datetime) -> int:
    """Ask the gateways to end what is due; return how many were dealt with. No transaction may be open.

    Args:
        now: UTC.
    """
    done = 0
    while done < BATCH and (end := _claim(now)) is not None:
        if end.state == EndState.WANTED:
            _record(end, _ask(end), now=now)
        done += 1
    return done


def _claim(now: datetime) -> SubscriptionEnd | None:
    """Lease the next one, and its refunds with it, so that they cannot be taken back while the gateway is asked."""
    with transaction.atomic(durable=True):
        database_now = clock.database_now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=database_now)
        rows = SubscriptionEnd.objects.filter(free, state=EndState.WANTED, due_at__lte=database_now, account__on_hold=False)
        rows = rows.order_by("due_at", "pk")
        if connection.features.has_select_for_update_skip_locked:
            rows = for_update(rows, skip_locked=True)
        end = rows.select_related("account").first()
        if end is None:
            return None
        until = database_now + timedelta(seconds=LEASE_SECONDS)
        end.attempts, end.fence, end.lease_until = end.attempts + 1, end.fence + 1, until
        reserved = _waiting(end).filter(state=RefundState.RESERVED).update(lease_until=until)
        if not reserved and not _waiting(end).filter(state__in=HELD | GONE).exists():
            end.state, end.lease_until = EndState.DROPPED, None
        end.save(update_fields=["attempts", "fence", "lease_until", "state"])
    return end


def _waiting(end: SubscriptionEnd) -> QuerySet[Refund]:
    # no join, so that an update looks at a row's state again when somebody else has just changed it
    payments = Payment.objects.filter(account=end.account_id, subscription_id=end.subscription_id).values("pk")
    waiting = Q(waits_for=WaitsFor.SUBSCRIPTION) | Q(waits_for=WaitsFor.PERSON, needs_person=NOT_ENDED)
    return Refund.objects.filter(waiting, payment__in=payments)


def _ask(end: SubscriptionEnd) -> GatewayAnswer:
    try:
        gateway = gateway_for(end.account)
    except GatewayMisconfigured as error:
        return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="misconfigured", message=str(error))
    [delay] = take_slots(end.account, SlotKind.SEND, 1)
    time.sleep(delay)
    # ending twice is ending once, so each attempt has a key of its own: an error that the gateway keeps under a key would stay
    return gateway.end_subscription(end.subscription_id, idempotency_key=f"end-{end.pk}-{end.attempts}")


def _record(asked: SubscriptionEnd, answer: GatewayAnswer, *, now: datetime) -> None:
    if answer.hold:
        hold_account(asked.account, reason=answer.message or answer.code)
    with transaction.atomic(durable=True):
        end = for_update(SubscriptionEnd.objects.select_related("account")).get(pk=asked.pk)
        if end.state != EndState.WANTED:
            return  # a webhook was faster
        if answer.kind == AnswerKind.SUCCEEDED:
            _do_confirm(end, now=now)
        elif end.fence == asked.fence:
            _do_note_failure(end, answer, now=now)


def _do_confirm(end: SubscriptionEnd, *, now: datetime) -> None:
    end.state, end.ended_at, end.lease_until, end.last_error = EndState.ENDED, now, None, ""
    end.save(update_fields=["state", "ended_at", "lease_until", "last_error"])
    held = _waiting(end).filter(state=RefundState.RESERVED)
    record(*(events.refund_event(events.SUBSCRIPTION_ENDED, refund, SYSTEM) for refund in held), now=now)
    # what was stopped meanwhile waits for a person now: the end is not what it lacks any more
    stopped = Q(needs_person__in=STOPPING)
    _waiting(end).update(
        waits_for=Case(When(stopped, then=Value(WaitsFor.PERSON.value)), default=Value(WaitsFor.NOTHING.value)),
        needs_person=Case(When(stopped, then=F("needs_person")), default=Value("")),
        due_at=Now(),
        lease_until=None,
    )
    doorbell.ring(events.DRIVE)


def _do_note_failure(end: SubscriptionEnd, answer: GatewayAnswer, *, now: datetime) -> None:
    end.last_error = f"{answer.code}: {answer.message}"[:500]
    end.lease_until = None
    end.due_at = clock.database_now() + timedelta(seconds=RETRY_SECONDS[min(end.attempts, len(RETRY_SECONDS)) - 1])
    refused = answer.kind == AnswerKind.DEFINITIVE_NO
    if refused:
        end.state = EndState.REFUSED
    held = _waiting(end).filter(state=RefundState.RESERVED)
    held.update(lease_until=None)
    if refused:
        held.exclude(needs_person__in=STOPPING).update(waits_for=WaitsFor.PERSON, needs_person=NOT_ENDED)
    end.save(update_fields=["state", "last_error", "lease_until", "due_at"])
    if refused or end.attempts >= ATTEMPTS_FOR_ALERT:
        purchase = end.payment.purchase
        raise_alert(
            kind="subscription_not_ended",
            key=f"subscription:{end.pk}",
            why=f"{end.subscription_id} of order {purchase.number} could not be ended, and its refund waits: {end.last_error}",
            store_id=purchase.store_id,
            payment=end.payment,
            account=end.account,
            now=now,
        )


def is_refused(payment: Payment) -> bool:
    """Tell whether the gateway would not end a payment's subscription, and nobody has tried or confirmed since."""
    ends = SubscriptionEnd.objects.filter(account=payment.account_id, subscription_id=payment.subscription_id)
    refused = ends.filter(state=EndState.REFUSED).exists()
    return bool(payment.subscription_id) and refused and not ends.filter(state__in=[EndState.WANTED, EndState.ENDED]).exists()


def confirm_ended(*, account: GatewayAccount, subscription_id: str, now: datetime) -> bool:
    """Record that the gateway says a subscription has ended, whoever ended it; return whether a refund waited for that."""
    with transaction.atomic(durable=True):
        ends = SubscriptionEnd.objects.filter(account=account, subscription_id=subscription_id)
        rows = for_update(ends.order_by("pk")).filter(state__in=[EndState.WANTED, EndState.REFUSED])
        waiting = list(rows.select_related("account"))
        for end in waiting:
            _do_confirm(end, now=now)
    return bool(waiting)
