"""The events of requests and refunds; their payloads hold ids and values, never personal data."""

from __future__ import annotations

from refund_plugin.actor import Actor
from refund_plugin.events.services import DomainEvent
from refund_plugin.refunds.models import Refund, RefundRequest

REQUEST_SUBMITTED = "request_submitted"
REQUEST_APPROVED = "request_approved"
REQUEST_DECLINED = "request_declined"
REQUEST_IN_REVIEW = "request_in_review"
REQUEST_CANCELED = "request_canceled"
EVIDENCE_ASKED = "evidence_asked"
EVIDENCE_GIVEN = "evidence_given"
REFUND_RETRIED = "refund_retried"
REFUND_UNKNOWN = "refund_unknown"
REFUND_PENDING = "refund_pending"
REFUND_SUCCEEDED = "refund_succeeded"
REFUND_FAILED = "refund_failed"
REFUND_CANCELED = "refund_canceled"
REFUND_ALERT = "refund_alert"


def request_event(kind: str, request: RefundRequest, actor: Actor, **payload: object) -> DomainEvent:
    """Return an event about a request."""
    return DomainEvent(kind=kind, store_id=request.store_id, case=request.pk, actor=actor, payload=payload)


def refund_event(kind: str, refund: Refund, actor: Actor, **payload: object) -> DomainEvent:
    """Return an event about one refund; the refund's request is loaded with it."""
    data = {"refund": str(refund.pk), "amount_minor": refund.amount_minor, "currency": refund.currency, **payload}
    return DomainEvent(kind=kind, store_id=refund.request.store_id, case=refund.request_id, actor=actor, payload=data)
