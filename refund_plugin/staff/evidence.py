"""What a bank is shown in a dispute: the terms, the purchase, its use, and everything that was said, in one file to hand in."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Prefetch
from django.template.loader import render_to_string

from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.orders.access import correction_of, facts_of_use
from refund_plugin.orders.models import Purchase
from refund_plugin.policies.models import PolicyText, PolicyVersion
from refund_plugin.policies.queries import load_version, version_in_force
from refund_plugin.refunds.models import Dispute, Refund, RefundRequest
from refund_plugin.refunds.secrecy import without_secrets
from refund_plugin.refunds.timeline import payment_name, timeline
from refund_plugin.rules import describe_clause


def gather_evidence(dispute: Dispute, *, now: datetime) -> dict[str, Any]:
    """Return plain data: texts are in the present language, times carry their offset, amounts have minor units and a currency."""
    purchase = (
        Purchase.objects.select_related("customer", "store").prefetch_related("lines", "payments").get(pk=dispute.payment.purchase_id)
    )
    formatter = formatter_for(timezone=purchase.store.timezone)
    return {
        "dispute": {
            "id": dispute.gateway_dispute_id,
            "kind": dispute.get_kind_display(),
            "reason": dispute.reason,
            "amount": _money(dispute.amount, formatter),
            "opened_at": formatter.local(dispute.opened_at),
            "evidence_due": formatter.local(dispute.evidence_due) if dispute.evidence_due else None,
            "payment": dispute.payment.gateway_payment_id,
        },
        "purchase": _purchase(purchase, formatter),
        "policy": _policy(purchase, formatter),
        "access": _access(purchase, formatter),
        "requests": [_request(request, formatter) for request in _requests(purchase)],
        "refunds": [_refund(refund, formatter) for refund in Refund.objects.filter(payment__purchase=purchase).order_by("created_at")],
        "written_at": formatter.local(now),
    }


def evidence_zip(evidence: dict[str, Any]) -> bytes:
    """Return an archive of the same evidence for people (HTML, without anything to load) and for programs (JSON)."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("evidence.html", render_to_string("refund_plugin/staff/evidence.html", {"evidence": evidence}))
        archive.writestr("evidence.json", json.dumps(evidence, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2))
    return written.getvalue()


def _money(amount: Money, formatter: Formatter) -> dict[str, Any]:
    return {"minor": amount.minor, "currency": amount.currency, "text": formatter.money(amount)}


def _purchase(purchase: Purchase, formatter: Formatter) -> dict[str, Any]:
    def money(minor: int) -> dict[str, Any]:
        return _money(Money(minor, purchase.currency), formatter)

    return {
        "store": purchase.store.name,
        "number": purchase.number,
        "bought_at": formatter.local(purchase.purchased_at),
        "customer": {"name": purchase.customer.name, "email": purchase.customer.email, "signed_in": purchase.user_id is not None},
        "country": purchase.country,
        "lines": [
            {"sku": line.sku, "name": line.name, "quantity": line.quantity, "paid": money(line.paid_minor), "tax": money(line.tax_minor)}
            for line in purchase.lines.all()
        ],
        "payments": [
            {
                "id": payment.gateway_payment_id,
                "name": payment_name(payment, for_staff=True),
                "captured": money(payment.captured_minor),
                "captured_at": formatter.local(payment.captured_at) if payment.captured_at else None,
            }
            for payment in purchase.payments.all()
        ],
        "consent": purchase.metadata.get("consent"),
    }


def _policy(purchase: Purchase, formatter: Formatter) -> dict[str, Any] | None:
    """Return the terms in force when it was bought, word by word; None when there were none."""
    found = version_in_force(store_id=purchase.store_id, at=purchase.purchased_at)
    if found is None:
        return None
    version = PolicyVersion.objects.select_related("policy").get(pk=found.pk)
    clauses = [describe_clause(clause, formatter) for clause in load_version(version).clauses]
    return {
        "title": version.policy.title,
        "version": version.number,
        "in_force_from": formatter.local(version.effective_from),
        "hash": version.hash,
        "clauses": [{"title": clause.title, "text": clause.summary} for clause in clauses],
        "texts": [{"language": text.locale, "texts": text.texts} for text in PolicyText.objects.filter(version=version).order_by("pk")],
        "document": version.document,
    }


def _access(purchase: Purchase, formatter: Formatter) -> list[dict[str, Any]]:
    used = facts_of_use(line.pk for line in purchase.lines.all())
    return [
        {
            "at": formatter.local(event.occurred_at),
            "line": event.line.name,
            "what": event.get_kind_display(),
            "amount": event.amount,
            "told_by": event.source,
            "does_not_count": correction.get_reason_display() if (correction := correction_of(event)) else "",
        }
        for event in used
    ]


def _requests(purchase: Purchase) -> list[RefundRequest]:
    refunds = Refund.objects.select_related("payment").order_by("created_at")
    found = purchase.refund_requests.order_by("created_at").select_related("purchase", "store", "customer")
    return list(found.prefetch_related("decisions", "messages", "incentives", Prefetch("refunds", refunds)))


def _request(request: RefundRequest, formatter: Formatter) -> dict[str, Any]:
    return {
        "reference": request.reference,
        "asked_at": formatter.local(request.created_at),
        "reason": request.get_reason_display(),
        "message": request.message,
        "state": request.get_state_display(),
        "steps": [
            {
                "at": formatter.local(step.at) if step.at else None,
                "title": step.title,
                "detail": without_secrets(step.detail, request),
                "amount": _money(step.amount, formatter) if step.amount else None,
            }
            for step in timeline(request, for_staff=False).steps
        ],
        "messages": [
            {"sent_at": formatter.local(mail.sent_at), "subject": mail.subject, "text": mail.shown_text}
            for mail in request.messages.all()
            if mail.sent_at
        ],
    }


def _refund(refund: Refund, formatter: Formatter) -> dict[str, Any]:
    return {
        "id": refund.gateway_refund_id,
        "amount": _money(refund.amount, formatter),
        "state": refund.get_state_display(),
        "origin": refund.get_origin_display(),
        "made_at": formatter.local(refund.created_at),
        "ended_at": formatter.local(refund.settled_at) if refund.settled_at else None,
        "trace_number": refund.trace_reference,
    }
