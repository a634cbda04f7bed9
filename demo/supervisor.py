"""Run the whole demo: `make demo`.

One supervisor owns every process: the sandbox payment server, the web server, and a Celery worker with beat. It prepares
the database and the shop, waits until all of it answers, says so, and ends everything when it is told to or when one of
them ends by itself. Standard library only; state and logs live in the folder that `demo.state` names.

Environment:
    PORT: where the shop answers; 8000 by default. The sandbox takes the next port, or a free one.
    DEMO_RESET: 1 forgets the state of earlier runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from demo import state

START_SECONDS = 120
STOP_SECONDS = 15
POLL_SECONDS = 0.2
SETTLE_AFTER_MS = 4000  # how long a refund to a bank account stays pending in the sandbox
LOGINS = (
    ("merchant", "everything, at /admin/"),
    ("editor", "pages and the refund policy, at /admin/"),
    ("staff", "refund requests, at /admin/"),
    ("customer", "the shop, at /login/"),
)
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what to do."""


class StopRequested(BaseException):
    """Ctrl-C or TERM."""


@dataclass(frozen=True, slots=True)
class Part:
    """A running process and the log it writes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """Starts the parts, watches them, ends them."""

    def __init__(self, *, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.parts: list[Part] = []
        self.addresses = state.Addresses()

    def run(self) -> None:
        """Bring everything up, then watch until something ends.

        Raises:
            DemoFailed: something does not start, or ended by itself.
            StopRequested: we were told to end.
        """
        listener = _claim_port(self.port)
        sandbox_port = self.port + 1 if _is_free(self.port + 1) else _free_port()
        self.addresses = state.Addresses(shop=f"http://127.0.0.1:{self.port}", sandbox=f"http://127.0.0.1:{sandbox_port}")
        state.save_addresses(self.addresses)
        secrets = state.load_secrets()
        started_at = time.time()

        _say("Preparing the database")
        self.finish("migrate", ["demo/manage.py", "migrate", "--noinput"])
        _say("Starting the sandbox payment server")
        sandbox = self.start(
            "sandbox",
            [
                *("-m", "demo.sandbox", "--port", str(sandbox_port), "--state", str(self.folder / "sandbox")),
                *("--webhook-url", f"{self.addresses.shop}/refunds/webhooks/stripe/default/", "--settle-after-ms", str(SETTLE_AFTER_MS)),
            ],
            environment={"SANDBOX_API_KEY": secrets.stripe_api_key, "SANDBOX_WEBHOOK_SECRET": secrets.stripe_webhook_secret},
        )
        # its own word first: another server could answer at that address
        self.wait_for(
            "the sandbox", lambda: "sandbox: " in sandbox.log.read_text() and _answers(f"{self.addresses.sandbox}/_sandbox/health")
        )
        _say("Filling the shop")
        self.finish("seed", ["demo/manage.py", "demo_seed"])
        _say("Starting the web server and the worker")
        self.start(
            "web",
            [
                *("-m", "gunicorn", "demo.shop.wsgi", "--bind", f"fd://{listener.fileno()}", "--workers", "2"),
                *("--worker-class", "gthread", "--threads", "16", "--graceful-timeout", "3", "--access-logfile", "-"),
            ],
            pass_fds=[listener.fileno()],
        )
        listener.close()
        schedule = self.folder / "beat-schedule"
        self.start(
            "worker",
            [
                *("-m", "celery", "--app", "demo.shop.celery", "worker", "--beat", "--schedule", str(schedule), "--loglevel", "INFO"),
                *("--concurrency", "2", "--without-gossip", "--without-mingle", "--without-heartbeat"),
            ],
        )
        self.wait_for("the shop", lambda: _answers(f"{self.addresses.shop}/"))
        self.wait_for("the worker", lambda: _healthy(f"{self.addresses.shop}/refunds/health/", since=started_at))
        self.announce()
        while True:
            self.check()
            time.sleep(POLL_SECONDS)

    def finish(self, name: str, command: Sequence[str]) -> None:
        """Run a command to its end.

        Raises:
            DemoFailed: it failed.
        """
        part = self.start(name, command)
        status = part.process.wait()
        self.parts.remove(part)
        if status:
            raise DemoFailed(f"{name} failed with status {status}.\n{_end_of(part.log)}\nThe whole log: {part.log}")

    def start(
        self, name: str, command: Sequence[str], *, pass_fds: Sequence[int] = (), environment: Mapping[str, str] | None = None
    ) -> Part:
        """Start a process of ours, in a process group of its own; its log begins anew.

        Args:
            environment: what it gets beside our own; secrets go here, because everybody can read a command line.
        """
        log = self.folder / "log" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        whole_environment = {
            **os.environ,
            **(environment or {}),
            "PYTHONUNBUFFERED": "1",
            "SHOP_STATE_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "demo.shop.settings",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=state.ROOT,
                env=whole_environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        part = Part(name, process, log)
        self.parts.append(part)
        return part

    def check(self) -> None:
        """Raise DemoFailed when a part has ended by itself."""
        for part in self.parts:
            status = part.process.poll()
            if status is not None:
                how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
                raise DemoFailed(f"The {part.name} process ended {how}.\n{_end_of(part.log)}\nThe whole log: {part.log}")

    def wait_for(self, what: str, answers: Callable[[], bool]) -> None:
        """Return as soon as `answers` holds.

        Raises:
            DemoFailed: it does not in time, or a part ended meanwhile.
        """
        deadline = time.monotonic() + START_SECONDS
        self.check()
        while not answers():
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what.capitalize()} did not answer within {START_SECONDS} s. The logs: {self.folder / 'log'}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End every process we started, the last one first; what does not end in time is killed with its children."""
        for part in reversed(self.parts):
            _signal(part, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for part in reversed(self.parts):
            with contextlib.suppress(subprocess.TimeoutExpired):
                part.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        for part in self.parts:
            # the group may outlive its leader
            with contextlib.suppress(ProcessLookupError):
                os.killpg(part.process.pid, signal.SIGKILL)
            part.process.wait()
        self.parts.clear()

    def announce(self) -> None:
        """Print where everything is."""
        shop = self.addresses.shop
        width = max(len(name) for name, _ in LOGINS)
        lines = [
            "",
            f"  Shop             {shop}/",
            f"  Refunds          {shop}/refunds/",
            f"  Admin            {shop}/admin/",
            f"  Outbox           {shop}/demo/mail/",
            f"  GraphQL          {shop}/refunds/graphql/",
            f"  Health           {shop}/refunds/health/",
            f"  Payment sandbox  {self.addresses.sandbox}/",
            "",
            "  Log in as",
            *(f"    {name:<{width}}  password demo-{name:<{width}}  {what}" for name, what in LOGINS),
            "",
            f"  Logs: {self.folder / 'log'}    Ctrl-C ends the demo, DEMO_RESET=1 make demo starts afresh.",
            "",
        ]
        _say("\n".join(lines))
        _say(f"ready: {shop}/")


def _signal(part: Part, number: signal.Signals) -> None:
    if part.process.poll() is None:
        part.process.send_signal(number)


def _end_with_parent() -> None:
    """Ask Linux to end this process should the supervisor be killed without a chance to clean up."""
    set_parent_death_signal = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _answers(url: str) -> bool:
    try:
        with _opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _healthy(url: str, *, since: float) -> bool:
    """Tell whether every part is well; a worker's sign of life from before `since` (Unix seconds) does not count."""
    try:
        with _opener.open(url, timeout=5) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    age = health["worker"]["age_seconds"]
    return bool(health["status"] == "ok" and age is not None and age <= time.time() - since)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _claim_port(port: int) -> socket.socket:
    """Listen at the shop's port from the start, so that nobody else can take it before the web server is there.

    Raises:
        DemoFailed: somebody has it.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise DemoFailed(f"Port {port} cannot be used ({error.strerror}). Choose another one: make demo PORT={port + 10}") from error
    return listener


def _end_of(log: Path) -> str:
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-15:])


def _say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Hold the state folder; two supervisors on one folder would ruin it.

    Raises:
        DemoFailed: another supervisor holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"The demo is running already with the state in {folder}. End it first, with Ctrl-C where it runs.") from None
        yield


def _forget(folder: Path) -> None:
    """Remove all state but the lock that we hold."""
    for entry in folder.iterdir():
        if entry.name == "lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise StopRequested


def main() -> int:
    """Return the exit status: 0 when told to end, 1 when something failed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    folder = state.folder()
    try:
        port = int(os.environ.get("PORT") or 8000)
        with _claimed(folder):
            if os.environ.get("DEMO_RESET") == "1":
                _forget(folder)
            supervisor = Supervisor(folder=folder, port=port)
            try:
                supervisor.run()
            finally:
                supervisor.stop()
    except DemoFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1
    except StopRequested:
        _say("\nEverything has been ended.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
