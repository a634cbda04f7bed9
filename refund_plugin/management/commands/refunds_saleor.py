"""Which Saleors have installed the App, and whether each still works, from a shell."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.saleor.models import SaleorInstallation

EPILOG = """examples:
  manage.py refunds_saleor                 # list them
  manage.py refunds_saleor --check         # ask each whether the token works, what we may do, and what it delivers
  manage.py refunds_saleor --check shop-example

A check also lifts the hold of an account whose cause is mended, and puts one on hold whose token or permissions are gone.

exit codes:
  0 all is well, 1 at least one is not, 2 wrong usage
"""


@dataclass(frozen=True, slots=True)
class Line:
    """What is told of one installation; `since` when it is as it is, `problems` is None when nobody looked."""

    slug: str
    api_url: str
    version: str
    is_active: bool
    since: str
    permissions: list[str]
    problems: list[str] | None = None

    def text(self) -> str:
        """Return it for people."""
        state = "installed" if self.is_active else "removed"
        lines = [f"{self.slug}: {self.api_url}, Saleor {self.version or '?'}, {state} {self.since[:10]}"]
        if self.problems is not None and self.is_active:
            lines += [f"  {problem}" for problem in self.problems] or ["  all is well"]
        return "\n".join(lines)


class Command(BaseCommand):
    """Exit codes: 0 all is well, 1 at least one is not, 2 wrong usage."""

    help = "List the Saleors that have installed the App; --check asks each whether all is well."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare which, and whether they are asked."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("slugs", nargs="*", metavar="slug", help="only these (all)")
        parser.add_argument("--check", action="store_true", help="ask each Saleor")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, slugs: Sequence[str], check: bool, as_json: bool, **options: Any) -> None:
        """List them."""
        lines = [_line(installation, check=check) for installation in _installations(slugs)]
        if as_json:
            self.stdout.write(json.dumps([asdict(line) for line in lines], indent=2))
        else:
            none = 'No Saleor has installed the App yet. Name it in REFUND_PLUGIN["SALEOR"]; docs/saleor.md tells the rest.'
            self.stdout.write("\n".join(line.text() for line in lines) or none)
        if any(line.problems for line in lines):
            raise CommandError("Not all is well.", returncode=1)


def _installations(slugs: Sequence[str]) -> list[SaleorInstallation]:
    rows = SaleorInstallation.objects.order_by("slug")
    found = list(rows.filter(slug__in=slugs) if slugs else rows)
    if missing := set(slugs) - {installation.slug for installation in found}:
        known = ", ".join(rows.values_list("slug", flat=True)) or "none"
        raise CommandError(f"There is no installation “{'”, “'.join(sorted(missing))}”. There are: {known}.", returncode=2)
    return found


def _line(installation: SaleorInstallation, *, check: bool) -> Line:
    problems = _problems(installation) if check and installation.is_active else None
    if check:
        installation.refresh_from_db()
    since = installation.installed_at if installation.is_active else installation.removed_at or installation.installed_at
    return Line(
        slug=installation.slug,
        api_url=installation.api_url,
        version=installation.version,
        is_active=installation.is_active,
        since=since.isoformat(),
        permissions=list(installation.permissions),
        problems=problems,
    )


def _problems(installation: SaleorInstallation) -> list[str]:
    if find_spec("gql") is None:
        raise CommandError('Run: pip install "wagtail-refund-plugin[saleor]".', returncode=2)
    from refund_plugin.saleor_app.upkeep import look_at_deliveries, look_at_installation

    problem = look_at_installation(installation, now=clock.now())
    return [problem] if problem else look_at_deliveries(installation)
