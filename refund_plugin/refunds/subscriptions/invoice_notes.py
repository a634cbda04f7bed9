"""Tell the gateway's own invoices what was refunded: a credit note that links the refund and moves no money.

It is recorded after the refund has succeeded, and again until it is; the state of the money never depends on it.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from refund_plugin import clock
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import SlotKind
from refund_plugin.gateways.sales import CreditNote
from refund_plugin.gateways.services import gateway_for
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.locks import for_update
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import OVER, RefundState
from refund_plugin.refunds.subscriptions.models import InvoiceNote

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
    done = 0
    while done < BATCH and (note := _claim()) is not None:
        _keep(note, _ask(note), now=now)
        done += 1
    return done


def _follow_successors() -> None:
    """A refund that ended without money passes its note on to its successor, if it has one."""
    over = InvoiceNote.objects.filter(due_at__isnull=False, refund__state__in=list(OVER), refund__owed=False)
    for note in over.select_related("refund"):
        with transaction.atomic():
            successor = Refund.objects.filter(supersedes=note.refund).first()
            if successor is not None:
                InvoiceNote.objects.get_or_create(refund=successor, defaults={"due_at": Now()})
            note.delete()


def _claim() -> InvoiceNote | None:
    with transaction.atomic(durable=True):
        now = clock.database_now()
        free = Q(lease_until__isnull=True) | Q(lease_until__lt=now)
        rows = InvoiceNote.objects.filter(free, due_at__lte=now, refund__state=RefundState.SUCCEEDED, refund__account__on_hold=False)
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
    else:
        note.failures += 1
        note.last_error = f"{answer.code}: {answer.message}"[:500]
        note.due_at = clock.database_now() + timedelta(seconds=RETRY_SECONDS[min(note.failures, len(RETRY_SECONDS)) - 1])
        if answer.kind == AnswerKind.DEFINITIVE_NO or note.failures >= MAX_FAILURES:
            note.due_at = None
            raise_alert(
                kind="invoice_note_failed",
                key=f"invoice_note:{note.pk}",
                why=f"no credit note could be recorded on the invoice {note.refund.payment.invoice_id}: {note.last_error}",
                store_id=note.refund.store_id,
                refund=note.refund,
                now=now,
            )
    note.save(update_fields=["gateway_note_id", "number", "failures", "last_error", "due_at", "lease_until"])
