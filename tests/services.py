"""Private servers for tests and measurements: PostgreSQL and Redis on free ports, gone when the block ends.

Neither keeps anything: the data lives in a temporary folder and is not synced to disk.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

POSTGRES_FOLDERS = "/usr/lib/postgresql/*/bin"
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 20.0
FREE_PORTS = range(20_000, 32_000)


class ServerFailed(RuntimeError):
    """A server could not be started; the message carries the end of its log."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on at this moment, and whose next one is mostly free, too.

    It lies below those that systems hand to outgoing connections, so that none of these takes it before the server does.

    Raises:
        ServerFailed: hardly any port is free.
    """
    for port in random.SystemRandom().sample(FREE_PORTS, 50):  # whatever the tests' seed, as others choose at the same time
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerFailed("There is no free port.")


def postgres_folder() -> Path | None:
    """Return the folder with `initdb` and `postgres` of the newest version found, if any."""
    found = [folder for folder in Path("/").glob(POSTGRES_FOLDERS.lstrip("/")) if (folder / "initdb").exists()]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged_user() -> str | None:
    """Return the user a server must run as: PostgreSQL refuses root. None means the present one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            pwd.getpwnam(name)
            return name
    raise ServerFailed("PostgreSQL cannot run as root and neither the user postgres nor nobody exists.")


def wait_until(condition: Callable[[], bool], *, timeout_seconds: float, what: str) -> None:
    """Return as soon as `condition` holds.

    Raises:
        TimeoutError: it did not within `timeout_seconds`.
    """
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {timeout_seconds:.0f} s")
        time.sleep(0.05)


class _PrivateServer:
    """One process with a temporary folder; subclasses say how to prepare, start and ask it."""

    name: str
    stop_signal = signal.SIGTERM

    def __init__(self) -> None:
        self.port = 0
        self.folder = Path()
        self.user: str | None = None
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Make what the server needs before its first start."""

    def command(self) -> list[str]:
        """Return the command line that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the server takes requests."""
        raise NotImplementedError

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            ServerFailed: it ended or stayed silent.
        """
        self.folder = Path(tempfile.mkdtemp(prefix=f"private-{self.name}-"))
        try:
            if self.user:
                shutil.chown(self.folder, user=self.user)
            self.prepare()
            self.resume()
        except BaseException:
            self.stop()
            raise
        return self

    def resume(self) -> None:
        """Start the process in the folder that exists, on the same port as before if it had one."""
        self.port = self.port or free_port()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, **self.owner()
            )
        process = self.process
        try:
            wait_until(
                lambda: process.poll() is not None or self.answers(), timeout_seconds=START_TIMEOUT_SECONDS, what=f"{self.name}: start"
            )
        except TimeoutError as error:
            raise ServerFailed(f"{error}\n{self.log_end()}") from error
        if process.poll() is not None:
            raise ServerFailed(f"{self.name} ended with status {process.returncode}\n{self.log_end()}")

    def halt(self, how: signal.Signals | None = None) -> None:
        """End the process (with SIGKILL: as in a power cut) and keep its folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how or self.stop_signal)
            try:
                self.process.wait(timeout=STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def stop(self) -> None:
        """End the process and remove its folder."""
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    def owner(self) -> dict[str, str | list[str]]:
        """Return the arguments that make a subprocess run as the unprivileged user."""
        return {"user": self.user, "group": pwd_group(self.user), "extra_groups": []} if self.user else {}

    def log_end(self) -> str:
        """Return the last lines of the server's log."""
        log = self.folder / "log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def pwd_group(user: str) -> int:
    """Return the number of the user's main group."""
    return pwd.getpwnam(user).pw_gid


class PrivatePostgres(_PrivateServer):
    """A PostgreSQL server of one's own; `url` is what `tests/settings.py` reads."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast shutdown": does not wait for clients

    def __init__(self) -> None:
        super().__init__()
        binaries = postgres_folder()
        if binaries is None:
            raise ServerFailed("PostgreSQL's server programs were not found. On Debian: apt-get install postgresql")
        self.binaries = binaries
        self.user = _unprivileged_user()

    @property
    def url(self) -> str:
        """The address of the server's own database, for settings and clients."""
        return f"postgresql://refunds@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        result = subprocess.run(
            [self.binaries / "initdb", "-D", "data", "-U", "refunds", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            **self.owner(),
        )
        if result.returncode:
            raise ServerFailed(f"initdb failed\n{result.stdout}{result.stderr}")

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 100,
        }
        return [
            str(self.binaries / "postgres"),
            "-D",
            "data",
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]

    def answers(self) -> bool:
        ready = subprocess.run(
            [self.binaries / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-q"], stdin=subprocess.DEVNULL, check=False
        )
        return ready.returncode == 0


class PrivateRedis(_PrivateServer):
    """A Redis server of one's own that keeps nothing; `url` is what `tests/settings.py` reads."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        program = shutil.which("redis-server")
        if program is None:
            raise ServerFailed("redis-server was not found. On Debian: apt-get install redis-server")
        self.program = program

    @property
    def url(self) -> str:
        """The address of the server's first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "daemonize": "no"}
        return [self.program, *(part for name, value in options.items() for part in (f"--{name}", str(value)))]

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False


@contextlib.contextmanager
def private_services() -> Iterator[dict[str, str]]:
    """Run both servers and yield the environment that makes the test settings use them."""
    with PrivatePostgres() as postgres, PrivateRedis() as redis:
        yield {"REFUND_TEST_DATABASE": postgres.url, "REFUND_TEST_BROKER": redis.url}
