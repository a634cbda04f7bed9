"""How many past requests a draft judges again in a second, what that takes of memory, and the same work row by row."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refund_plugin import clock
from refund_plugin.rules import (
    LineFacts,
    LineVerdict,
    MoneyBack,
    NonRefundable,
    PolicyDocument,
    ProRated,
    Selector,
    UnusedOnly,
    evaluate,
)
from tests.bench import engine
from tests.bench.figures import Row, at_least, at_most

if TYPE_CHECKING:  # importing models reads the settings, which must not happen before the server is up
    from django.db.models import Model

    from refund_plugin.refunds.replay.models import ReplayRun

PERIOD_DAYS = 90
NAIVE = 500
UUID = "('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"


def past_policy() -> PolicyDocument:
    """Return what the shop decided by so far."""
    return PolicyDocument(
        (
            NonRefundable(anchor="final", selector=Selector(tags=frozenset({"tag-45"})), reason="Sold at a final discount."),
            UnusedOnly(anchor="unused", window_days=30, selector=Selector(product_types=frozenset({"ebook"}))),
            ProRated(anchor="left", by="unit", selector=Selector(product_types=frozenset({"course"}))),
            MoneyBack(anchor="guarantee", window_days=30),
        )
    )


def measure(few: int, many: int) -> list[Row]:
    """Return the rows of the replay; Django is set up, on PostgreSQL."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    shop = _Shop(many)
    shop.fill(1, few)
    _replay(shop, days=30)  # fills the caches that a worker fills once
    small = _peak(lambda: _replay(shop))
    shop.fill(few + 1, many)
    taken: list[float] = []
    large = _peak(lambda: taken.extend(_replay(shop, expected=many)))
    wall, processor = taken
    plain = _row_by_row(shop)
    name = f"{many:,} past requests replayed by {engine.CLAUSES} clauses"
    return [
        # of its own processor's time, however busy the machine is with other things
        at_least(f"{name}, per core", many / processor, 5000, "/s"),
        Row("  by the clock on the wall, one worker", f"{many / wall:,.0f} /s"),
        Row("  the same question row by row with the ORM, per core", f"{plain:,.0f} /s"),
        at_most(f"  memory ratio: peak with {many:,}, against {few:,}", large / small, 1.1, "x"),
        Row(f"  peak with {many:,}", f"{large / 1024:.0f} MiB"),
    ]


class _Shop:
    """A store whose requests of the last weeks are copies of one per line of the engine's measurement."""

    def __init__(self, total: int) -> None:
        from refund_plugin.refunds.models import Decision, RefundRequest
        from refund_plugin.stores.models import Store
        from tests.factories import EBOOK, make_purchase, publish_policy

        self.total, self.now = total, clock.now()
        self.store = Store.objects.create(slug="replay", name="Replayed shop", timezone="Europe/Berlin")
        self.version = publish_policy(clauses=past_policy().clauses, store=self.store, now=self.now - timedelta(days=400))
        self.samples = engine.lines()
        for number, facts in enumerate(self.samples):
            email = f"replay{number}@example.com"
            purchase = make_purchase(lines=(EBOOK,), number=f"replay-{number}", email=email, store=self.store)
            line = purchase.lines.get()
            stored = facts.as_json() | {"line_id": str(line.pk)}
            verdict = evaluate(past_policy(), LineFacts.from_json(stored))
            # asked before the replayed period begins, so that only the copies are read
            asked = self.now - timedelta(days=200)
            request = RefundRequest.objects.create(
                reference=f"S-{number}",
                store=self.store,
                purchase=purchase,
                customer=purchase.customer,
                state="declined",
                submission_key=f"sample-{number}",
                policy_version=self.version,
                tracking_nonce="n",
                created_at=asked,
                changed_at=asked,
            )
            Decision.objects.create(
                request=request,
                outcome="declined",
                policy_version=self.version,
                facts=[stored],
                verdicts=[verdict.as_json()],
                currency="EUR",
                actor_kind="engine",
                decided_at=asked,
            )

    def fill(self, first: int, last: int) -> None:
        """Add the requests with the numbers `first` to `last`, each decided a little later than the one before."""
        from django.db import connection

        from refund_plugin.refunds.models import Decision, RefundRequest

        step_seconds = (PERIOD_DAYS - 10) * 86_400 / self.total
        decided = f"timestamptz '{self.now.isoformat()}' - ({self.total} - n) * interval '{step_seconds:.6f} seconds'"
        times = {"created_at": decided, "changed_at": decided, "decided_at": decided}
        sample = f"'S-' || (n %% {len(self.samples)})"
        with connection.cursor() as cursor:
            # the copies are as consistent as the samples, so the checks of millions of rows would tell nothing
            cursor.execute("SET session_replication_role = replica")
            requests = {**times, "id": UUID, "reference": "'F-' || n", "submission_key": "'fill-' || n"}
            source = f'"{RefundRequest._meta.db_table}" AS t WHERE t.reference = {sample}'
            _insert(cursor, RefundRequest, requests, source, first, last)
            source = (
                f'"{Decision._meta.db_table}" AS t JOIN "{RefundRequest._meta.db_table}" AS r ON r.id = t.request_id'
                f" WHERE r.reference = {sample}"
            )
            _insert(cursor, Decision, {**times, "request_id": UUID}, source, first, last)
            cursor.execute("SET session_replication_role = DEFAULT")
            cursor.execute("VACUUM ANALYZE")


def _insert(cursor: Any, model: type[Model], values: dict[str, str], source: str, first: int, last: int) -> None:
    columns = [str(field.column) for field in model._meta.concrete_fields if field.column != "id" or "id" in values]
    cursor.execute(
        f'INSERT INTO "{model._meta.db_table}" ({", ".join(f"{chr(34)}{column}{chr(34)}" for column in columns)})'
        f" SELECT {', '.join(values.get(column, f't.{chr(34)}{column}{chr(34)}') for column in columns)}"
        f" FROM generate_series(%s::bigint, %s::bigint) AS n, {source} ORDER BY n",
        [first, last],
    )


def _replay(shop: _Shop, *, days: int = PERIOD_DAYS, expected: int | None = None) -> tuple[float, float]:
    """Replay the shop's past by the draft; return the seconds on the wall and of this process's processor."""
    from refund_plugin.refunds.replay.models import ReplayKind, ReplayState
    from refund_plugin.refunds.replay.services import advance_run, start_replay

    run: ReplayRun = start_replay(store=shop.store, policy_key="replay", document=engine.policy(), days=days, now=_end(shop))
    started, used = time.perf_counter(), time.process_time()
    advance_run(run.pk, now=run.until, deadline=float("inf"))
    taken = time.perf_counter() - started, time.process_time() - used
    run.refresh_from_db()
    read = run.counts.get(f"{ReplayKind.REQUESTS}:cases", 0)
    if run.state != ReplayState.DONE or (expected is not None and read != expected):
        raise RuntimeError(f"The replay is {run.state} after {read} requests: {run.last_error}")
    return taken


def _end(shop: _Shop) -> datetime:
    return shop.now + timedelta(minutes=1)


def _peak(work: Callable[[], object]) -> float:
    """Do the work and return the most memory (KiB) that this process held meanwhile."""
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the peak so far
    work()
    status = Path("/proc/self/status").read_text()
    return float(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def _row_by_row(shop: _Shop) -> float:
    """Return how many requests a second are judged again as it is usually written: read the rows of each, and evaluate."""
    from refund_plugin.orders.queries import lines_with_usage
    from refund_plugin.refunds.facts import gather_facts
    from refund_plugin.refunds.models import RefundRequest

    draft = engine.policy()
    asked = list(RefundRequest.objects.filter(store=shop.store, reference__startswith="F-").values_list("pk", flat=True)[:NAIVE])
    started = time.process_time()
    done = changed = 0
    for pk in asked:
        request = RefundRequest.objects.get(pk=pk)
        purchase, decision = request.purchase, request.decisions.get()
        lines = lines_with_usage(purchase)
        facts = gather_facts(purchase=purchase, lines=lines, quantities={}, now=request.created_at)
        verdicts: list[LineVerdict] = [evaluate(draft, facts[line.pk]) for line, _usage in lines]
        changed += [verdict.outcome.value for verdict in verdicts] != [told["outcome"] for told in decision.verdicts]
        done += 1
    return done / (time.process_time() - started)
