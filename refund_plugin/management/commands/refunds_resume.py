"""End a pause of automatic refunds, from a shell."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.errors import RefundPluginError
from refund_plugin.management.shell import shell_actor, store_named
from refund_plugin.refunds.brake.services import resume_automatic

EPILOG = """example:
  manage.py refunds_resume --why "The clause is corrected"

exit codes:
  0 resumed, 1 refused (nothing was paused), 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 resumed, 1 refused, 2 wrong usage."""

    help = "End a pause of automatic refunds; what waited is sent at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the store and the reason."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--why", default="", help="kept in the history")
        parser.add_argument("--store", help="slug of the store (the default store)")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, why: str, store: str | None, as_json: bool, **options: Any) -> None:
        """Resume."""
        resumed = store_named(store)
        try:
            resume_automatic(store=resumed, by=shell_actor(), why=why, now=clock.now())
        except RefundPluginError as error:
            raise CommandError(str(error)) from error
        if as_json:
            self.stdout.write(json.dumps({"store": resumed.slug, "paused": False}))
        else:
            self.stdout.write(f"Automatic refunds of “{resumed.name}” go on.")
