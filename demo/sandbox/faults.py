"""Misbehaving on purpose. A fault hooks into the four moments of a call; a plan says which calls it hits.

To add a fault: subclass `Fault`, override the moments it needs, and name it in `KINDS`. `Outcome` is not about the call but
about what becomes of the refund it makes, so one call can have both.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from demo.sandbox.errors import ApiError, CutConnection, DropConnection
from demo.sandbox.messages import Request, Response

MAX_MILLISECONDS = 120_000
OUTCOMES = ("succeeded", "pending", "pending_then_succeeded", "pending_then_failed", "fail_after_success", "requires_action")


class Fault:
    """A call that goes well."""

    def arrived(self) -> None:
        """Before anything is read: no key is looked up, nothing is executed."""

    def executing(self) -> None:
        """While the idempotency key is held, before anything is changed."""

    def executed(self, response: Response) -> Response:
        """After the change is made, before its answer is stored; may put another answer in its place."""
        return response

    def answering(self, response: Response) -> None:
        """After all is committed, before the answer is sent."""


class DropBeforeSend(Fault):
    """The connection breaks before the request is executed."""

    def arrived(self) -> None:
        """Break it."""
        raise DropConnection


class DropAfterCommit(Fault):
    """The request is executed and its answer is lost."""

    def answering(self, response: Response) -> None:
        """Lose it."""
        raise DropConnection


class CutMidBody(Fault):
    """The request is executed; its answer breaks off in the middle."""

    def answering(self, response: Response) -> None:
        """Break it off."""
        raise CutConnection(response)


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

    def answering(self, response: Response) -> None:
        """Wait."""
        time.sleep(self.milliseconds / 1000)


_MESSAGES = {
    409: ("This object cannot be accessed right now because another API request is accessing it.", "api_error", "lock_timeout"),
    429: ("Request rate limit exceeded.", "invalid_request_error", "rate_limit"),
}


@dataclass
class Status(Fault):
    """The request is answered with an error status and not executed.

    Attributes:
        stored: the error belongs to the idempotency key and is replayed; by default that is so for a 500 only.
    """

    status: int = 500
    stored: bool | None = None

    def __post_init__(self) -> None:
        if self.stored is None:
            self.stored = self.status == 500

    def arrived(self) -> None:
        """Answer before any key is looked at."""
        if not self.stored:
            raise self._error()

    def executing(self) -> None:
        """Answer for the key."""
        if self.stored:
            raise self._error()

    def _error(self) -> ApiError:
        message, error_type, code = _MESSAGES.get(self.status, ("An error occurred on our end.", "api_error", None))
        return ApiError(self.status, message, type=error_type, code=code, stored=bool(self.stored))


class ErrorAfterCommit(Fault):
    """The request is executed, but answered (and replayed) with a 500."""

    def executed(self, response: Response) -> Response:
        """Put a 500 in the answer's place."""
        return Response.json(ApiError(500, "An error occurred on our end.", type="api_error").body(), 500)


@dataclass(frozen=True)
class Outcome(Fault):
    """What becomes of a refund, whatever it was paid with.

    Attributes:
        outcome: one of `OUTCOMES`; a plain "pending" waits for somebody who settles or fails it by hand.
        after_ms: when the second part happens; None means when the sandbox's pending refunds settle anyway.
        failure_reason: why it fails, if it does.
    """

    outcome: str = "pending_then_succeeded"
    after_ms: int | None = None
    failure_reason: str = "expired_or_canceled_card"

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ApiError(400, f"Unknown outcome: use one of {', '.join(OUTCOMES)}.", param="outcome")


KINDS: dict[str, type[Fault]] = {
    "drop_before_send": DropBeforeSend,
    "drop_after_commit": DropAfterCommit,
    "cut_mid_body": CutMidBody,
    "slow_before": SlowBefore,
    "slow_after": SlowAfter,
    "status": Status,
    "error_after_commit": ErrorAfterCommit,
    "outcome": Outcome,
}


@dataclass
class Plan:
    """A fault and the calls it hits.

    Attributes:
        times: how many calls are hit before the plan is done; None means all until it is called off.
        probability: of a call that matches being hit.
        hits: how many calls were hit.
    """

    kind: str
    fault: Fault
    times: int | None
    probability: float
    method: str
    path: str
    chance: random.Random
    hits: int = 0

    def strikes(self) -> bool:
        """Decide whether this call is hit, and count it if so."""
        if self.probability < 1 and self.chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    @property
    def done(self) -> bool:
        """Whether no call will be hit any more."""
        return self.times is not None and self.hits >= self.times

    def as_json(self) -> dict[str, Any]:
        """Describe what is still to come."""
        left = None if self.times is None else self.times - self.hits
        where = {"method": self.method, "path": self.path, "probability": self.probability, "hits": self.hits}
        return {"kind": self.kind, "times": left, **where, **vars(self.fault)}


@dataclass
class Faults:
    """The faults that were asked for and have not happened yet."""

    _plans: list[Plan] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def add(self, wish: dict[str, Any]) -> Plan:
        """Plan a fault.

        Args:
            wish: `kind` (see `KINDS`), `times` (1; without limit when a probability is given), `probability` (1) with its `seed` (0),
                `method` ("POST"), `path` (a prefix, "/v1/"), and the kind's own options: `milliseconds` for slow_before and
                slow_after, `status` (409, 429, 500, 503 …) and `stored` for status, `outcome`, `after_ms` and `failure_reason`
                for outcome.
        Raises:
            ApiError: a wish that cannot be understood.
        """
        options = dict(wish)
        kind, probability = options.pop("kind", None), options.pop("probability", 1)
        times = options.pop("times", 1 if "probability" not in wish else None)
        method, path = str(options.pop("method", "POST")), str(options.pop("path", "/v1/"))
        chance = random.Random(options.pop("seed", 0))
        if kind not in KINDS:
            raise ApiError(400, f"Unknown kind of fault: use one of {', '.join(KINDS)}.", param="kind")
        if isinstance(probability, bool) or not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
            raise ApiError(400, "probability is a number from 0 to 1.", param="probability")
        numbers = [number for number in (times, options.get("milliseconds")) if number is not None]
        if not all(isinstance(number, int) and 0 < number <= MAX_MILLISECONDS for number in numbers):
            raise ApiError(400, f"times and milliseconds are whole numbers from 1 to {MAX_MILLISECONDS}.")
        if not 400 <= options.get("status", 500) < 600:
            raise ApiError(400, "status is an HTTP status from 400 to 599.", param="status")
        try:
            plan = Plan(kind, KINDS[kind](**options), times, probability, method, path, chance)
        except TypeError:
            raise ApiError(400, f"{kind} does not know one of these options: {', '.join(options)}.") from None
        with self._lock:
            self._plans.append(plan)
        return plan

    def take(self, request: Request) -> Fault:
        """Return the fault that hits this request; usually one that does nothing."""
        if not self._plans:
            return Fault()
        with self._lock:
            for plan in self._plans:
                matches = request.method == plan.method and request.path.startswith(plan.path)
                if matches and not isinstance(plan.fault, Outcome) and plan.strikes():
                    self._drop_done()
                    return plan.fault
        return Fault()

    def take_outcome(self) -> Outcome | None:
        """Return what becomes of a refund that is being made; None when nothing special does."""
        with self._lock:
            for plan in self._plans:
                if isinstance(plan.fault, Outcome) and plan.strikes():
                    self._drop_done()
                    return plan.fault
        return None

    def planned(self) -> list[dict[str, Any]]:
        """Describe all that has not happened yet."""
        with self._lock:
            return [plan.as_json() for plan in self._plans]

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._plans.clear()

    def _drop_done(self) -> None:
        self._plans = [plan for plan in self._plans if not plan.done]
