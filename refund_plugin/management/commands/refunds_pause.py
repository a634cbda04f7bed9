"""Stop automatic refunds for a while, from a shell."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.errors import RefundPluginError
from refund_plugin.localize import formatter_for
from refund_plugin.management.shell import shell_actor, store_named
from refund_plugin.refunds.brake.services import pause_automatic

EPILOG = """examples:
  manage.py refunds_pause --hours 4 --why "The new clause refunds everything"
  manage.py refunds_pause --store english-shop --hours 0.5 --why "The gateway is being moved"

What people approve is still sent, and customers can still ask. The pause ends by itself, or with refunds_resume.

exit codes:
  0 paused, 1 refused, 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 paused, 1 refused, 2 wrong usage."""

    help = "Stop automatic refunds for a while: nothing that the policy approves is sent until then."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare how long and why."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--hours", type=float, required=True, help="how long; a part of an hour is fine")
        parser.add_argument("--why", required=True, help="all staff read it")
        parser.add_argument("--store", help="slug of the store (the default store)")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, hours: float, why: str, store: str | None, as_json: bool, **options: Any) -> None:
        """Pause."""
        paused, now = store_named(store), clock.now()
        try:
            until = now + timedelta(hours=hours)
        except (OverflowError, ValueError):  # more hours than there are, or no number
            raise CommandError("Give the hours as a number such as 4 or 0.5.") from None
        try:
            pause_automatic(store=paused, until=until, by=shell_actor(), why=why, now=now)
        except RefundPluginError as error:
            raise CommandError(str(error)) from error
        if as_json:
            self.stdout.write(json.dumps({"store": paused.slug, "until": until.isoformat(), "why": why}))
        else:
            told = formatter_for(timezone=paused.timezone).datetime(until)
            self.stdout.write(f"Automatic refunds of “{paused.name}” are paused until {told} ({paused.timezone}).")
