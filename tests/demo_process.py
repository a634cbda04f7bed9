"""The demo as a newcomer runs it: the supervisor as a process, on a free port, with a state folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 240
STOP_SECONDS = 40


class DemoProcess:
    """A context manager that starts `python -m demo.supervisor`, waits for its `ready:` line, and ends it.

    Args:
        folder: the state folder.
        port: 0 takes a free one.
        said: the file that gets what the supervisor says; one beside the folder when omitted.
    """

    def __init__(self, folder: Path, port: int = 0, said: Path | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._said = said or folder.with_name(f"{folder.name}-said.txt")

    @property
    def url(self) -> str:
        """Address of the shop, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        """Everything the supervisor printed so far."""
        return self._said.read_text() if self._said.exists() else ""

    @property
    def ready(self) -> bool:
        """Whether it has said that all of it answers."""
        return f"ready: {self.url}/" in self.said

    def launch(self) -> Self:
        """Start the supervisor and do not wait."""
        environment = {**os.environ, "PORT": str(self.port), "SHOP_STATE_DIR": str(self.folder)}
        with self._said.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "demo.supervisor"], cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        return self

    def start(self) -> Self:
        """Start the supervisor and wait until it says that it is ready.

        Raises:
            RuntimeError: it ended instead; the message is what it said.
        """
        process = self.launch().process
        assert process is not None
        wait_until(lambda: self.ready or process.poll() is not None, timeout_seconds=START_SECONDS, what="the demo: start")
        if not self.ready:
            raise RuntimeError(f"the demo did not start:\n{self.said}")
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Tell the supervisor to end and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.wait()

    def wait(self) -> int:
        """Wait until the supervisor has ended and return its exit status."""
        assert self.process is not None
        return self.process.wait(timeout=STOP_SECONDS)

    def processes(self) -> dict[str, int]:
        """Return the process ids of the parts, by the module each runs."""
        assert self.process is not None
        parts = {}
        for pid in _children(self.process.pid):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            parts[words[2]] = pid
        return parts

    def everything(self) -> set[int]:
        """Return the ids of the supervisor's process and of all that descend from it."""
        assert self.process is not None
        found, waiting = set(), [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.add(pid)
            waiting += _children(pid)
        return found

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text().split()]
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
