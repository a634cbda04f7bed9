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
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import urllib3.connection
import urllib3.connectionpool
from django.db.backends.signals import connection_created

from refund_plugin import clock
from refund_plugin.refunds import execute

# boundary -> the engine's functions after whose return (with something done) it lies
_AFTER = {
    "claimed": ("claim_due",),
    "attempted": ("begin_attempts", "begin_attempt"),
    "answered": ("call_gateway",),
    "recorded": ("record_answers", "record_answer"),
}
_FUTURES = ("concurrent/futures/", "threading.py")
BOUNDARIES = ("claimed", "attempted", "calling", "answered", "recorded")


def install(*, strike: dict[str, Any] | None = None, clock_seconds: float = 0, wrong_clock_seconds: float = 0) -> None:
    """Plant what a worker was told to.

    Args:
        strike: `at` (a boundary), `nth` (the how-manieth time), `signal` (KILL or STOP): what this process does to itself.
        clock_seconds: by how much this process lives later, the database's clock included.
        wrong_clock_seconds: by how much this process's own clock is wrong, while the database's is right.
    """
    if clock_seconds:
        clock.travel(timedelta(seconds=clock_seconds)).__enter__()
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
    found = [name for name in _AFTER[boundary] if hasattr(execute, name)]
    if not found:
        raise LookupError(f"the engine has none of {', '.join(_AFTER[boundary])}")
    for name in found[:1]:
        setattr(execute, name, _then(getattr(execute, name), strike))


def _then(function: Callable[..., Any], strike: Callable[[], None]) -> Callable[..., Any]:
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if result or function.__name__ in ("call_gateway", "record_answers"):
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
