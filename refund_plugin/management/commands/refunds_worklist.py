"""The work list of a long outage: write what waits for its money as CSV, and read the filled list back."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.errors import InvalidInput
from refund_plugin.management.shell import shell_actor
from refund_plugin.management.stores import find_store
from refund_plugin.refunds.ledger.journal import as_csv
from refund_plugin.refunds.manual.worklist import check_list, export, record_list

EPILOG = """examples:
  manage.py refunds_worklist export > waiting.csv
  manage.py refunds_worklist export --claim > mine.csv
  manage.py refunds_worklist import mine.csv              (only checks)
  manage.py refunds_worklist import mine.csv --record

--claim takes the refunds away from the payment provider: pay them, fill in method (bank, store_credit or other), paid_on and
paid_reference, and import the list. Rows that are left empty stay claimed. Importing twice records nothing twice.

exit codes:
  0 done, 1 some row is wrong (each is named, and nothing was recorded) or the file cannot be read, 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 done, 1 some row is wrong or the file cannot be read, 2 wrong usage."""

    help = "Write the refunds that wait as a list to pay by hand, and read the filled list back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        doing = parser.add_subparsers(dest="doing", required=True)
        out = doing.add_parser("export", help="write the list to the output")
        out.add_argument("--claim", action="store_true", help="claim the refunds, so that the payment provider cannot pay them")
        out.add_argument("--store", help="slug of one store (every store)")
        back = doing.add_parser("import", help="read a filled list")
        back.add_argument("file", type=Path, metavar="FILE")
        back.add_argument("--record", action="store_true", help="record the payments; without this the list is only checked")
        back.add_argument("--json", action="store_true", help="print the outcome as JSON")

    def handle(self, *args: Any, doing: str, **options: Any) -> None:
        """Do one of the two."""
        if doing == "export":
            self._export(claim=options["claim"], store=options["store"])
        else:
            self._import(options["file"], record=options["record"], as_json=options["json"])

    def _export(self, *, claim: bool, store: str | None) -> None:
        by = replace(shell_actor(), store_id=find_store(store).pk) if store else shell_actor()
        count = -1
        for line in as_csv(export(by=by, claim=claim, now=clock.now(), on_progress=self._progress)):
            self.stdout.write(line, ending="")
            count += 1
        self.stderr.write(f"{count} refunds{', claimed' if claim else ''}")

    def _import(self, file: Path, *, record: bool, as_json: bool) -> None:
        if not file.is_file():
            raise CommandError(f"{file} does not exist.")
        try:
            if record:
                report = record_list(file.read_bytes(), by=shell_actor(), now=clock.now(), on_progress=self._progress)
            else:
                report = check_list(file.read_bytes(), by=shell_actor(), now=clock.now())
        except InvalidInput as error:
            raise CommandError(f"{file}: {error}") from error
        if as_json:
            counts = {"ready": len(report.ready), "recorded": report.recorded, "known": report.known, "empty": report.empty}
            self.stdout.write(json.dumps({**counts, "problems": [asdict(problem) for problem in report.problems]}))
        else:
            for problem in report.problems:
                self.stdout.write(f"line {problem.number}: {problem.refund}: {problem.why}")
            told = f"{report.recorded} recorded" if record else f"{len(report.ready)} ready to be recorded"
            self.stdout.write(f"{told}, {report.known} known already, {report.empty} empty, {len(report.problems)} wrong.")
            if not record and report.ready and not report.problems:
                self.stdout.write(f"Nothing was recorded yet. Run: manage.py refunds_worklist import {file} --record")
        if report.problems:
            sys.exit(1)

    def _progress(self, count: int) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{count:,} refunds")
            sys.stderr.flush()
