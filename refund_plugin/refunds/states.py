"""The states and the one table of transitions of requests and refunds (source: the domain's transition table)."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class RequestState(models.TextChoices):
    """Where a refund request stands; the money's state is derived beside it (`Settlement`)."""

    SUBMITTED = "submitted", _("submitted")
    NEEDS_EVIDENCE = "needs_evidence", _("waiting for the customer")
    IN_REVIEW = "in_review", _("in review")
    APPROVED = "approved", _("approved")
    DECLINED = "declined", _("declined")
    CANCELED = "canceled", _("canceled")


REQUEST_TRANSITIONS: dict[str, frozenset[str]] = {
    RequestState.SUBMITTED: frozenset({RequestState.NEEDS_EVIDENCE, RequestState.IN_REVIEW, RequestState.APPROVED, RequestState.DECLINED}),
    RequestState.NEEDS_EVIDENCE: frozenset({RequestState.IN_REVIEW, RequestState.APPROVED, RequestState.DECLINED, RequestState.CANCELED}),
    RequestState.IN_REVIEW: frozenset({RequestState.NEEDS_EVIDENCE, RequestState.APPROVED, RequestState.DECLINED, RequestState.CANCELED}),
    RequestState.APPROVED: frozenset({RequestState.CANCELED}),  # only while nothing was sent
    RequestState.DECLINED: frozenset(),
    RequestState.CANCELED: frozenset(),
}
OPEN_FOR_STAFF = frozenset({RequestState.IN_REVIEW, RequestState.NEEDS_EVIDENCE})


class Settlement(StrEnum):
    """What has become of the money of an approved request, derived from its refunds."""

    NONE = "none"
    IN_PROGRESS = "in_progress"
    PARTIAL = "partial"
    COMPLETE = "complete"
    NEEDS_PERSON = "needs_person"


class RefundState(models.TextChoices):
    """Where one movement of money stands."""

    RESERVED = "reserved", _("reserved")
    PROCESSING = "processing", _("being sent")
    UNKNOWN = "unknown", _("sent, answer not yet known")
    PENDING = "pending", _("with the bank")
    SUCCEEDED = "succeeded", _("refunded")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled")


class RefundEvent(StrEnum):
    """What may happen to a refund: the columns of the table."""

    CLAIMED = "claimed"
    NOT_EXECUTED = "not_executed"
    MAYBE_EXECUTED = "maybe_executed"
    DEFINITIVE_NO = "definitive_no"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    CANCEL = "cancel"  # by the customer or staff, before anything was sent


REFUND_TRANSITIONS: dict[tuple[str, RefundEvent], str] = {
    (RefundState.RESERVED, RefundEvent.CLAIMED): RefundState.PROCESSING,
    (RefundState.RESERVED, RefundEvent.PENDING): RefundState.PENDING,
    (RefundState.RESERVED, RefundEvent.SUCCEEDED): RefundState.SUCCEEDED,
    (RefundState.RESERVED, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.RESERVED, RefundEvent.CANCEL): RefundState.CANCELED,
    (RefundState.PROCESSING, RefundEvent.NOT_EXECUTED): RefundState.RESERVED,  # unless an earlier attempt was a "maybe": then unknown
    (RefundState.PROCESSING, RefundEvent.MAYBE_EXECUTED): RefundState.UNKNOWN,
    (RefundState.PROCESSING, RefundEvent.DEFINITIVE_NO): RefundState.FAILED,
    (RefundState.PROCESSING, RefundEvent.PENDING): RefundState.PENDING,
    (RefundState.PROCESSING, RefundEvent.SUCCEEDED): RefundState.SUCCEEDED,
    (RefundState.PROCESSING, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.UNKNOWN, RefundEvent.CLAIMED): RefundState.UNKNOWN,
    (RefundState.UNKNOWN, RefundEvent.NOT_EXECUTED): RefundState.UNKNOWN,
    (RefundState.UNKNOWN, RefundEvent.MAYBE_EXECUTED): RefundState.UNKNOWN,
    (RefundState.UNKNOWN, RefundEvent.DEFINITIVE_NO): RefundState.FAILED,  # only as the answer to a replay of this very key
    (RefundState.UNKNOWN, RefundEvent.PENDING): RefundState.PENDING,
    (RefundState.UNKNOWN, RefundEvent.SUCCEEDED): RefundState.SUCCEEDED,
    (RefundState.UNKNOWN, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.PENDING, RefundEvent.CLAIMED): RefundState.PENDING,  # to ask the gateway how it stands; nothing is sent
    (RefundState.PENDING, RefundEvent.SUCCEEDED): RefundState.SUCCEEDED,
    (RefundState.PENDING, RefundEvent.FAILED): RefundState.FAILED,
    (RefundState.PENDING, RefundEvent.CANCELED): RefundState.CANCELED,
    (RefundState.SUCCEEDED, RefundEvent.FAILED): RefundState.FAILED,  # the bank returned the money
    (RefundState.FAILED, RefundEvent.PENDING): RefundState.PENDING,  # the gateway contradicts itself: believed, with an alert
    (RefundState.FAILED, RefundEvent.SUCCEEDED): RefundState.SUCCEEDED,
    (RefundState.CANCELED, RefundEvent.PENDING): RefundState.PENDING,
    (RefundState.CANCELED, RefundEvent.SUCCEEDED): RefundState.SUCCEEDED,
}

HELD = frozenset({RefundState.RESERVED, RefundState.PROCESSING, RefundState.UNKNOWN, RefundState.PENDING})
GONE = frozenset({RefundState.SUCCEEDED})
OVER = frozenset({RefundState.FAILED, RefundState.CANCELED})
ALERTS = frozenset(
    {
        (RefundState.RESERVED, RefundState.PENDING),
        (RefundState.RESERVED, RefundState.SUCCEEDED),
        (RefundState.RESERVED, RefundState.FAILED),
        (RefundState.SUCCEEDED, RefundState.FAILED),
        (RefundState.FAILED, RefundState.PENDING),
        (RefundState.FAILED, RefundState.SUCCEEDED),
        (RefundState.CANCELED, RefundState.PENDING),
        (RefundState.CANCELED, RefundState.SUCCEEDED),
    }
)


def next_state(state: str, event: RefundEvent, *, maybe_executed_before: bool = False) -> str | None:
    """Return the state after `event`, or None when the event is ignored in `state`."""
    after = REFUND_TRANSITIONS.get((state, event))
    if after == RefundState.RESERVED and maybe_executed_before:
        return RefundState.UNKNOWN
    return after
