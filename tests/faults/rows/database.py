"""A database that is restarted, that crashes, and that picks our workers as the victims of deadlocks."""

from __future__ import annotations

import random
import signal
import threading

import psycopg
from django.db import connections

from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import RefundState
from tests.faults import seeding, truth
from tests.faults.figures import Figure, Size, judged
from tests.faults.world import Scene, World


def run(world: World, size: Size) -> Figure:
    """Restart PostgreSQL in the middle of batches, in good order and by a crash, while another program locks the wrong way round."""
    count, restarts = size.of(short=120, full=3000), size.of(short=2, full=10)
    with world.row() as scene:
        # a crash must not lose what was committed; that is PostgreSQL's promise, and the run's servers are set up to be quick instead
        world.sql(f"ALTER DATABASE {scene.name} SET synchronous_commit = on")
        world.sql(f"ALTER DATABASE {scene.name} SET deadlock_timeout = '50ms'")
        seeding.reserve(scene, count)
        with scene.workers(2, interval=0.05):
            adversary = _Adversary(scene)
            for number in range(restarts):
                done = count * (number + 1) // (restarts + 2)
                scene.until(lambda done=done: _settled() >= done, seconds=120, what="a part is paid")
                adversary.pause()
                connections.close_all()
                world.postgres.halt(signal.SIGINT if number % 2 == 0 else signal.SIGQUIT)
                world.postgres.resume()
                adversary.resume()
            deadlocks = adversary.stop()
            scene.until_settled(seconds=size.of(short=60, full=300))
        found = truth.find(scene)
    return judged(
        f"{found.lost} lost, {found.paid_twice} twice of {found.debts:,}; {restarts} restarts, {deadlocks} deadlocks",
        *found.problems,
        "" if deadlocks else "no deadlock was forced",
    )


def _settled() -> int:
    return Refund.objects.filter(state=RefundState.SUCCEEDED).count()


class _Adversary:
    """A program that locks refunds before their purchases and payments, against the product's order, and never gives way."""

    def __init__(self, scene: Scene) -> None:
        self._url = scene.world.postgres.url.rpartition("/")[0] + f"/{scene.name}"
        self._chance = random.Random(3)
        self._ended, self._running = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._running.set()
        self._victims = 0
        self._seen = 0
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def pause(self) -> None:
        """Note the deadlocks so far, which a crash would forget, and keep still."""
        self._running.clear()
        self._idle.wait(30)
        self._victims += self._count()

    def resume(self) -> None:
        """Go on with new connections."""
        self._idle.clear()
        self._running.set()

    def stop(self) -> int:
        """End and return how many deadlocks PostgreSQL has ended in all, ours being the survivor."""
        self.pause()
        self._ended.set()
        self._running.set()
        self._thread.join()
        return self._victims

    def _count(self) -> int:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("SELECT pg_stat_force_next_flush()")
            row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        total = int(row[0]) if row else 0
        new, self._seen = max(0, total - self._seen), total
        return new

    def _work(self) -> None:
        while not self._ended.is_set():
            if not self._running.is_set():
                self._idle.set()
                self._running.wait()
                continue
            try:
                with psycopg.connect(self._url, autocommit=True) as connection:
                    # whoever waits this long looks for a deadlock and is its victim: let it be the others
                    connection.execute("SET deadlock_timeout = '5s'")
                    while self._running.is_set() and not self._ended.is_set():
                        self._lock_the_wrong_way_round(connection)
            except psycopg.OperationalError:
                continue  # the server is away

    def _lock_the_wrong_way_round(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        with connection.transaction():
            found = connection.execute(
                "SELECT r.id, p.id, p.purchase_id FROM refund_plugin_refund r JOIN refund_plugin_payment p ON p.id = r.payment_id "
                "WHERE r.state = 'processing' ORDER BY random() LIMIT 8"
            ).fetchall()
            connection.execute("SELECT 1 FROM refund_plugin_refund WHERE id = ANY(%s) FOR UPDATE", [[row[0] for row in found]])
            connection.execute("SELECT pg_sleep(0.02)")  # long enough for a worker to hold the purchase and to want the refund
            connection.execute("SELECT 1 FROM refund_plugin_payment WHERE id = ANY(%s) FOR UPDATE", [[row[1] for row in found]])
            connection.execute("SELECT 1 FROM refund_plugin_purchase WHERE id = ANY(%s) FOR UPDATE", [[row[2] for row in found]])
