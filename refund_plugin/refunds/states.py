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
    GIVEN_UP = "given_up"  # the money did not go through, and nothing is owed any more
    STOPPED = "stopped"  # the customer's bank decides now: the payment is disputed


class RefundState(models.TextChoices):
    """Where one movement of money stands."""

    RESERVED = "reserved", _("reserved")
    PROCESSING = "processing", _("being sent")
    UNKNOWN = "unknown", _("sent, answer not yet known")
    PENDING = "pending", _("with the bank")
    SUCCEEDED = "succeeded", _("refunded")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled")
    MANUAL_CLAIMED = "manual_claimed", _("being paid by a person")
    MANUAL_PAID = "manual_paid", _("paid by a person")


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
    PROVEN_ABSENT = "proven_absent"  # two complete listings without it, and its key is burnt
    CANCEL = "cancel"  # by the customer or staff, or because a dispute was opened
    PERSON_CLAIMS = "person_claims"  # somebody will pay it by hand
    PROOF_GIVEN = "proof_given"
    PERSON_RELEASES = "person_releases"  # back to the machine; after it was paid: the payment bounced


_S, _E = RefundState, RefundEvent
REFUND_TRANSITIONS: dict[tuple[str, RefundEvent], str] = {
    (_S.RESERVED, _E.CLAIMED): _S.PROCESSING,
    (_S.RESERVED, _E.PENDING): _S.PENDING,
    (_S.RESERVED, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.RESERVED, _E.FAILED): _S.FAILED,
    (_S.RESERVED, _E.CANCELED): _S.FAILED,
    (_S.RESERVED, _E.CANCEL): _S.CANCELED,
    (_S.RESERVED, _E.PERSON_CLAIMS): _S.MANUAL_CLAIMED,  # only when no call may have been executed
    (_S.PROCESSING, _E.NOT_EXECUTED): _S.RESERVED,  # unless an earlier attempt was a "maybe": then unknown
    (_S.PROCESSING, _E.MAYBE_EXECUTED): _S.UNKNOWN,
    (_S.PROCESSING, _E.DEFINITIVE_NO): _S.FAILED,
    (_S.PROCESSING, _E.PENDING): _S.PENDING,
    (_S.PROCESSING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.PROCESSING, _E.FAILED): _S.FAILED,
    (_S.PROCESSING, _E.CANCELED): _S.FAILED,
    (_S.UNKNOWN, _E.CLAIMED): _S.UNKNOWN,
    (_S.UNKNOWN, _E.NOT_EXECUTED): _S.UNKNOWN,
    (_S.UNKNOWN, _E.MAYBE_EXECUTED): _S.UNKNOWN,
    (_S.UNKNOWN, _E.DEFINITIVE_NO): _S.FAILED,  # only as the answer to a replay of this very key
    (_S.UNKNOWN, _E.PENDING): _S.PENDING,
    (_S.UNKNOWN, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.UNKNOWN, _E.FAILED): _S.FAILED,
    (_S.UNKNOWN, _E.CANCELED): _S.FAILED,
    (_S.UNKNOWN, _E.PROVEN_ABSENT): _S.FAILED,
    (_S.PENDING, _E.CLAIMED): _S.PENDING,  # to ask the gateway how it stands; nothing is sent
    (_S.PENDING, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.PENDING, _E.FAILED): _S.FAILED,
    (_S.PENDING, _E.CANCELED): _S.CANCELED,
    (_S.SUCCEEDED, _E.FAILED): _S.FAILED,  # the bank returned the money
    (_S.SUCCEEDED, _E.CANCELED): _S.FAILED,
    (_S.FAILED, _E.PENDING): _S.PENDING,  # the gateway contradicts itself: believed, with an alert
    (_S.FAILED, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.CANCELED, _E.PENDING): _S.PENDING,
    (_S.CANCELED, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.MANUAL_CLAIMED, _E.PENDING): _S.PENDING,
    (_S.MANUAL_CLAIMED, _E.SUCCEEDED): _S.SUCCEEDED,
    (_S.MANUAL_CLAIMED, _E.CANCEL): _S.CANCELED,
    (_S.MANUAL_CLAIMED, _E.PROOF_GIVEN): _S.MANUAL_PAID,
    (_S.MANUAL_CLAIMED, _E.PERSON_RELEASES): _S.RESERVED,
    (_S.MANUAL_PAID, _E.PERSON_RELEASES): _S.FAILED,  # the payment by hand bounced
}

# what must not be tried at all; everything else that the table does not name is ignored and logged
REFUSED = frozenset(
    {(state, _E.PERSON_CLAIMS) for state in (_S.PROCESSING, _S.UNKNOWN, _S.PENDING, _S.SUCCEEDED, _S.MANUAL_CLAIMED, _S.MANUAL_PAID)}
    | {(state, _E.CLAIMED) for state in (_S.SUCCEEDED, _S.FAILED, _S.CANCELED, _S.MANUAL_CLAIMED, _S.MANUAL_PAID)}
)
# money that can no longer be stopped when somebody wants to: a person must look
FLAGS = frozenset({(state, _E.CANCEL) for state in (_S.PROCESSING, _S.UNKNOWN, _S.PENDING, _S.SUCCEEDED, _S.MANUAL_PAID)})
# the gateway paid what a person had paid already: its refund becomes a row of its own
EXTERNAL_ROWS = frozenset({(_S.MANUAL_PAID, _E.PENDING), (_S.MANUAL_PAID, _E.SUCCEEDED)})
ALERTS = EXTERNAL_ROWS | frozenset(
    {
        (state, event)
        for state, event in REFUND_TRANSITIONS
        if event in (_E.PENDING, _E.SUCCEEDED, _E.FAILED, _E.CANCELED)
        and state in (_S.RESERVED, _S.SUCCEEDED, _S.FAILED, _S.CANCELED, _S.MANUAL_CLAIMED)
    }
    | {(_S.PENDING, _E.PROVEN_ABSENT), (_S.SUCCEEDED, _E.PROVEN_ABSENT)}
)

HELD = frozenset({_S.RESERVED, _S.PROCESSING, _S.UNKNOWN, _S.PENDING, _S.MANUAL_CLAIMED})
GONE = frozenset({_S.SUCCEEDED, _S.MANUAL_PAID})
OVER = frozenset({_S.FAILED, _S.CANCELED})
DRIVEN = frozenset({_S.RESERVED, _S.PROCESSING, _S.UNKNOWN, _S.PENDING})  # what workers look at
# the changes of state that the database lets through
STATE_CHANGES = sorted({(str(before), str(after)) for (before, _event), after in REFUND_TRANSITIONS.items() if before != after})


def next_state(state: str, event: RefundEvent, *, maybe_executed_before: bool = False) -> str | None:
    """Return the state after `event`, or None when the event is ignored in `state`."""
    after = REFUND_TRANSITIONS.get((state, event))
    if after == RefundState.RESERVED and state == RefundState.PROCESSING and maybe_executed_before:
        return RefundState.UNKNOWN
    return after
