"""Read the sales that Stripe made before it became the order book."""

from __future__ import annotations

from django.core.management.base import CommandError

from refund_plugin.conf import settings
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.management.backfilling import USAGE, BackfillCommand


class Command(BackfillCommand):
    """See `BackfillCommand`."""

    help = "Record the older sales of the Stripe accounts that are order books."
    source = "Stripe"
    accounts_help = "slug of one gateway account (all in ORDER_BOOKS)"
    example = """\
example:
  manage.py refunds_backfill_stripe --since 2026-01-01 --dry-run
  manage.py refunds_backfill_stripe --since 2026-01-01

"""

    def accounts(self, slug: str) -> list[GatewayAccount]:
        """Return those that `ORDER_BOOKS` names; see `BackfillCommand`."""
        books = settings().order_books
        hint = 'Write for example "ORDER_BOOKS": {"default": ""}.'
        if not books:
            raise CommandError(f'REFUND_PLUGIN["ORDER_BOOKS"] is empty, so there is nothing to read. {hint}', returncode=USAGE)
        if slug and slug not in books:
            known = ", ".join(sorted(books))
            raise CommandError(f'REFUND_PLUGIN["ORDER_BOOKS"] does not name the account "{slug}", only: {known}.', returncode=USAGE)
        ensure_accounts()
        return list(GatewayAccount.objects.filter(slug__in=[slug] if slug else list(books)).order_by("pk"))
