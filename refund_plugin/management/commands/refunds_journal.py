"""Write the journal of refunds as CSV."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin.conf import settings
from refund_plugin.management.stores import find_store
from refund_plugin.refunds.ledger.journal import Unbalanced, as_csv, journal
from refund_plugin.refunds.ledger.queries import days

EPILOG = """examples:
  manage.py refunds_journal --from 2026-03-01 --to 2026-03-31 > march.csv
  manage.py refunds_journal --from 2026-03-01 --to 2026-03-31 --store default > march.csv

Days are those of the store's time zone; both are included. The last lines are the sums by currency.

exit codes:
  0 written and balanced, 1 debits and credits differ, 2 wrong usage
"""


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"“{text}” is no day; write it as 2026-03-31") from None


class Command(BaseCommand):
    """Exit codes: 0 written and balanced, 1 debits and credits differ, 2 wrong usage."""

    help = "Write every posting of a period as CSV to the output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--from", dest="first", type=_day, required=True, help="first day, such as 2026-03-01")
        parser.add_argument("--to", dest="last", type=_day, required=True, help="last day")
        parser.add_argument("--store", help="slug of one store (every store)")

    def handle(self, *args: Any, first: date, last: date, store: str | None, **options: Any) -> None:
        """Stream the journal."""
        if last < first:
            raise CommandError(f"--to {last} is before --from {first}.", returncode=2)
        owner = find_store(store) if store else None
        start, end = days(first, last, timezone=owner.timezone if owner else settings().zone)
        count = 0
        try:
            for line in as_csv(journal(start=start, end=end, store_id=owner.pk if owner else None)):
                self.stdout.write(line, ending="")
                count += 1
        except Unbalanced as error:
            raise CommandError("Debits and credits differ. Run: manage.py refunds_verify") from error
        self.stderr.write(f"{count} lines")
