"""Send refunds, mails and webhooks' consequences without Celery: the same sweep that Celery's beat rings for."""

from __future__ import annotations

import logging
import signal
import threading
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import close_old_connections

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.refunds.sweep import sweep_once

logger = logging.getLogger(__name__)

EPILOG = """\
example:
  manage.py refunds_worker --interval 1
  manage.py refunds_worker --once        (from cron)

Several may run at once, also beside Celery workers. TERM or Ctrl-C ends it after the sweep it is in.

exit codes:
  0 ended as asked, 1 the sweep failed (--once), 2 wrong usage"""


class Command(BaseCommand):
    """Exit codes: 0 ended as asked, 1 the sweep failed (`--once`), 2 wrong usage."""

    help = "Do the background work of refunds without Celery."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--once", action="store_true", help="sweep once and end")
        parser.add_argument("--interval", type=float, metavar="SECONDS", help="pause between sweeps (SWEEP_SECONDS)")

    def handle(self, *args: Any, once: bool, interval: float | None, **options: Any) -> None:
        """Sweep until told to end."""
        pause = float(settings().sweep_seconds) if interval is None else interval
        if pause <= 0:
            raise CommandError("--interval must be above 0.")
        ended = threading.Event()

        def end(number: int, frame: FrameType | None) -> None:
            ended.set()

        if once:
            self._sweep()
            return
        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        self.stdout.write(f"refunds_worker: sweeping every {pause:g} s; TERM or Ctrl-C ends it.")
        self.stdout.flush()
        try:
            while not ended.is_set():
                try:
                    busy = self._sweep()
                except Exception:
                    # the database may be restarting, a setting may be wrong: the work waits, and so do we
                    logger.exception("the sweep failed; it is tried again in %g s", pause)
                    busy = False
                finally:
                    close_old_connections()
                if not busy:
                    ended.wait(pause)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self.stdout.write("refunds_worker: ended.")

    def _sweep(self) -> bool:
        """Sweep once; tell whether there may be more to do at once."""
        swept = sweep_once(clock.now())
        return bool(swept.calls or swept.deliveries or swept.duties)
