"""What a row of the table works with: real PostgreSQL, real Redis, a sandbox over HTTP, and worker processes.

The servers live as long as the run. Each row gets a database of its own (a copy of one that was migrated once), an empty
broker, and a sandbox process of its own, so that no row sees what another did. Everything is ended with the block.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from demo.sandbox.process import SandboxServer
from tests.faults.nursery import ROOT, Child, Nursery
from tests.services import PrivatePostgres, PrivateRedis, free_port, wait_until

API_KEY, WEBHOOK_SECRET = "sk_test_tests", "whsec_tests"
SWEEP_SECONDS = 120.0

# Short, so that a run of minutes sees what takes hours in a shop; a row that measures the product's own times leaves them out.
QUICK: dict[str, Any] = {
    "LEASE_SECONDS": 2,
    "RETRY_BASE_SECONDS": 0.2,
    "RETRY_MAX_SECONDS": 2.0,
    "RATE_PER_SECOND": 2000,
    "BREAKER_SECONDS": 0.5,
}
QUICK_ACCOUNT: dict[str, Any] = {"read_timeout_seconds": 3}


class World:
    """The servers of a run; `row()` gives what one row works with.

    Args:
        migrations: make the database by the migrations; else from the models.
        keep_logs: a folder to copy the processes' logs to at the end.
        defect: break the workers of all rows on purpose; one of `hooks.DEFECTS`.
    """

    def __init__(self, *, migrations: bool = True, keep_logs: Path | None = None, defect: str = "") -> None:
        self.defect = defect
        self.folder = Path(tempfile.mkdtemp(prefix="refund-faults-"))
        self._migrations = migrations
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        if keep_logs:
            self._stack.callback(shutil.copytree, self.folder, keep_logs, dirs_exist_ok=True)
        self.calls = self.folder / "calls"
        self.ledgers: list[tuple[int, list[str]]] = []  # of each row: how many movements, and what was wrong with them
        self._rows = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.postgres = self._stack.enter_context(PrivatePostgres())
        self.redis = self._stack.enter_context(PrivateRedis())
        os.environ |= {
            "SHOP_STATE_DIR": str(self.folder / "state"),
            "DJANGO_SETTINGS_MODULE": "tests.faults.settings",
            "REFUND_TEST_DATABASE": self.postgres.url,
            "REFUND_TEST_DATABASE_NAME": "faults",
            "REFUND_TEST_BROKER": self.redis.url,
            "REFUND_FAULTS_CALLS": str(self.calls),
            **({} if self._migrations else {"REFUND_FAULTS_NO_MIGRATIONS": "1"}),
        }
        self.sql("CREATE DATABASE faults")
        nursery: list[Nursery] = []
        starting = threading.Thread(target=lambda: nursery.append(Nursery(self.folder)))
        starting.start()
        try:
            import django

            django.setup()
            from django.core.management import call_command
            from django.db import connections

            import demo.shop.celery  # noqa: F401  (doorbells ring at this broker)

            call_command("migrate", verbosity=0, interactive=False, run_syncdb=not self._migrations)
            connections.close_all()
            self._stack.callback(connections.close_all)
        finally:
            starting.join()
            if nursery:
                self.nursery = nursery[0]
                self._stack.callback(self.nursery.close)
        if not nursery:
            raise RuntimeError("the nursery did not start")

    def sql(self, statement: str) -> None:
        """Run one statement on the server's own database."""
        import psycopg

        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]

    @contextlib.contextmanager
    def row(self, **settings: Any) -> Iterator[Scene]:
        """Make what one row works with; see `Scene` for the arguments."""
        self._rows += 1
        scene = Scene(self, f"row{self._rows}", **settings)
        try:
            with scene:
                yield scene
        finally:
            self.nursery.end_children()

    def counted_calls(self) -> tuple[int, int]:
        """Return how many calls were made to the gateway in all rows, and how many of them with a transaction open."""
        letters = self.calls.read_bytes() if self.calls.exists() else b""
        return len(letters), letters.count(b"!")


class Scene:
    """One row's database, sandbox and processes.

    Args:
        plugin: what to change in `REFUND_PLUGIN`; `QUICK` when omitted.
        webhooks: run the site, and let the sandbox send it its webhooks.
        settle_after_ms: when pending refunds settle at the sandbox; by hand when omitted.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        plugin: Mapping[str, Any] | None = None,
        account: Mapping[str, Any] | None = None,
        webhooks: bool = False,
        settle_after_ms: int | None = None,
    ) -> None:
        self.world = world
        self.name = name
        self._plugin = dict(QUICK if plugin is None else plugin)
        self._account = dict(QUICK_ACCOUNT if account is None else account)
        self._webhooks = webhooks
        self._settle_after_ms = settle_after_ms
        self._stack = contextlib.ExitStack()
        self._celery = 0

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _start(self) -> None:
        from django.conf import settings
        from django.db import connections
        from django.test import override_settings

        from refund_plugin.events import doorbell

        connections.close_all()
        self.world.sql(f"CREATE DATABASE {self.name} TEMPLATE faults")
        connections["default"].settings_dict["NAME"] = self.name
        self._stack.callback(connections.close_all)
        doorbell._quiet_until = 0.0
        port = free_port()
        url = f"http://127.0.0.1:{port}/refunds/webhooks/stripe/default/" if self._webhooks else ""
        self.sandbox = SandboxServer(api_key=API_KEY, webhook_url=url, webhook_secret=WEBHOOK_SECRET, settle_after_ms=self._settle_after_ms)
        self._stack.enter_context(self.sandbox)
        account = {**settings.REFUND_PLUGIN["GATEWAYS"]["default"], "api_base": self.sandbox.url, **self._account}
        self._own_plugin = {**settings.REFUND_PLUGIN, "GATEWAYS": {"default": account}}
        self.plugin = {**self._own_plugin, **self._plugin}
        self._stack.enter_context(override_settings(REFUND_PLUGIN=self.plugin))
        self.web_url = f"http://127.0.0.1:{port}"
        if self._webhooks:
            self.web = self._fork("web", port=port)

    def _fork(self, kind: str, **order: Any) -> Child:
        return self.world.nursery.fork(
            kind,
            {
                "database": self.name,
                "broker": self.world.redis.url,
                "plugin": self.plugin,
                "calls": str(self.world.calls),
                "hooks": {},
                **order,
            },
        )

    def settings(self, **plugin: Any) -> None:
        """Give the processes that are started from now on the product's own settings, and these."""
        self.plugin = {**self._own_plugin, **plugin}

    def fault(self, kind: str, *, share: float = 1.0, seed: int = 0, times: int = 0, **options: Any) -> None:
        """Let the sandbox misbehave when refunds are made.

        Args:
            kind: see the sandbox's list.
            share: of the calls, drawn at random by `seed`.
            times: how many calls at most; 0 for any number.
        """
        wish = {"kind": kind, "probability": share, "seed": seed, "method": "POST", "path": "/v1/refunds", **options}
        self.sandbox.post("faults", **wish, **({"times": times} if times else {}))

    def behave(self) -> None:
        """Let the sandbox do what it is asked again."""
        self.sandbox.post("faults/clear")

    def forget_keys(self) -> None:
        """Let the sandbox forget every idempotency key, as Stripe may after a day."""
        self.sandbox.post("keys/forget", older_than_seconds=0)

    def refund_in_dashboard(self, gateway_payment_id: str, amount_minor: int) -> None:
        """Refund a payment as somebody does who knows nothing of us."""
        self.sandbox.post("refunds", payment_intent=gateway_payment_id, amount=amount_minor)

    def webhooks_waiting(self) -> int:
        """Return how many webhooks the site has not accepted yet."""
        waiting: int = self.sandbox.get("state")["counts"]["webhooks_waiting"]
        return waiting

    def posts(self) -> int:
        """Return how many times a refund was asked for at the sandbox, whatever was answered."""
        answers = self.sandbox.get("counters")["requests"].get("POST /v1/refunds", {})
        return sum(number for answer, number in answers.items() if answer != "replayed")  # these count beside their status

    def start_worker(self, *, interval: float = 0.1, **hooks: Any) -> Child:
        """Start a process that runs `refunds_worker`; see `hooks.install` for what may be planted in it."""
        return self._fork("worker", interval=interval, hooks={"defect": self.world.defect, **hooks})

    def sweep(self, **hooks: Any) -> None:
        """Let a worker process sweep once and end."""
        worker = self._fork("worker", interval=None, hooks={"defect": self.world.defect, **hooks})
        if not worker.ended.wait(SWEEP_SECONDS) or worker.status:
            raise RuntimeError(f"the sweep ended with {worker.end()}: {worker.log.read_text()[-2000:]}")

    @contextlib.contextmanager
    def workers(self, count: int = 2, **options: Any) -> Iterator[list[Child]]:
        """Run workers for a while."""
        started = [self.start_worker(**options) for _number in range(count)]
        try:
            yield started
        finally:
            for worker in started:
                worker.send(signal.SIGTERM)
            for worker in started:
                worker.end()

    def start_celery(self, *, concurrency: int = 1, beat: bool = True) -> subprocess.Popen[bytes]:
        """Start a Celery worker (with beat: the periodic sweep) and return its process, the leader of its group."""
        self._celery += 1
        name = f"{self.name}-celery-{self._celery}"
        account = self.plugin["GATEWAYS"]["default"]
        environment = {
            **os.environ,
            "REFUND_TEST_DATABASE_NAME": self.name,
            "REFUND_FAULTS_PLUGIN": json.dumps({key: value for key, value in self.plugin.items() if key != "GATEWAYS"}),
            "REFUND_FAULTS_ACCOUNT": json.dumps(account),
        }
        command = [sys.executable, "-m", "celery", "--app", "tests.faults.celery_app", "worker", "--concurrency", str(concurrency)]
        if beat:
            command += ["--beat", "--schedule", str(self.world.folder / f"{name}-schedule")]
        with (self.world.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)

        def end() -> None:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

        self._stack.callback(end)
        return process

    def until(self, condition: Callable[[], bool], *, seconds: float, what: str) -> float:
        """Wait for a condition and return how long it took, in seconds.

        Raises:
            TimeoutError: it did not hold in time.
        """
        started = time.monotonic()
        wait_until(condition, timeout_seconds=seconds, what=what)
        return time.monotonic() - started

    def open_refunds(self) -> int:
        """Return how many refunds have not come to an end."""
        from refund_plugin.refunds.models import Refund
        from refund_plugin.refunds.states import HELD

        return Refund.objects.filter(state__in=HELD).count()

    def until_settled(self, *, seconds: float) -> float:
        """Wait until every refund has come to an end."""
        return self.until(lambda: self.open_refunds() == 0, seconds=seconds, what="every refund came to an end")
