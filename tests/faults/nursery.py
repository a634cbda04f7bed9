"""The process that forks workers, as a run of the table sees it: `tests/faults/worker.py` is the other side."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.services import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 120.0, 20.0


class Child:
    """A worker or web process that the nursery forked."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.pid = 0
        self.status: int | None = None
        self.started = threading.Event()
        self.ended = threading.Event()

    def send(self, number: signal.Signals) -> None:
        """Send the process and all it started a signal; nothing when it has ended."""
        if not self.ended.is_set():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # it has just been forked, and leads no group yet; or it has just ended
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it and return its exit status (negative: the signal)."""
        self.send(signal.SIGCONT)
        self.send(number)
        if not self.ended.wait(STOP_SECONDS):
            self.send(signal.SIGKILL)
            self.ended.wait(STOP_SECONDS)
        return self.status if self.status is not None else -signal.SIGKILL

    def is_stopped(self) -> bool:
        """Tell whether it was put to sleep by SIGSTOP."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except FileNotFoundError:
            return False


class Nursery:
    """The process that forks workers (`tests/faults/worker.py`) and the children it has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, Child] = {}
        self._ready = threading.Event()
        self._count = 0
        with (folder / "nursery.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, daemon=True).start()
        wait_until(
            lambda: self._ready.is_set() or self._process.poll() is not None, timeout_seconds=START_SECONDS, what="the nursery: start"
        )
        if not self._ready.is_set():
            raise RuntimeError((folder / "nursery.log").read_text())

    def fork(self, kind: str, order: Mapping[str, Any]) -> Child:
        """Fork a child and return it when it has a process id."""
        self._count += 1
        name = f"{kind}-{self._count}"
        child = self._children[name] = Child(name, self._folder / f"{name}.log")
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"name": name, "kind": kind, "log": str(child.log), **order}) + "\n")
        self._process.stdin.flush()
        if not child.started.wait(STOP_SECONDS):
            raise RuntimeError(f"{name} was not forked: {(self._folder / 'nursery.log').read_text()[-2000:]}")
        return child

    def end_children(self) -> None:
        """End every child there is."""
        living = [child for child in self._children.values() if not child.ended.is_set()]
        for child in living:
            child.send(signal.SIGCONT)
            child.send(signal.SIGTERM)
        for child in living:
            child.end(signal.SIGKILL) if not child.ended.wait(3) else None

    def close(self) -> None:
        """End the nursery and what it has."""
        self.end_children()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for said in self._process.stdout:
            word, _, rest = said.strip().partition(" ")
            if word == "ready":
                self._ready.set()
                continue
            name, _, number = rest.partition(" ")
            child = self._children[name]
            if word == "started":
                child.pid = int(number)
                child.started.set()
            elif word == "ended":
                child.status = int(number)
                child.ended.set()
