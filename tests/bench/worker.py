"""A worker that sends refunds and nothing else, with the gateway of the measurements known to it: `python -m tests.bench.worker`.

It calls the function behind the Celery task `refund_plugin.drive_refunds`. A site that is in a hurry gives that task a
worker of its own, so that mail, which costs more than a refund, does not keep the money waiting.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

import django

LOOK_AGAIN_SECONDS = 0.05
READY = "ready"


def main() -> None:
    """Drive refunds until TERM."""
    django.setup()
    from django.db import close_old_connections

    import demo.shop.celery  # noqa: F401  (doorbells ring at the run's broker)
    from refund_plugin.refunds.calls import drive_refunds
    from tests.bench import gateway  # noqa: F401

    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    drive_refunds()  # connects
    print(READY, flush=True)
    while not ended.is_set():
        if not drive_refunds():
            close_old_connections()
            ended.wait(LOOK_AGAIN_SECONDS)


if __name__ == "__main__":
    main()
