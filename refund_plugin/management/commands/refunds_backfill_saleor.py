"""Read the orders that a Saleor took before the App was installed there; workers do the same by themselves after the installation."""

from __future__ import annotations

from django.core.management.base import CommandError

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import SALEOR, account_slugs
from refund_plugin.management.backfilling import USAGE, BackfillCommand


class Command(BackfillCommand):
    """See `BackfillCommand`."""

    help = "Record the older orders of the Saleors that installed the App."
    source = "Saleor"
    accounts_help = "slug of one Saleor (all that installed the App)"
    example = """\
example:
  manage.py refunds_backfill_saleor --since 2026-01-01 --dry-run
  manage.py refunds_backfill_saleor --account shop-example

"""

    def accounts(self, slug: str) -> list[GatewayAccount]:
        """Return the accounts of the Saleors that installed the App; see `BackfillCommand`."""
        installed = GatewayAccount.objects.filter(kind=SALEOR, slug__in=account_slugs()).order_by("pk")
        found = list(installed.filter(slug=slug) if slug else installed)
        if not found:
            known = ", ".join(installed.values_list("slug", flat=True)) or "none yet: install the App in Saleor first"
            raise CommandError(f"There is no such Saleor. Installed: {known}.", returncode=USAGE)
        return found
