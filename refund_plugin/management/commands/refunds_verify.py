"""Recompute every balance from the rows behind it and from the ledger."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin.management.stores import find_store
from refund_plugin.refunds.ledger.verify import Report, verify

EPILOG = """examples:
  manage.py refunds_verify
  manage.py refunds_verify --store default --json

exit codes:
  0 everything agrees, 1 something differs (each difference is named), 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 everything agrees, 1 something differs, 2 wrong usage."""

    help = "Compare payments, lines, refunds and the ledger with one another. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--store", help="slug of one store (every store)")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, store: str | None, as_json: bool, **options: Any) -> None:
        """Compare and report; what was compared goes to the error stream, what differs to the output."""
        store_id = find_store(store).pk if store else None
        report = verify(store_id=store_id, progress=lambda name: self.stderr.write(f"comparing {name} …"))
        self.stdout.write(json.dumps(describe(report)) if as_json else write(report))
        if not report.fine:
            raise CommandError(f"{len(report.differences)} numbers differ from the rows behind them.")


def describe(report: Report) -> dict[str, object]:
    """Return a report as JSON-able data."""
    return {
        "fine": report.fine,
        "checked": report.checked,
        "differences": [
            {"check": item.check, "subject": item.subject, "field": item.field, "stored": item.stored, "derived": item.derived}
            for item in report.differences
        ],
        "more": report.more,
        "totals": [
            {"currency": currency, "account": account, "debit_minor": debit, "credit_minor": credit}
            for (currency, account), (debit, credit) in report.totals.items()
        ],
    }


def write(report: Report) -> str:
    """Return a report for people."""
    lines = [str(difference) for difference in report.differences]
    lines += [f"{name}: there are more than are named here" for name in report.more]
    if report.fine:
        counts = ", ".join(f"{count} {name}" for name, count in report.checked.items())
        lines.append(f"Everything agrees: {counts}.")
    return "\n".join(lines)
