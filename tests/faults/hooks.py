"""What a fault run plants in its own worker processes; nothing of it is in the product.

This is the one file that knows the names of the engine's functions. It wraps them where the steps of the work on a refund
are separated by a commit or by the network: the boundaries at which a worker is killed or put to sleep.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import urllib3.connection
import urllib3.connectionpool
from django.db.backends.signals import connection_created

from refund_plugin import clock
from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.refunds import calls

# boundary -> the function, as the driver of the calls knows it, after whose return it lies
_AFTER = {"claimed": "claim_due", "attempted": "begin_attempts", "answered": "call_gateway", "recorded": "record_answers"}
_FUTURES = ("concurrent/futures/", "threading.py")
_for_good = ExitStack()
BOUNDARIES = ("claimed", "attempted", "calling", "answered", "recorded")


def install(*, defect: str = "", strike: dict[str, Any] | None = None, clock_seconds: float = 0, wrong_clock_seconds: float = 0) -> None:
    """Plant what a worker was told to.

    Args:
        defect: one of `DEFECTS`, which the rows must notice.
        strike: `at` (a boundary), `nth` (the how-manieth time), `signal` (KILL or STOP): what this process does to itself.
        clock_seconds: by how much this process lives later, the database's clock included.
        wrong_clock_seconds: by how much this process's own clock is wrong, while the database's is right.
    """
    if defect:
        calls.call_gateway = DEFECTS[defect](calls.call_gateway)
    if clock_seconds:
        _for_good.enter_context(clock.travel(timedelta(seconds=clock_seconds)))
    if wrong_clock_seconds:
        _make_wrong(wrong_clock_seconds)
    if strike:
        _plant(strike["at"], _Strike(strike.get("nth", 1), signal.Signals[f"SIG{strike['signal']}"]))


class _Strike:
    """Sends this very process a signal at the n-th call."""

    def __init__(self, nth: int, number: signal.Signals) -> None:
        self._left = nth
        self._number = number
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._number)


def _plant(boundary: str, strike: Callable[[], None]) -> None:
    if boundary == "calling":
        _before_the_answer_is_read(strike)
        return
    name = _AFTER[boundary]
    setattr(calls, name, _then(getattr(calls, name), boundary, strike))


def _then(function: Callable[..., Any], boundary: str, strike: Callable[[], None]) -> Callable[..., Any]:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if result or boundary in ("answered", "recorded"):  # nothing claimed or begun is no step
            strike()
        return result

    return wrapped


def _before_the_answer_is_read(strike: Callable[[], None]) -> None:
    """The request has left, and whatever the gateway does with it, nobody here will hear of it."""
    original = urllib3.connection.HTTPConnection.getresponse

    def getresponse(self: Any) -> Any:
        if self._method == "POST":
            strike()
        return original(self)

    urllib3.connection.HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


# ---- engines as others have them, to show that the rows would notice ---------------------------------------------------

Caller = Callable[..., GatewayAnswer | None]


def _new_key_each_time(call_gateway: Caller) -> Caller:
    """Send every attempt under a key of its own."""

    def call(started: calls.Started, delay_seconds: float = 0.0) -> GatewayAnswer | None:
        command = replace(started.command, idempotency_key=f"refund-{uuid.uuid4()}")
        return call_gateway(replace(started, command=command), delay_seconds)

    return call


def _silence_is_failure(call_gateway: Caller) -> Caller:
    """Take a lost answer for a refusal."""

    def call(started: calls.Started, delay_seconds: float = 0.0) -> GatewayAnswer | None:
        answer = call_gateway(started, delay_seconds)
        if answer is not None and answer.kind == AnswerKind.MAYBE_EXECUTED:
            return replace(answer, kind=AnswerKind.DEFINITIVE_NO)
        return answer

    return call


DEFECTS: dict[str, Callable[[Caller], Caller]] = {"new-key-each-time": _new_key_each_time, "silence-is-failure": _silence_is_failure}


def _make_wrong(seconds: float) -> None:
    real = time.time
    time.time = lambda: real() + seconds
    clock.now = lambda: datetime.now(UTC) + timedelta(seconds=seconds)


# ---- what every process of a run counts: calls to the gateway, and those with a transaction open ----------------------

_connections: list[tuple[Any, int]] = []


def count_calls(path: str) -> None:
    """Append one letter per call to the gateway to the file: `.`, or `!` when a transaction was open around it.

    Open around it: on a connection of the calling thread, or of a thread that waits for the call.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    connection_created.connect(_remember, weak=False, dispatch_uid="faults.connections")
    original = urllib3.connectionpool.HTTPConnectionPool.urlopen

    def urlopen(self: Any, *args: Any, **kwargs: Any) -> Any:
        os.write(file, b"!" if transaction_around_this_call() else b".")
        return original(self, *args, **kwargs)

    urllib3.connectionpool.HTTPConnectionPool.urlopen = urlopen  # type: ignore[method-assign]


def transaction_around_this_call() -> bool:
    """Tell whether the calling thread, or one that waits for its work, has a transaction open."""
    frames = sys._current_frames()
    for connection, thread in list(_connections):
        if not connection.in_atomic_block:
            continue
        if thread == threading.get_ident() or _waits_for_others(frames.get(thread)):
            return True
    return False


def _remember(*, connection: Any, **kwargs: Any) -> None:
    known = (connection, threading.get_ident())
    if known not in _connections:
        _connections.append(known)


def _waits_for_others(frame: Any) -> bool:
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in _FUTURES):
            return frame.f_code.co_name in ("wait", "result", "as_completed", "result_iterator", "join")
        frame = frame.f_back
    return False
