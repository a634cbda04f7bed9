"""Make a small charge and refund it, in the gateway's test mode, through the real path."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.selftest import run_selftest

EPILOG = """examples:
  manage.py refunds_selftest
  manage.py refunds_selftest --account test --json

It refuses an account that moves real money. Nothing of it shows in lists, books or mail.

exit codes:
  0 every step gave what it must, 1 a step failed, 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 every step gave what it must, 1 a step failed, 2 wrong usage."""

    help = "Charge and refund a small amount in the gateway's test mode."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("--account", help="slug of the gateway account (the first one in test mode)")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, account: str | None, as_json: bool, **options: Any) -> None:
        """Run it and report each step."""
        result = run_selftest(account=_account(account), started_by="refunds_selftest", now=clock.now())
        if as_json:
            self.stdout.write(json.dumps({"fine": result.fine, "steps": result.steps}))
        else:
            for step in result.steps:
                self.stdout.write(f"{'ok  ' if step['fine'] else 'FAIL'} {step['name']:<8} {step['seconds']:7.3f} s  {step['detail']}")
        if not result.fine:
            raise CommandError("The self-test failed.")


def _account(slug: str | None) -> GatewayAccount:
    rows = GatewayAccount.objects.filter(slug__in=settings().gateways)
    tests = rows.filter(livemode=False).order_by("pk")
    found = rows.filter(slug=slug).first() if slug else tests.first()
    if found is None:
        names = ", ".join(tests.values_list("slug", flat=True))
        known = f"Accounts in test mode: {names}." if names else 'Add an account with a test key to REFUND_PLUGIN["GATEWAYS"].'
        missing = f"There is no gateway account “{slug}”." if slug else "There is no gateway account in test mode."
        raise CommandError(f"{missing} {known}", returncode=2)
    return found
