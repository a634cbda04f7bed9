"""Make, list and end service tokens of the GraphQL API."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.api.models import ServiceToken
from refund_plugin.api.tokens import create_token, revoke_token
from refund_plugin.errors import RefundPluginError
from refund_plugin.management.shell import store_named

EPILOG = """examples:
  manage.py refunds_token create "storefront"                               # for what customers may do themselves
  manage.py refunds_token create "back office" --scope view_cases --days 365
  manage.py refunds_token list
  manage.py refunds_token revoke 1f0c9a3e

exit codes:
  0 done, 1 refused, 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 done, 1 refused, 2 wrong usage."""

    help = "Make, list and end service tokens of the GraphQL API. A token is shown once, when it is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the three verbs."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="make a token and show it")
        create.add_argument("name", help="what it is for")
        create.add_argument("--store", help="slug of the store it belongs to (the default store)")
        create.add_argument(
            "--scope", action="append", default=[], choices=[action.value for action in Action], help="what it may do; can be repeated"
        )
        create.add_argument("--days", type=int, help="days until it expires (never)")
        listing = verbs.add_parser("list", help="show all tokens, without their secret")
        revoke = verbs.add_parser("revoke", help="end a token")
        revoke.add_argument("prefix", help="the eight characters after rpt_")
        for verb in (create, listing, revoke):
            verb.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, verb: str, as_json: bool, **options: Any) -> None:
        """Do what was asked."""
        try:
            if verb == "create":
                self.create(as_json=as_json, **options)
            elif verb == "list":
                self.show(list(ServiceToken.objects.select_related("store").order_by("created_at", "pk")), as_json)
            else:
                self.show([revoke_token(prefix=options["prefix"], now=clock.now())], as_json)
        except RefundPluginError as error:
            raise CommandError(str(error)) from error

    def create(self, *, name: str, store: str | None, scope: list[str], days: int | None, as_json: bool, **options: Any) -> None:
        """Make a token and print it, this once."""
        owner = store_named(store)
        now = clock.now()
        expires_at = None if days is None else now + timedelta(days=days)
        row, plain = create_token(store=owner, name=name, scopes=scope, now=now, expires_at=expires_at)
        if as_json:
            self.stdout.write(json.dumps({**describe(row), "token": plain}))
        else:
            self.stdout.write(plain)
            self.stderr.write(f"Keep it now: it cannot be shown again. Send it as “Authorization: Bearer {row_start(row)}…”.")

    def show(self, rows: list[ServiceToken], as_json: bool) -> None:
        """Print tokens without their secret."""
        if as_json:
            self.stdout.write(json.dumps([describe(row) for row in rows]))
            return
        if not rows:
            self.stdout.write("No service tokens. Make one with: manage.py refunds_token create NAME")
        for row in rows:
            told = describe(row)
            scopes = ", ".join(row.scopes) or "customers' own actions only"
            self.stdout.write(f"{row.prefix}  {told['state']:8}  {row.store.slug}  {row.name}  ({scopes})")


def row_start(row: ServiceToken) -> str:
    """Return how the token begins."""
    return f"rpt_{row.prefix}"


def describe(row: ServiceToken) -> dict[str, object]:
    """Return what may be known of a token."""
    expired = row.expires_at is not None and row.expires_at <= clock.now()
    return {
        "prefix": row.prefix,
        "name": row.name,
        "store": row.store.slug,
        "scopes": row.scopes,
        "state": "revoked" if row.revoked_at else "expired" if expired else "active",
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
    }
