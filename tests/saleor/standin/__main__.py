"""Run a stand-in as a process: `python -m tests.saleor.standin --port 8400 --version 3.23`.

It sends its webhooks by itself, over HTTP, and is steered by `POST /_control/<verb>` (see `remote.py`).
"""

from __future__ import annotations

import argparse
import signal
import threading

from tests.saleor.standin.control import Standin
from tests.saleor.standin.schema import VERSIONS


def main() -> None:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--version", choices=sorted(VERSIONS), default=max(VERSIONS))
    wishes = parser.parse_args()
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: ended.set())
    standin = Standin(wishes.version, port=wishes.port).start()
    standin.work_in_background()
    print(f"saleor: {standin.api_url}", flush=True)
    ended.wait()
    standin.stop()


if __name__ == "__main__":
    main()
