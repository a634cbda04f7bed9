"""The stand-in's time: the real one until a test stops it, and always later than the last answer."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """Tells the time; never the same moment twice, because Saleor orders a transaction's events by it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offset = timedelta(0)
        self._stopped_at: datetime | None = None
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Tell the time, UTC."""
        with self._lock:
            moment = self._stopped_at or datetime.now(UTC) + self._offset
            self._last = max(moment, self._last + timedelta(microseconds=1))
            return self._last

    def set(self, moment: datetime) -> None:
        """Stop the clock at a moment; from here on it only moves by `advance`."""
        with self._lock:
            self._stopped_at = moment

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            if self._stopped_at is not None:
                self._stopped_at += timedelta(seconds=seconds)
            else:
                self._offset += timedelta(seconds=seconds)
