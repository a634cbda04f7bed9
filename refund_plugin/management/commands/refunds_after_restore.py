"""Make refunds safe to send after the database was restored from a backup."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin.refunds.manual.restore import list_before_sending, unfinished

EPILOG = """examples:
  manage.py refunds_after_restore
  manage.py refunds_after_restore --yes

Run it after a restore, while no worker, no beat and no web server runs. It may be run again.

exit codes:
  0 done, or nothing to do, 1 not confirmed, 2 wrong usage
"""
WHY = """\
The restored records may take refunds for unsent that were paid since the backup was made. From now on each of them is
looked up in the payment provider's listing before it is sent, and nobody can pay it by hand until then. What has failed and is
still owed can be sent again or paid by hand after the next reconciliation.
"""
NEXT = """\
Now start the workers, then find what the backup does not know: manage.py refunds_reconcile --since DAY
(DAY: the day before the backup). Open the web server to customers when that has run: until then a refund that was made after
the backup can be asked for again.\
"""


class Command(BaseCommand):
    """Exit codes: 0 done, or nothing to do, 1 not confirmed, 2 wrong usage."""

    help = "After a restore from a backup: look every unfinished refund up at the payment provider before it is sent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        """Say what is there, ask, and mark it."""
        counts = unfinished()
        total = sum(counts.values())
        self.stdout.write(WHY)
        self.stdout.write(f"{total} unfinished refunds" + "".join(f", {count} {state}" for state, count in counts.items()) + ".")
        if total:
            if not yes and not self._confirmed():
                raise CommandError("Nothing was changed. To go on without a question add --yes")
            self.stdout.write(self.style.SUCCESS(f"{list_before_sending()} refunds are looked up before they are sent."))
        self.stdout.write(NEXT)

    def _confirmed(self) -> bool:
        if not sys.stdin.isatty():
            return False
        return input("Go on? Type yes: ").strip().lower() == "yes"
