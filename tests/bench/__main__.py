"""Measure and print: `make bench`, or `python -m tests.bench --only engine`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from tests.bench import engine, figures, journey, page, replay, requests

if TYPE_CHECKING:
    from tests.faults.world import World

# in the order of the table; the second group works in databases of its own, with worker processes, a broker and a sandbox
SITE_PARTS = ("engine", "request", "page", "replay", "journey")
MONEY_PARTS = ("limit", "speed", "claim", "webhook", "saleor", "orders", "size")


@dataclass(frozen=True, slots=True)
class Numbers:
    """How much is measured; the code is the same."""

    at_the_limit: int
    without_limit: int
    claims: int
    webhooks: int
    few: int
    many: int
    batch: int
    batches: int
    replayed: tuple[int, int] = (100_000, 1_000_000)
    orders: int = 100_000


FULL = Numbers(at_the_limit=10_000, without_limit=5_000, claims=10_000, webhooks=200, few=10_000, many=1_000_000, batch=200, batches=15)
QUICK = Numbers(
    at_the_limit=1_000,
    without_limit=1_000,
    claims=3_000,
    webhooks=100,
    few=10_000,
    many=100_000,
    batch=100,
    batches=9,
    replayed=(10_000, 100_000),
    orders=10_000,
)
TINY = Numbers(
    at_the_limit=30, without_limit=30, claims=100, webhooks=5, few=20, many=40, batch=5, batches=2, replayed=(80, 160), orders=120
)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that what we started is ended on TERM as on Ctrl-C


def main() -> int:
    """Print a row per figure; the exit status is 0 also where an aim is missed, for that depends on the machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure decisions, requests and the way of the money.")
    parser.add_argument("--only", choices=SITE_PARTS + MONEY_PARTS, action="append", help="measure this part; may be given again")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="numbers", action="store_const", const=QUICK, default=FULL, help="a tenth of the refunds: minutes")
    size.add_argument("--tiny", dest="numbers", action="store_const", const=TINY, help="so few that it only shows that it works")
    parser.add_argument("--bare", action="store_true", help="rows only, without the machine and the head of the table")
    options = parser.parse_args()
    wanted = options.only or SITE_PARTS + MONEY_PARTS
    groups = [group for group in ([p for p in SITE_PARTS if p in wanted], [p for p in MONEY_PARTS if p in wanted]) if group]
    signal.signal(signal.SIGTERM, _stop)
    if not options.bare:
        print(f"{figures.machine()}\n\n{figures.header()}", flush=True)
    if len(groups) > 1:
        flags = [flag for flag, numbers in (("--quick", QUICK), ("--tiny", TINY)) if numbers is options.numbers]
        return max(_run_alone(group, flags) for group in groups)
    if groups[0][0] in SITE_PARTS:
        _measure_site(groups[0], options.numbers)
    else:
        _measure_money(groups[0], options.numbers)
    return 0


def _run_alone(parts: Sequence[str], flags: Sequence[str]) -> int:
    """Measure in a process of its own, because settings are read once; return its exit status."""
    only = [word for part in parts for word in ("--only", part)]
    process = subprocess.Popen([sys.executable, "-m", "tests.bench", "--bare", *flags, *only])
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise


def _measure_site(parts: Sequence[str], numbers: Numbers) -> None:
    with ExitStack() as cleaning:
        if {"page", "replay", "request"} & set(parts):
            cleaning.enter_context(requests.postgres())
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        if "engine" in parts:
            _show(engine.measure())
        if "request" in parts:
            _show(requests.measure())
        if "page" in parts:
            _show(page.measure())
        if "replay" in parts:
            _show(replay.measure(*numbers.replayed))
    if "journey" in parts:
        _show(journey.measure())


def _measure_money(parts: Sequence[str], numbers: Numbers) -> None:
    from tests.faults.world import World

    with World() as world:
        for part in parts:
            _show(_measures(world, numbers)[part]())


def _measures(world: World, numbers: Numbers) -> dict[str, Callable[[], list[figures.Row]]]:
    from tests.bench import flat, money, saleor, saleor_backfill, webhooks

    return {
        "limit": lambda: money.at_the_limit(world, numbers.at_the_limit),
        "speed": lambda: money.without_limit(world, numbers.without_limit),
        "claim": lambda: money.claims(world, numbers.claims),
        "webhook": lambda: webhooks.acknowledged(world, numbers.webhooks),
        "saleor": lambda: saleor.answered(world, numbers.webhooks),
        "orders": lambda: saleor_backfill.taken_over(world, numbers.orders),
        "size": lambda: flat.cost(world, numbers.few, numbers.many, batch=numbers.batch, batches=numbers.batches),
    }


def _show(rows: list[figures.Row]) -> None:
    print("\n".join(str(row) for row in rows), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped; everything that was started has been ended.", file=sys.stderr)
        sys.exit(130)
