"""Tell the gateway's own invoices what was refunded: a credit note that links the refund and moves no money.

It is recorded after the refund has succeeded, and tried again until it is; the state of the money never depends on it. If the
bank returns the money, the note is voided, where the gateway can: Stripe voids none of a paid invoice. One that stands then belongs
to the refund's successor, and staff are told, because without one the invoice says less than was paid.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from refund_plugin import clock
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.events.models import Event
from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import SlotKind
from refund_plugin.gateways.sales import CreditNote
from refund_plugin.gateways.services import gateway_for
from refund_plugin.refunds import events
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Operation, Refund
from refund_plugin.refunds.states import OVER, RefundState
from refund_plugin.refunds.subscriptions.models import InvoiceNote

NAME = "invoice_notes"
KINDS = (events.REFUND_FAILED, events.REFUND_CANCELED)
LEASE_SECONDS = 60
RETRY_SECONDS = (5, 60, 600, 3600, 6 * 3600)
MAX_FAILURES = 20
BATCH = 100


def record_notes(now: datetime) -> int:
    """Record what is due at the gateways; return how many were dealt with. No transaction may be open.

    Args:
        now: UTC.
    """
    _follow_successors()
    _take_over_from_failed()
    done = 0
    while done < BATCH and (note := _claim()) is not None:
        _keep(note, _ask(note), now=now)
        done += 1
    return done


def on_event(event: Event) -> None:
    """A refund failed: its note, if one was recorded, is voided; may be called again for the same event."""
    refund = event.payload.get("refund")
    recorded = InvoiceNote.objects.filter(refund=refund, due_at__isnull=True).exclude(gateway_note_id="")
    recorded.filter(refund__state__in=list(OVER)).update(due_at=Now(), failures=0)


def _follow_successors() -> None:
    """A refund that ended without money passes its note on to its successor, if it has one."""
    over = InvoiceNote.objects.filter(due_at__isnull=False, gateway_note_id="", refund__state__in=list(OVER), refund__owed=False)
    for note in over.select_related("refund"):
        with transaction.atomic():
            successor = Refund.objects.filter(supersedes=note.refund).first()
            if successor is not None:
                InvoiceNote.objects.get_or_create(refund=successor, defaults={"due_at": Now()})
            note.delete()


def _take_over_from_failed() -> None:
    """The successor of a refund that failed after its note was recorded gets a note too: that one, if it was let stand."""
    successors = Refund.objects.filter(supersedes__invoice_note__due_at__isnull=True, invoice_note__isnull=True, operation=Operation.REFUND)
    for successor in successors.filter(supersedes__invoice_note__isnull=False).select_related("supersedes__invoice_note"):
        earlier = successor.supersedes.invoice_note if successor.supersedes is not None else None
        if earlier is None:
            continue
        with transaction.atomic():
            standing = {"gateway_note_id": earlier.gateway_note_id, "number": earlier.number}
            its = standing if earlier.gateway_note_id else {"due_at": Now()}
            InvoiceNote.objects.get_or_create(refund=successor, defaults=its)
            InvoiceNote.objects.filter(pk=earlier.pk).update(gateway_note_id="", number="")


def _claim() -> InvoiceNote | None:
    with transaction.atomic(durable=True):
        now = clock.database_now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        to_record = Q(gateway_note_id="", refund__state=RefundState.SUCCEEDED)
        to_void = ~Q(gateway_note_id="") & Q(refund__state__in=list(OVER))
        rows = InvoiceNote.objects.filter(free, to_record | to_void, due_at__lte=now, refund__account__on_hold=False)
        if connection.features.has_select_for_update_skip_locked:
            rows = for_update(rows, skip_locked=True)
        note = rows.select_related("refund__payment", "refund__account").order_by("due_at", "pk").first()
        if note is not None:
            note.lease_until = now + timedelta(seconds=LEASE_SECONDS)
            note.save(update_fields=["lease_until"])
    return note


def _ask(note: InvoiceNote) -> CreditNote | GatewayAnswer:
    refund = note.refund
    try:
        gateway = gateway_for(refund.account)
    except GatewayMisconfigured as error:
        return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="misconfigured", message=str(error))
    [delay] = take_slots(refund.account, SlotKind.SEND, 1)
    time.sleep(delay)
    if note.gateway_note_id:
        return gateway.void_credit_note(note.gateway_note_id, idempotency_key=f"void-{note.refund_id}-{note.failures}")
    return gateway.record_credit_note(
        invoice_id=refund.payment.invoice_id,
        gateway_refund_id=refund.gateway_refund_id,
        amount=refund.amount,
        idempotency_key=f"note-{refund.pk}",
    )


def _keep(note: InvoiceNote, answer: CreditNote | GatewayAnswer, *, now: datetime) -> None:
    note.lease_until = None
    if isinstance(answer, CreditNote):
        note.gateway_note_id, note.number, note.due_at, note.last_error = answer.credit_note_id, answer.number[:80], None, ""
        note.failures = 0
    elif answer.kind == AnswerKind.SUCCEEDED:
        note.gateway_note_id, note.due_at, note.last_error = "", None, f"voided {note.gateway_note_id}"[:500]
    else:
        _note_failure(note, answer, now=now)
    note.save(update_fields=["gateway_note_id", "number", "failures", "last_error", "due_at", "lease_until"])
    if note.gateway_note_id and note.due_at is None and not note.last_error:
        _void_if_failed_meanwhile(note)


def _void_if_failed_meanwhile(note: InvoiceNote) -> None:
    """The event of a refund that failed while its note was being recorded found none to void."""
    InvoiceNote.objects.filter(pk=note.pk, due_at__isnull=True, refund__state__in=list(OVER)).update(due_at=Now())


def _note_failure(note: InvoiceNote, answer: GatewayAnswer, *, now: datetime) -> None:
    note.failures += 1
    note.last_error = f"{answer.code}: {answer.message}"[:500]
    note.due_at = clock.database_now() + timedelta(seconds=RETRY_SECONDS[min(note.failures, len(RETRY_SECONDS)) - 1])
    if answer.kind != AnswerKind.DEFINITIVE_NO and note.failures < MAX_FAILURES:
        return
    note.due_at = None
    invoice_id = note.refund.payment.invoice_id
    if note.gateway_note_id:
        kind = "invoice_note_stands"
        why = (
            f"the refund came back, and the credit note {note.number} on the invoice {invoice_id} could not be voided: {note.last_error}."
            " It is right again once the refund is paid another way; if it is given up, correct the invoice at the gateway"
        )
    else:
        kind, why = "invoice_note_failed", f"no credit note could be recorded on the invoice {invoice_id}: {note.last_error}"
    raise_alert(
        kind=kind, key=f"{kind.replace('_failed', '')}:{note.pk}", why=why, store_id=note.refund.store_id, refund=note.refund, now=now
    )
