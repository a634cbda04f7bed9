"""What the product decides in the search of its protocol, asked of the product's own code.

Our row of a refund is kept with times that are only as exact as they matter. To decide, a real `Refund` is made of it and handed to
the code that prepares a worker's call and to the code that records what was answered; nothing is read from a database or written
to one. What is left to the model is what lives in SQL: claims, leases, and giving a claim back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple
from unittest import mock

from refund_plugin.errors import WrongState
from refund_plugin.gateways.base import AnswerKind, Capabilities, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import Payment
from refund_plugin.refunds import execute, outcomes
from refund_plugin.refunds.models import Refund, RefundRequest, WaitsFor
from refund_plugin.refunds.outcomes import Call, Told
from refund_plugin.refunds.states import RefundEvent, RefundState, next_state

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
FRESH, STALE = "fresh", "stale"  # a moment that lies less, or more, than ten minutes back
_BACK = {"": None, FRESH: NOW - timedelta(minutes=1), STALE: NOW - timedelta(hours=2)}
# since the first sending: a key is replayed; the gateway surely knows it, for two hours at least; it may be forgotten soon, or is
YOUNG, KNOWN, OLD = range(3)
_BEGAN = {YOUNG: NOW - timedelta(hours=3), KNOWN: NOW - timedelta(hours=21), OLD: NOW - timedelta(hours=23)}
ENDED_AT = NOW - timedelta(hours=3)
BEFORE = ENDED_AT - timedelta(hours=4)
AMOUNT_MINOR = 1000
NO_ANSWER = "no_answer"
STORED_ERROR = "stored_error"
KEPT_NO = "kept_no"
ABSENT = "absent"
_ANSWERS = {
    NO_ANSWER: GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer"),
    STORED_ERROR: GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="api_error", idempotent_replayed=True),
    "not_executed": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="connection_failed"),
    "definitive_no": GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="insufficient_funds"),
    KEPT_NO: GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="insufficient_funds", idempotent_replayed=True),
    "key_burnt": GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="key_burnt"),
    "key_known": GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="key_known"),
    **{kind: GatewayAnswer(kind=AnswerKind(kind), gateway_refund_id="re_1") for kind in ("pending", "succeeded", "failed")},
}


class Ours(NamedTuple):
    """Our row of a refund."""

    state: str = RefundState.RESERVED.value
    maybe_executed: bool = False
    attempted: bool = False
    age: int = YOUNG
    list_first: bool = False
    listed: str = ""  # when a listing before the first sending did not have it
    absences: int = 0  # complete listings without it since it was last sent: none, one, or two that lie far enough apart
    absent: str = ""  # when the last of them was read
    key_known: str = ""  # when the gateway said that it knows the key
    stored_error: bool = False
    told_no: bool = False  # the gateway said "no", and the key is not burnt yet
    named: bool = False  # we know the gateway's id of it
    waits: bool = False  # it is not due before ten minutes have passed
    stopped: bool = False  # it waits for a person


class Protocol:
    """The product's own decisions, each worked out once: the search asks the same few questions millions of times.

    They are asked within `without_database()`.
    """

    def __init__(self) -> None:
        self.begin = cache(self._begin)
        self.record = cache(self._record)
        self.tell = cache(self._tell)
        self.happens = cache(self._happens)

    def after(self, state: str, event: str, *, maybe_executed: bool) -> str:
        """Return the state after an event that a worker's claim brings about; the same when the table ignores it."""
        after = next_state(state, RefundEvent(event), maybe_executed_before=maybe_executed)
        return state if after is None else str(after)

    def _begin(self, ours: Ours, over: bool) -> tuple[str, Ours]:
        """Return which call a claimed refund needs, and our row with that call begun; no call when nothing may be sent.

        Args:
            over: more has gone from the payment than was captured.
        """
        refund = _refund_of(ours, over=over)
        attempt = execute._attempt(refund, NOW)
        if attempt is None:
            return "", ours._replace(stopped=over)
        return str(attempt.purpose.value), _ours_of(refund)

    def _record(self, ours: Ours, purpose: str, answer: str, holds: bool, is_news: bool, is_recent: bool) -> Ours:
        """Return our row after a worker recorded what it was answered.

        Args:
            holds: its fence is still the refund's.
            is_news: the refund has not come to an end since the call began.
            is_recent: the call began less than ten minutes ago.
        """
        refund = _refund_of(ours)
        began = _BACK[FRESH if is_recent else STALE] if is_news else BEFORE
        call = Call(attempt_id=1, fence=refund.fence if holds else refund.fence - 1, purpose=purpose, started_at=began)
        _take(refund, Told(refund.pk, None if answer == ABSENT else _ANSWERS[answer], call))
        return _ours_of(refund)

    def _tell(self, ours: Ours, status: str, is_news: bool) -> Ours:
        """Return our row after a webhook told a fact, or a comparison with the gateway.

        Args:
            is_news: the gateway said so after the refund came to an end, as far as we know.
        """
        refund = _refund_of(ours)
        _take(refund, Told(refund.pk, _ANSWERS[status], told_at=NOW if is_news else BEFORE))
        return _ours_of(refund)

    def _happens(self, ours: Ours, event: str) -> Ours | None:
        """Return our row after a person did something; None when that is refused or ignored."""
        refund = _refund_of(ours)
        try:
            after = outcomes.do_apply(_Balances(refund), refund, RefundEvent(event), actor=outcomes.SYSTEM, now=NOW)
        except WrongState:
            return None
        return None if after is None else _ours_of(refund)


class _Balances(outcomes.Balances):
    """Moves the state and no money."""

    def __init__(self, refund: Refund) -> None:
        super().__init__([refund])

    def move(self, refund: Refund, after: str) -> bool:
        """See `Balances.move`."""
        refund.state = after
        return False

    def release(self, refund: Refund) -> None:
        """See `Balances.release`."""
        refund.state = RefundState.CANCELED


def _take(refund: Refund, told: Told) -> None:
    outcomes._Recorder(_Balances(refund), NOW).take(told)


@contextmanager
def without_database() -> Iterator[None]:
    """Let the product decide without reading or writing a row."""
    rows = SimpleNamespace(objects=SimpleNamespace(filter=lambda **_names: SimpleNamespace(update=lambda **_fields: 1)))
    gateway = SimpleNamespace(capabilities=Capabilities())
    with (
        mock.patch.object(outcomes.logger, "disabled", True),
        mock.patch.object(outcomes, "record", lambda *_events, now: []),
        mock.patch.object(outcomes, "raise_alert", lambda **_alert: None),
        mock.patch.object(outcomes, "stop_unsent", lambda _balances, _payment, why: None),
        mock.patch.object(outcomes.clock, "database_now", lambda: NOW),
        mock.patch.object(execute, "gateway_for", lambda _account: gateway),
        mock.patch.object(execute, "Refund", rows),
    ):
        yield


def _refund_of(ours: Ours, *, over: bool = False) -> Refund:
    account = GatewayAccount(pk=1, slug="model", kind="memory")
    payment = Payment(pk=1, account=account, currency="EUR", captured_minor=AMOUNT_MINOR, over_minor=AMOUNT_MINOR if over else 0)
    absent = _BACK[ours.absent]
    began = _BEGAN[ours.age]
    refund = Refund(
        request=RefundRequest(reference="R-1"),
        store_id=1,
        payment=payment,
        account=account,
        livemode=False,
        amount_minor=AMOUNT_MINOR,
        currency="EUR",
        idempotency_key="refund-1",
        state=ours.state,
        maybe_executed=ours.maybe_executed,
        attempt_count=int(ours.attempted),
        created_at=began,
        reserved_at=began,
        first_sent_at=began if ours.attempted else None,
        list_first=ours.list_first,
        listed_at=_BACK[ours.listed],
        absent_at=absent,
        absent_since=absent - timedelta(minutes=30) if absent and ours.absences == 2 else absent,
        key_known_at=_BACK[ours.key_known],
        stored_error=ours.stored_error,
        failure_code="insufficient_funds" if ours.told_no else "",
        gateway_refund_id="re_1" if ours.named else "",
        settled_at=ENDED_AT,
        lease_until=NOW,
        due_at=NOW + timedelta(minutes=10) if ours.waits else NOW,
        waits_for=WaitsFor.PERSON if ours.stopped else WaitsFor.NOTHING,
        fence=2,
    )
    refund.told_at = refund.heard_at = ENDED_AT
    refund.command = execute.freeze_command(refund)
    return refund


def _ours_of(refund: Refund) -> Ours:
    absences = 0
    if refund.absent_since and refund.absent_at:
        absences = 2 if refund.absent_at - refund.absent_since >= timedelta(minutes=10) else 1
    began = refund.first_sent_at or refund.reserved_at
    return Ours(
        state=str(refund.state),
        maybe_executed=refund.maybe_executed,
        attempted=bool(refund.attempt_count),
        age=YOUNG if began > _BEGAN[KNOWN] else KNOWN if began > _BEGAN[OLD] else OLD,
        list_first=refund.list_first,
        listed=_age_of(refund.listed_at),
        absences=absences,
        absent=_age_of(refund.absent_at),
        key_known=_age_of(refund.key_known_at),
        stored_error=refund.stored_error,
        told_no=refund.state == RefundState.UNKNOWN and bool(refund.failure_code),
        named=bool(refund.gateway_refund_id),
        waits=refund.due_at - NOW >= timedelta(minutes=10),
        stopped=refund.waits_for == WaitsFor.PERSON,
    )


def _age_of(moment: datetime | None) -> str:
    if moment is None:
        return ""
    return FRESH if NOW - moment < timedelta(minutes=10) else STALE
