"""Break things on purpose and print what came of it: `make faults`, or `python -m tests.faults --only lost-answers`."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.faults.figures import Figure, Row, Size, header, judged, line
from tests.faults.world import World

LIMIT_SECONDS = {Size.SHORT: 600, Size.FULL: 3600}


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that what we started is ended on TERM as on Ctrl-C


def main() -> int:
    """Print a row per line of the table; the exit status is 1 when one of them does not show what it must."""
    from tests.faults.table import NAMES

    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Kill, cut and flood what refunds money, and count.")
    parser.add_argument("--short", action="store_true", help="small numbers, the same code: about three minutes instead of an hour")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=f"run this row; again for more: {', '.join(NAMES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument("--no-migrations", action="store_true", help="make the tables from the models")
    parser.add_argument("--keep-logs", type=Path, metavar="FOLDER", help="copy the processes' logs there")
    parser.add_argument("--defect", default="", metavar="NAME", help="break the engine: new-key-each-time, silence-is-failure")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    size = Size.SHORT if options.short else Size.FULL
    started = time.monotonic()
    logging.getLogger("refund_plugin").setLevel(logging.CRITICAL)  # what we provoke is no news; processes log to files of their own
    with World(migrations=not options.no_migrations, keep_logs=options.keep_logs, defect=options.defect) as world:
        from tests.faults.table import rows

        wanted = [row for row in rows() if not options.only or row.name in options.only]
        print(f"The worlds were made in {time.monotonic() - started:.0f} s.\n\n{header()}", flush=True)
        results = run_rows(world, wanted, size, LIMIT_SECONDS[size] - (time.monotonic() - started))
    seconds = time.monotonic() - started
    missed = [name for name, figure, _seconds in results if not figure.met]
    print(f"\n{len(results) - len(missed)} of {len(results)} rows met in {seconds:.0f} s (at most {LIMIT_SECONDS[size]} s).", flush=True)
    if options.json:
        options.json.write_text(
            json.dumps(
                [{"name": name, "met": figure.met, "text": figure.text, "problems": figure.problems} for name, figure, _s in results]
            )
        )
    return 1 if missed or seconds > LIMIT_SECONDS[size] else 0


def run_rows(world: World, wanted: Sequence[Row], size: Size, seconds: float) -> list[tuple[str, Figure, float]]:
    """Run rows and print each; those that the time does not suffice for are missed."""
    deadline = time.monotonic() + seconds
    results = []
    for row in wanted:
        began = time.monotonic()
        if began > deadline:
            figure = judged("not run", "the time was over")
        else:
            try:
                figure = row.run(world, size)
            except Exception as error:
                traceback.print_exc()
                figure = judged("broke", f"{type(error).__name__}: {error}")
        taken = time.monotonic() - began
        results.append((row.name, figure, taken))
        print(line(row, figure, taken), flush=True)
    return results


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped; everything that was started has been ended.", file=sys.stderr)
        sys.exit(130)
