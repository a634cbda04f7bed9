"""What the commands share that read older sales of an order book."""

from __future__ import annotations

import json
import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.errors import GatewayMisconfigured, NotFound
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.backfill import BackfillReport, GatewaySilent, LeftOut, SalesReader
from refund_plugin.orders.sales import order_book_of

EXIT_CODES = """\
It reads from new to old and may be interrupted at any time: the same command goes on where it was. It is safe to run again:
a sale that is known stays one purchase. Sales that cannot be recorded are named on the error output, with the reason.

exit codes:
  0 everything was read and recorded, 1 some sales could not be recorded, 2 wrong usage,
  3 %(source)s did not answer (run the same command again), 130 interrupted"""
REFUSED, USAGE, SILENT, INTERRUPTED = 1, 2, 3, 130


class BackfillCommand(BaseCommand):
    """Exit codes: see the epilogue of the help.

    `source` is who keeps the order book, `example` comes before the exit codes.
    """

    source = ""
    example = ""
    accounts_help = "slug of one gateway account"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = self.example + EXIT_CODES % {"source": self.source}
        parser.add_argument("--account", default="", help=self.accounts_help)
        parser.add_argument("--since", type=_moment, help="leave out older sales: a day such as 2026-01-31, or a moment (UTC)")
        parser.add_argument("--dry-run", action="store_true", help="read and check everything, keep nothing")
        parser.add_argument("--json", action="store_true", help="print the summary as JSON, one line for each account")

    def handle(self, *args: Any, account: str, since: datetime | None, dry_run: bool, **options: Any) -> None:
        """Read one account after the other, and print a summary of each."""
        rejected = sum(self._read(row, since=since, dry_run=dry_run, as_json=options["json"]) for row in self.accounts(account))
        if rejected:
            sys.exit(REFUSED)

    def accounts(self, slug: str) -> list[GatewayAccount]:
        """Return the accounts whose sales are read: all, or the one named by `slug`.

        Raises:
            CommandError: there is none.
        """
        raise NotImplementedError

    def _read(self, account: GatewayAccount, *, since: datetime | None, dry_run: bool, as_json: bool) -> int:
        now = clock.now()
        progress = _Progress(since=since, now=now, stream=sys.stderr)

        def leave_out(sale: LeftOut) -> None:
            progress.clear()
            self.stderr.write(f"{sale.source_id} was left out: {sale.reason}")

        try:
            store = order_book_of(account)
            assert store is not None
            reader = SalesReader(
                account=account, store=store, since=since, now=now, dry_run=dry_run, on_left_out=leave_out, on_progress=progress.show
            )
        except (GatewayMisconfigured, NotFound) as error:
            raise CommandError(str(error), returncode=USAGE) from error
        if reader.goes_on and not as_json:
            self.stdout.write(f"{account.slug}: going on where the last run ended.")
        try:
            report = reader.run()
        except GatewaySilent as error:
            progress.clear()
            self._summarise(account, reader.report, dry_run=dry_run, as_json=as_json)
            advice = "Correct the account first." if error.answer.hold else "Run the same command again to go on."
            raise CommandError(f"{account.slug}: {self.source} did not tell its sales ({error}). {advice}", returncode=SILENT) from error
        except KeyboardInterrupt:
            progress.clear()
            self._summarise(account, reader.report, dry_run=dry_run, as_json=as_json)
            raise CommandError("Interrupted. Run the same command again to go on.", returncode=INTERRUPTED) from None
        progress.clear()
        self._summarise(account, report, dry_run=dry_run, as_json=as_json)
        return report.rejected

    def _summarise(self, account: GatewayAccount, report: BackfillReport, *, dry_run: bool, as_json: bool) -> None:
        if as_json:
            reached = report.reached.isoformat() if report.reached else None
            self.stdout.write(json.dumps({"account": account.slug, "dry_run": dry_run, **asdict(report), "reached": reached}))
            return
        verb = "would be " if dry_run else ""
        self.stdout.write(
            f"{account.slug}: {report.total} sales read: {report.created} {verb}created, {report.updated} {verb}updated,"
            f" {report.unchanged} unchanged, {report.ignored} without a payment, {report.rejected} left out."
        )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day; write it like 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class _Progress:
    """Counts, and with a first day a bar too, on a terminal; silent elsewhere."""

    WIDTH = 30

    def __init__(self, *, since: datetime | None, now: datetime, stream: TextIO) -> None:
        self._since, self._now, self._stream = since, now, stream
        self._shown = stream.isatty()

    def show(self, report: BackfillReport) -> None:
        """Draw how far back the sales were read."""
        if not self._shown:
            return
        text = f"{report.total:,} sales, {report.created:,} new, {report.rejected:,} left out"
        if report.reached is not None:
            text += f", back to {report.reached:%Y-%m-%d}"
            if self._since is not None and self._since < self._now:
                done = min(1.0, max(0.0, (self._now - report.reached) / (self._now - self._since)))
                text = f"{'█' * round(done * self.WIDTH):░<{self.WIDTH}} {done:4.0%}  {text}"
        self._stream.write("\r" + text[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        self._stream.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
