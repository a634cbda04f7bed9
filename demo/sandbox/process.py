"""Starting a sandbox as a process of its own, for tests and for whoever needs one for a while."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20


class SandboxServer:
    """A sandbox on a port of this machine; a context manager that starts and stops it.

    Args:
        port: 0 for a free one; it is kept over `stop` and `start`.
        state: the folder of its state; None forgets everything when it stops.
        settle_after_ms: see the command's help; None means that refunds settle by hand only.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        api_key: str = "sk_test_sandbox",
        webhook_url: str = "",
        webhook_secret: str = "whsec_sandbox",
        settle_after_ms: int | None = None,
    ) -> None:
        self.port = port
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self._options = [
            *("--state", str(state) if state else ":memory:"),
            *("--api-key", api_key),
            *("--webhook-url", webhook_url),
            *("--webhook-secret", webhook_secret),
            *("--settle-after-ms", str(-1 if settle_after_ms is None else settle_after_ms)),
        ]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it listens: the gateway's `api_base`."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time.
        """
        command = [sys.executable, "-m", "demo.sandbox", "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(command, cwd=ROOT, env=os.environ.copy(), stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first_line = self._process.stdout.readline()
        if not first_line.startswith("sandbox: "):
            self.stop()
            raise RuntimeError(f"the sandbox did not start: {first_line!r}")
        self.port = int(first_line.rstrip("/\n").rpartition(":")[2])
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                if self.get("health")["status"] == "ok":
                    return self
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        self.stop()
        raise RuntimeError("the sandbox did not answer in time")

    def stop(self) -> None:
        """End it in good order."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(lambda process: process.kill())

    def get(self, path: str, /) -> Any:
        """Read from the sandbox's own endpoints; `admin` lists them."""
        return self._ask(urllib.request.Request(f"{self.url}/_sandbox/{path}"))

    def post(self, path: str, /, **wish: Any) -> Any:
        """Steer it by the sandbox's own endpoints; `admin` lists them."""
        body = json.dumps(wish).encode()
        return self._ask(urllib.request.Request(f"{self.url}/_sandbox/{path}", body, {"Content-Type": "application/json"}))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _ask(self, request: urllib.request.Request) -> Any:
        # no proxy: a sandbox is always on this machine
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)

    def _end(self, how: Callable[[subprocess.Popen[str]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        how(process)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
