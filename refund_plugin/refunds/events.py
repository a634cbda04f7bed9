"""The events of requests and refunds; their payloads hold ids and values, never personal data."""

from __future__ import annotations

from refund_plugin.actor import Actor
from refund_plugin.events.services import DomainEvent
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.refunds.models import Refund, RefundRequest

DRIVE = "refund_plugin.drive_refunds"  # the task that workers are woken for

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
REFUND_EXTERNAL = "refund_external"
REFUND_ALLOCATED = "refund_allocated"
REFUND_MANUAL_CLAIMED = "refund_manual_claimed"
REFUND_MANUAL_PAID = "refund_manual_paid"
REFUND_RELEASED = "refund_released"
REFUND_GIVEN_UP = "refund_given_up"
REFUND_LOOKED_AT = "refund_looked_at"
SUBSCRIPTION_ENDED = "subscription_ended"  # a refund that waited for it may go now
DISPUTE_OPENED = "dispute_opened"
DISPUTE_WON = "dispute_won"
DISPUTE_LOST = "dispute_lost"
ALERT_RAISED = "alert_raised"
INCENTIVE_ISSUED = "incentive_issued"
INCENTIVE_CANCELED = "incentive_canceled"


def request_event(kind: str, request: RefundRequest, actor: Actor, **payload: object) -> DomainEvent:
    """Return an event about a request."""
    return DomainEvent(kind=kind, store_id=request.store_id, case=request.pk, actor=actor, payload=payload)


def refund_event(kind: str, refund: Refund, actor: Actor, **payload: object) -> DomainEvent:
    """Return an event about one refund."""
    data = {"refund": str(refund.pk), "amount_minor": refund.amount_minor, "currency": refund.currency, **payload}
    return DomainEvent(kind=kind, store_id=refund.store_id, case=refund.request_id, actor=actor, payload=data)


def incentive_event(kind: str, incentive: Incentive, actor: Actor) -> DomainEvent:
    """Return an event about what a customer is given besides refunds; never with its code."""
    return DomainEvent(
        kind=kind, store_id=incentive.store_id, case=incentive.request_id, actor=actor, payload={"incentive": str(incentive.pk)}
    )
