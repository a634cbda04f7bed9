"""Measure and print: `make bench`, or `python -m tests.bench --only engine`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from types import FrameType

from tests.bench import engine, figures, journey, requests

PARTS = ("engine", "request", "journey")


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # so that what we started is ended on TERM as on Ctrl-C


def main() -> int:
    """Print a row per figure; the exit status is 0 also where an aim is missed, for that depends on the machine."""
    parser = argparse.ArgumentParser(description="Measure decisions, requests and the way to the gateway.")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part; may be given again")
    wanted = parser.parse_args().only or PARTS
    signal.signal(signal.SIGTERM, _stop)
    print(f"{figures.machine()}\n\n{figures.header()}", flush=True)
    with ExitStack() as cleaning:
        if "request" in wanted:
            cleaning.enter_context(requests.postgres())
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        import django

        django.setup()
        if "engine" in wanted:
            _show(engine.measure())
        if "request" in wanted:
            _show(requests.measure())
    if "journey" in wanted:
        _show(journey.measure())
    return 0


def _show(rows: list[figures.Row]) -> None:
    print("\n".join(str(row) for row in rows), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nStopped; everything that was started has been ended.", file=sys.stderr)
        sys.exit(130)
