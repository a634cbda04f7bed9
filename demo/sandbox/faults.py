"""Misbehaving on purpose. A fault hooks into the four moments of a call; a plan says which calls it hits.

To add a fault: subclass `Fault`, override the moments it needs, and name it in `KINDS`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Lock
from typing import Any

from demo.sandbox.errors import ApiError, DropConnection
from demo.sandbox.messages import Request, Response

MAX_MILLISECONDS = 120_000


class Fault:
    """A call that goes well."""

    def arrived(self) -> None:
        """Before anything is read: no key is looked up, nothing is executed."""

    def executing(self) -> None:
        """While the idempotency key is held, before anything is changed."""

    def executed(self, response: Response) -> Response:
        """After the change is made, before its answer is stored; may put another answer in its place."""
        return response

    def answering(self) -> None:
        """After all is committed, before the answer is sent."""


class DropBeforeSend(Fault):
    """The connection breaks before the request is executed."""

    def arrived(self) -> None:
        """Break it."""
        raise DropConnection


class DropAfterCommit(Fault):
    """The request is executed and its answer is lost."""

    def answering(self) -> None:
        """Lose it."""
        raise DropConnection


@dataclass
class SlowBefore(Fault):
    """The request waits before it is executed; others with its key get a 409."""

    milliseconds: int = 1000

    def executing(self) -> None:
        """Wait."""
        time.sleep(self.milliseconds / 1000)


@dataclass
class SlowAfter(Fault):
    """The request is executed at once and answered late."""

    milliseconds: int = 1000

    def answering(self) -> None:
        """Wait."""
        time.sleep(self.milliseconds / 1000)


_MESSAGES = {
    409: ("This object cannot be accessed right now because another API request is accessing it.", "api_error", "lock_timeout"),
    429: ("Request rate limit exceeded.", "invalid_request_error", "rate_limit"),
}


@dataclass
class Status(Fault):
    """The request is answered with an error status and not executed; a 500 belongs to its key and is replayed."""

    status: int = 500

    def arrived(self) -> None:
        """Answer anything but a 500."""
        if self.status != 500:
            raise self._error()

    def executing(self) -> None:
        """Answer a 500."""
        if self.status == 500:
            raise self._error()

    def _error(self) -> ApiError:
        message, error_type, code = _MESSAGES.get(self.status, ("An error occurred on our end.", "api_error", None))
        return ApiError(self.status, message, type=error_type, code=code, stored=self.status == 500)


class ErrorAfterCommit(Fault):
    """The request is executed, but answered (and replayed) with a 500."""

    def executed(self, response: Response) -> Response:
        """Put a 500 in the answer's place."""
        return Response.json(ApiError(500, "An error occurred on our end.", type="api_error").body(), 500)


KINDS: dict[str, type[Fault]] = {
    "drop_before_send": DropBeforeSend,
    "drop_after_commit": DropAfterCommit,
    "slow_before": SlowBefore,
    "slow_after": SlowAfter,
    "status": Status,
    "error_after_commit": ErrorAfterCommit,
}


@dataclass
class Plan:
    """A fault and the calls it hits: the next `times` whose method and path match."""

    kind: str
    fault: Fault
    times: int
    method: str
    path: str

    def as_json(self) -> dict[str, Any]:
        """Describe what is still to come."""
        return {"kind": self.kind, "times": self.times, "method": self.method, "path": self.path, **vars(self.fault)}


class Faults:
    """The faults that were asked for and have not happened yet."""

    def __init__(self) -> None:
        self._plans: list[Plan] = []
        self._lock = Lock()

    def add(self, wish: dict[str, Any]) -> Plan:
        """Plan a fault.

        Args:
            wish: `kind` (see `KINDS`), `times` (1), `method` ("POST"), `path` (a prefix, "/v1/"), and the kind's own options:
                `milliseconds` for slow_before and slow_after, `status` (409, 429, 500, 503 …) for status.
        Raises:
            ApiError: a wish that cannot be understood.
        """
        options = dict(wish)
        kind, times = options.pop("kind", None), options.pop("times", 1)
        method, path = options.pop("method", "POST"), options.pop("path", "/v1/")
        if kind not in KINDS:
            raise ApiError(400, f"Unknown kind of fault: use one of {', '.join(KINDS)}.", param="kind")
        numbers = [times, *options.values()]
        if not all(isinstance(number, int) and 0 < number <= MAX_MILLISECONDS for number in numbers):
            raise ApiError(400, f"times, milliseconds and status are whole numbers from 1 to {MAX_MILLISECONDS}.")
        try:
            plan = Plan(kind, KINDS[kind](**options), times, method, path)
        except TypeError:
            raise ApiError(400, f"{kind} does not know one of these options: {', '.join(options)}.") from None
        with self._lock:
            self._plans.append(plan)
        return plan

    def take(self, request: Request) -> Fault:
        """Return the fault that hits this request; usually one that does nothing."""
        with self._lock:
            for plan in self._plans:
                if request.method == plan.method and request.path.startswith(plan.path):
                    plan.times -= 1
                    if plan.times == 0:
                        self._plans.remove(plan)
                    return plan.fault
        return Fault()

    def planned(self) -> list[dict[str, Any]]:
        """Describe all that has not happened yet."""
        with self._lock:
            return [plan.as_json() for plan in self._plans]

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._plans.clear()
