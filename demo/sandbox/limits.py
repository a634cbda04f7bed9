"""The rate limit: one token bucket for every endpoint of every account, as docs.stripe.com/rate-limits has it. Off until asked for."""

from __future__ import annotations

import time
from threading import Lock
from typing import Any

from demo.sandbox.errors import ApiError


class Limits:
    """Counts requests against a rate.

    A request over the limit is answered before its idempotency key is looked at, so nothing is stored under the key.
    """

    def __init__(self) -> None:
        self._rate: float | None = None
        self._burst = 1.0
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # what is left, and when that was
        self._lock = Lock()

    def set(self, rate: Any, burst: Any = None) -> None:
        """Allow `rate` requests per second, and `burst` at once; a rate of None ends the limit.

        Raises:
            ApiError: no numbers above 0.
        """
        burst = rate if burst is None else burst
        for number in (rate, burst):
            if rate is not None and (isinstance(number, bool) or not isinstance(number, (int, float)) or number <= 0):
                raise ApiError(400, "rate and burst are numbers above 0; a rate of null ends the limit.", param="rate")
        with self._lock:
            self._rate, self._burst = rate, max(1.0, burst or 1.0)
            self._buckets.clear()

    def take(self, account: str, endpoint: str) -> None:
        """Use one token.

        Raises:
            ApiError: 429, none is left.
        """
        if self._rate is None:
            return
        with self._lock:
            now = time.monotonic()
            left, since = self._buckets.get((account, endpoint), (self._burst, now))
            left = min(self._burst, left + (now - since) * self._rate)
            allowed = left >= 1
            self._buckets[account, endpoint] = (left - 1 if allowed else left, now)
        if not allowed:
            raise ApiError(
                429,
                "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits.",
                code="rate_limit",
                headers={"Stripe-Rate-Limited-Reason": "endpoint-rate"},
            )

    def as_json(self) -> dict[str, float | None]:
        """Describe the limit."""
        return {"rate": self._rate, "burst": self._burst if self._rate is not None else None}
