"""The sandbox's time, which can be moved forward (a day passes for idempotency keys without waiting for it)."""

from __future__ import annotations

import time


class Clock:
    """Unix time in seconds, plus what was added."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the present."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._offset += seconds

    def reset(self) -> None:
        """Return to the machine's time."""
        self._offset = 0.0
