"""Which call a refund needs next, and what proves that a gateway never executed it.

Source: the domain's invariants 2 and 4. A key is replayed only while the gateway surely knows it. Later, or when the gateway
keeps an error under the key, its listing is read. *Absent* takes two complete listings at least ten minutes apart; then the
key is burnt, so that a sender that wakes up late cannot pay, and only then may a successor be sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from refund_plugin.conf import settings
from refund_plugin.refunds.models import AttemptPurpose, Refund
from refund_plugin.refunds.states import RefundState

KEY_BURNT = "key_burnt"
KEY_KNOWN = "key_known"
BETWEEN_LISTINGS = timedelta(minutes=10)
# how long what the gateway said about a listing or a key may be relied on
FRESH = timedelta(minutes=10)


def purpose_of(refund: Refund, now: datetime, *, replayable: bool = True, stopped: bool = False) -> AttemptPurpose:
    """Return which call a claimed refund needs.

    Args:
        now: the database's clock.
        replayable: the gateway knows idempotency keys; without them nothing is repeated without looking first.
        stopped: more is gone from the payment than was captured, or it is disputed: nothing may go out that has not yet.
    """
    if refund.state == RefundState.PENDING:
        return AttemptPurpose.RETRIEVE if refund.gateway_refund_id else AttemptPurpose.LIST
    young = now - (refund.first_sent_at or refund.reserved_at) < timedelta(hours=settings().key_replay_hours)
    if refund.state == RefundState.UNKNOWN:
        return _purpose_of_unknown(refund, now, safe=young and replayable and not stopped)
    looked = refund.listed_at is not None and now - refund.listed_at < FRESH
    if looked or (young and replayable and not refund.list_first):
        return AttemptPurpose.SEND
    return AttemptPurpose.LIST


def _purpose_of_unknown(refund: Refund, now: datetime, *, safe: bool) -> AttemptPurpose:
    if absent_twice(refund):
        return AttemptPurpose.REPLAY if _knows_key(refund, now) else AttemptPurpose.BURN
    return AttemptPurpose.REPLAY if safe and not refund.stored_error else AttemptPurpose.LIST


def absent_twice(refund: Refund) -> bool:
    """Tell whether two complete listings, far enough apart, did not have the refund since it was last sent."""
    if refund.absent_since is None or refund.absent_at is None:
        return False
    return refund.absent_at - refund.absent_since >= BETWEEN_LISTINGS


def is_proven_by_stored_error(refund: Refund, *, now: datetime) -> bool:
    """Tell whether the gateway keeps an error under a key that it just said it knows, of a refund it lists nowhere."""
    return refund.stored_error and absent_twice(refund) and _knows_key(refund, now)


def _knows_key(refund: Refund, now: datetime) -> bool:
    return refund.key_known_at is not None and now - refund.key_known_at < FRESH


def wait_seconds(refund: Refund) -> float:
    """Return how long to wait after a listing that did not have the refund."""
    if refund.state == RefundState.RESERVED or absent_twice(refund):
        return 0.0
    return BETWEEN_LISTINGS.total_seconds()
