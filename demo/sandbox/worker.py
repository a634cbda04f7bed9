"""A thread that does what is due, and sleeps until something is."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from threading import Event, Thread

PAUSE_AFTER_DEFECT_SECONDS = 1.0


class Worker(Thread):
    """Runs `step` again and again.

    Args:
        step: does what is due and returns the seconds until more will be; None means not before `wake`.
    """

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        super().__init__(name=name, daemon=True)
        self._step = step
        self._woken = Event()
        self._stopping = False

    def wake(self) -> None:
        """Look again now."""
        self._woken.set()

    def stop(self) -> None:
        """End after the step in hand."""
        self._stopping = True
        self._woken.set()
        if self.is_alive():
            self.join(timeout=15)

    def run(self) -> None:
        """Work until stopped."""
        while not self._stopping:
            self._woken.clear()
            try:
                pause = self._step()
            except Exception:
                # the thread must outlive a defect, or the sandbox would fall silent; the reader of its log sees it
                traceback.print_exc()
                pause = PAUSE_AFTER_DEFECT_SECONDS
            self._woken.wait(pause)
