"""Compare the gateway's listing of refunds with ours, now."""

from __future__ import annotations

import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import account_slugs
from refund_plugin.refunds.reconcile.models import Finding, ReconciliationRun, RunState
from refund_plugin.refunds.reconcile.services import advance_run, start_run

EPILOG = """examples:
  manage.py refunds_reconcile
  manage.py refunds_reconcile --account default --since 2026-01-01
  manage.py refunds_reconcile --no-wait      (the workers do it)

A run that is under way is joined; with --since it is read to its end first, and a run of its own follows, because the other
one may have begun before a restore or reach less far back. What the gateway tells and we did not know is recorded on the way.

exit codes:
  0 nothing differs, 1 something differs (each difference is named) or could not be read, 2 wrong usage
"""
PAUSE_SECONDS = 1.0  # between two tries of a page that somebody else reads, or that could not be read
WIDTH = 30


class Command(BaseCommand):
    """Exit codes: 0 nothing differs, 1 something differs or could not be read, 2 wrong usage."""

    help = "Compare the gateway's listing of refunds with ours."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--account", help="slug of one gateway account (every configured one)")
        parser.add_argument("--since", metavar="YYYY-MM-DD", help="read refunds made since this day, UTC (RECONCILE_DAYS)")
        parser.add_argument("--no-wait", action="store_true", help="start, and leave the reading to the workers")

    def handle(self, *args: Any, account: str | None, since: str | None, no_wait: bool, **options: Any) -> None:
        """Start or join the runs, read them to their end, and name what differs."""
        began = _day(since) if since else None
        runs = [self._start(row, began, no_wait=no_wait) for row in self._accounts(account)]
        if no_wait:
            self.stdout.write("\n".join(f"{run.account.slug}: run {run.pk} is under way." for run in runs))
            return
        for run in runs:
            self._read(run)
        failed = [run for run in runs if run.state == RunState.FAILED]
        findings = Finding.objects.filter(run__in=runs, resolved_at__isnull=True).select_related("account")
        for finding in findings:
            ours, theirs = finding.ours or "-", finding.theirs or "-"
            self.stdout.write(
                f"{finding.account.slug} {finding.gateway_refund_id}: {finding.get_kind_display()} (ours {ours}, theirs {theirs})"
            )
        for run in runs:
            counted = ", ".join(f"{count} {name}" for name, count in sorted(run.counts.items()) if count)
            self.stdout.write(f"{run.account.slug}: {run.get_state_display()}; {counted or 'nothing listed'}.")
        if failed:
            raise CommandError("The listing could not be read: " + ", ".join(f"{run.account.slug} ({run.last_error})" for run in failed))
        if findings:
            raise CommandError(f"{len(findings)} refunds differ.")

    def _accounts(self, slug: str | None) -> list[GatewayAccount]:
        rows = GatewayAccount.objects.filter(slug__in=account_slugs())
        found = list(rows.filter(slug=slug) if slug else rows)
        if not found:
            known = ", ".join(sorted(account_slugs())) or "none"
            raise CommandError(f"There is no such gateway account. Configured: {known}.", returncode=2)
        return found

    def _start(self, account: GatewayAccount, since: datetime | None, *, no_wait: bool) -> ReconciliationRun:
        """Start a run or join one. A day that was asked for needs a run that begins now and reaches back to it."""
        asked_at = clock.database_now()
        while True:
            run = start_run(account=account, since=since, started_by="refunds_reconcile")
            if since is None or (run.since <= since and run.started_at >= asked_at):
                return run
            if no_wait:
                raise CommandError(f"{account.slug}: run {run.pk} is under way and reads something else. Try again when it is done.")
            self.stderr.write(f"{account.slug}: another run is under way; it is read to its end first.")
            self._read(run)

    def _read(self, run: ReconciliationRun) -> None:
        """Read to the end; a bar on a terminal, and a word whenever the gateway cannot be read."""
        failures = run.failures
        while True:
            progressed = advance_run(run.pk, now=clock.now())
            run.refresh_from_db()
            if self.stderr.isatty():
                bar = "#" * round(WIDTH * run.share_done)
                end = "" if run.state == RunState.RUNNING else "\n"
                self.stderr.write(f"\r{run.account.slug} [{bar:<{WIDTH}}] {run.counts.get('listed', 0)} refunds", ending=end)
                self.stderr.flush()
            if run.state != RunState.RUNNING:
                return
            if run.failures > failures:
                failures = run.failures
                self.stderr.write(f"{run.account.slug}: the listing could not be read ({run.last_error}); it is tried again.")
            if not progressed:
                time.sleep(PAUSE_SECONDS)


def _day(text: str) -> datetime:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise CommandError("--since wants a day such as 2026-01-31.", returncode=2) from None
    if day > clock.now():
        raise CommandError(f"--since {text} lies ahead, so nothing would be compared.", returncode=2)
    return day
