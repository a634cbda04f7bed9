"""Which call a refund needs next, and what proves that a gateway never executed it.

Source: the domain's invariants 2 and 4. A key is replayed only while the gateway surely knows it. Later, or when the gateway
keeps an error under the key, its listing is read. *Absent* takes two complete listings at least ten minutes apart; then the
key is burnt, so that a sender that wakes up late cannot pay, and only then may a successor be sent.

Each rule here is needed: tests/faults/model_search.py visits every state that they allow and finds what is paid twice without.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from refund_plugin.conf import settings
from refund_plugin.gateways.answers import GatewayAnswer
from refund_plugin.refunds.models import AttemptPurpose, Refund
from refund_plugin.refunds.states import RefundState

KEY_BURNT = "key_burnt"
KEY_KNOWN = "key_known"
# the key cannot be burnt, because the gateway keeps no refusals or our figures cannot be true: its "no" has to do, with two listings
NEVER_BURNT = frozenset({"key_not_burnt", "key_not_burnable"})
MISSING = "resource_missing"  # no such payment: perhaps the key of another account was set, so it says nothing about a refund
BETWEEN_LISTINGS = timedelta(minutes=10)
# how long a listing may be relied on: a day later, a late sender may have paid and the gateway have forgotten the key of it
FRESH = timedelta(minutes=10)
# how long a key that the gateway has shown to know is known, beyond the hours in which any key is; then two hours are left of the
# gateway's day, in which a late sender is still told what is kept under the key
SHOWN = timedelta(hours=2)


def purpose_of(refund: Refund, now: datetime, *, replayable: bool = True, stopped: bool = False) -> AttemptPurpose:
    """Return which call a claimed refund needs.

    Args:
        now: the database's clock.
        replayable: the gateway knows idempotency keys; without them nothing is repeated without looking first.
        stopped: more is gone from the payment than was captured, or it is disputed: nothing may go out that has not yet.
    """
    if refund.state == RefundState.PENDING:
        return AttemptPurpose.RETRIEVE if refund.gateway_refund_id else AttemptPurpose.LIST
    young = _age(refund, now) < timedelta(hours=settings().key_replay_hours)
    if refund.state == RefundState.UNKNOWN:
        # an old key, or one that cannot be burnt, only once the listings were read
        if refund.failure_code and refund.key_known_at is None and young and not refund.stored_error:
            return AttemptPurpose.BURN
        known = is_key_known(refund, now)
        if replayable and not refund.stored_error and (known or (young and not stopped)):
            return AttemptPurpose.REPLAY
        looked = absent_twice(refund) and _is_fresh(refund.absent_at, now)
        return AttemptPurpose.BURN if looked else AttemptPurpose.LIST
    if _is_fresh(refund.listed_at, now) or (young and replayable and not refund.list_first):
        return AttemptPurpose.SEND
    return AttemptPurpose.LIST


def wants_burning(refund: Refund, answer: GatewayAnswer) -> bool:
    """Tell whether a "no" ends a refund only once its key is burnt.

    An earlier request may arrive yet, and the gateway need not keep its "no" under the key. It keeps what it repeats from there,
    and what it says once it has shown that it knows the key.
    """
    return refund.state == RefundState.UNKNOWN and not answer.idempotent_replayed and refund.key_known_at is None


def is_lost(refund: Refund, answer: GatewayAnswer) -> bool:
    """Tell whether the gateway does not know the payment of a refund that it may have made: no end, but a case for a person."""
    return answer.code == MISSING and refund.state == RefundState.UNKNOWN and not answer.idempotent_replayed


def is_key_known(refund: Refund, now: datetime) -> bool:
    """Tell whether the gateway has shown that it knows the key, and surely still does."""
    shown = refund.key_known_at is not None or refund.stored_error
    return shown and _age(refund, now) < timedelta(hours=settings().key_replay_hours) + SHOWN


def absent_twice(refund: Refund) -> bool:
    """Tell whether two complete listings, far enough apart, did not have the refund since it was last sent."""
    if refund.absent_since is None or refund.absent_at is None:
        return False
    return refund.absent_at - refund.absent_since >= BETWEEN_LISTINGS


def is_proven_by_stored_error(refund: Refund, now: datetime) -> bool:
    """Tell whether the gateway keeps an error under the key, of a refund that it lists nowhere: nothing can come of the key."""
    return refund.stored_error and not refund.failure_code and absent_twice(refund) and is_key_known(refund, now)


def _age(refund: Refund, now: datetime) -> timedelta:
    return now - (refund.first_sent_at or refund.reserved_at)


def _is_fresh(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and now - moment < FRESH


def wait_seconds(refund: Refund) -> float:
    """Return how long to wait after a listing that did not have the refund."""
    if refund.state == RefundState.RESERVED or absent_twice(refund):
        return 0.0
    return BETWEEN_LISTINGS.total_seconds()
