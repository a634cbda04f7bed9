"""What goes wrong on demand: answers of the API that are lost or garbage, and answers of apps that Saleor never sees."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

ApiFault = Literal["garbage", "html", "500", "502", "hang", "drop", "too_large", "redirect", "rate_limit", "invalid_token", "null"]
SyncFault = Literal["timeout", "502", "502_before", "garbage"]


@dataclass
class Fault:
    """One thing that goes wrong with an answer of the API.

    `executed` says whether the operation was carried out before its answer was lost: the caller cannot tell.
    """

    kind: ApiFault
    operation: str = ""  # the operation's name; empty for any
    executed: bool = False
    times: int = 1
    skip: int = 0  # how many matching calls go well before


class Traps:
    """The faults to come. Every one is used up as often as it says."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._api: list[Fault] = []
        self._sync: list[SyncFault] = []
        self.retry_after_seconds = 7
        self.released = threading.Event()  # set to let calls go that hang

    def add(self, fault: Fault) -> None:
        """Let the API fail."""
        with self._lock:
            self._api.append(fault)

    def add_sync(self, fault: SyncFault) -> None:
        """Let the next synchronous webhook go wrong.

        timeout: the app worked, but its answer came too late. 502: the app worked, but something before it answered 502.
        502_before: the app never saw the request. garbage: the app's answer arrives as no JSON.
        """
        with self._lock:
            self._sync.append(fault)

    def take(self, operation: str) -> Fault | None:
        """Take the fault that meets an operation, if one does."""
        with self._lock:
            for fault in self._api:
                if fault.operation in ("", operation):
                    if fault.skip > 0:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    if fault.times <= 0:
                        self._api.remove(fault)
                    return fault
        return None

    def take_sync(self) -> SyncFault | None:
        """Take the fault that meets a synchronous webhook, if one does."""
        with self._lock:
            return self._sync.pop(0) if self._sync else None

    def clear(self) -> None:
        """Forget every fault to come, and let go what hangs."""
        with self._lock:
            self._api.clear()
            self._sync.clear()
        self.released.set()
