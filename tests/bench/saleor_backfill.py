"""How fast a Saleor's older orders are taken over, beside what its pages take, and whether memory stays as it is: on PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.backfill import BackfillReport, SalesReader
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import encrypt
from refund_plugin.stores.models import Store
from tests.bench.figures import Row, at_most, percentile
from tests.faults.world import World

ROOT = Path(__file__).resolve().parents[2]
STORE = "saleor-orders"
PAGES_ALONE = 20
MOST_GROWTH_MIB = 16


def taken_over(world: World, count: int) -> list[Row]:
    """Read `count` orders page by page, as workers do after the App was installed."""
    with _store(count) as api_url, world.row(plugin={"SALEOR": {api_url: {"store": STORE}}, "RATE_PER_SECOND": 0}, account={}):
        page_ms = _page_ms(api_url, min(PAGES_ALONE, max(1, count // 50)))
        account = _install(api_url)
        memory: list[float] = []

        def look(report: BackfillReport) -> None:
            if report.total % max(1, count // 20) == 0:
                memory.append(_resident_mib())

        reader = SalesReader(account=account, store=Store.objects.get(slug=STORE), now=clock.now(), on_progress=look)
        begun = time.perf_counter()
        report = reader.run()
        seconds = time.perf_counter() - begun
    if report.created != count:
        raise RuntimeError(f"{report.created} of {count} orders were recorded.")
    early, late = max(memory[: max(1, len(memory) // 4)]), max(memory)
    pages = -(-count // 50)
    return [
        Row(f"Orders of a Saleor taken over, {count:,}", f"{count / seconds:,.0f} /s"),
        Row("  a page of 50 at the store alone, p50", f"{percentile(page_ms, 50):.1f} ms"),
        Row("  the same page read and recorded", f"{seconds * 1000 / pages:.1f} ms"),
        at_most("  memory that the last three quarters added", late - early, MOST_GROWTH_MIB, "MiB", 1),
    ]


def _install(api_url: str) -> GatewayAccount:
    now = clock.now()
    Store.objects.create(slug=STORE, name="Saleor", adapter="saleor", timezone="UTC")
    SaleorInstallation.objects.create(
        slug=STORE, api_url=api_url, app_id="QXBwOjE=", token_encrypted=encrypt("token"), version="3.23.28", installed_at=now
    )
    return GatewayAccount.objects.create(slug=STORE, kind="saleor", livemode=True)


def _page_ms(api_url: str, pages: int) -> list[float]:
    """Time pages as the store gives them, without anything of ours."""
    taken = []
    with requests.Session() as session:
        for number in range(pages):
            begun = time.perf_counter()
            answer = session.post(api_url, json={"variables": {"first": 50, "after": str(number * 50)}}, timeout=60)
            answer.raise_for_status()
            taken.append((time.perf_counter() - begun) * 1000)
    return taken


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.contextmanager
def _store(count: int) -> Iterator[str]:
    """Serve so many orders from a process of its own, which makes each page when it is asked for; yields the API address."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.saleor_orders", str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/graphql/"
    finally:
        process.terminate()
        process.wait()
