"""Can a purchase be refunded, how much, why, and until when? The same answer as on the page, in a shell."""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.management.stores import find_store
from refund_plugin.orders.queries import find_purchase
from refund_plugin.refunds.quote import Quote, QuoteLine, quote_purchase
from refund_plugin.rules import LineExplanation, explain_line

EPILOG = """example:
  manage.py refunds_quote 1042 --email ada@example.com
  manage.py refunds_quote 1042 --email ada@example.com --explain
  manage.py refunds_quote 1042 --email ada@example.com --json

exit codes:
  0 answered, 1 no such purchase or another error, 2 wrong usage
"""


class Command(BaseCommand):
    """Exit codes: 0 answered, 1 error, 2 wrong usage."""

    help = "Say for every line of a purchase whether it can be refunded, how much, why, and until when. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("order", metavar="ORDER", help="order number")
        parser.add_argument("--email", required=True, help="the address it was bought with")
        parser.add_argument("--store", help="slug of the store (the default store)")
        parser.add_argument("--explain", action="store_true", help="tell also each clause that was tried, and by how much it was missed")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, order: str, email: str, store: str | None, explain: bool, as_json: bool, **options: Any) -> None:
        """Print the quote."""
        slug = find_store(store).slug if store else settings().store
        try:
            purchase = find_purchase(store_slug=slug, number=order, email=email)
            quote = quote_purchase(purchase=purchase, now=clock.now())
        except RefundPluginError as error:
            raise CommandError(str(error)) from error
        language = formatter_for(timezone=purchase.store.timezone, locale=translation.get_language())
        told = [(line, explain_line(line.verdict, quote.document, line.facts, language)) for line in quote.lines]
        if as_json:
            self.stdout.write(json.dumps(as_plain(quote, told), ensure_ascii=False, indent=2))
        else:
            self.write(quote, told, language, explain=explain)

    def write(self, quote: Quote, told: list[tuple[QuoteLine, LineExplanation]], language: Formatter, *, explain: bool) -> None:
        """Print for people."""
        purchase = quote.purchase
        self.stdout.write(self.style.MIGRATE_HEADING(f"{purchase.number}, {language.date(purchase.purchased_at)}"))
        for line, text in told:
            self.stdout.write(f"\n{line.quantity} x {line.line.name} ({line.line.sku})")
            style = self.style.SUCCESS if line.askable else self.style.WARNING
            self.stdout.write(f"  {style(text.headline)}. {text.tag_text}.")
            self.stdout.write(f"  {text.sentence}")
            for label, value in text.facts:
                self.stdout.write(f"    {label}: {value}")
            for number, clause in enumerate(text.considered if explain else (), 1):
                self.stdout.write(f"    {number}. {clause.title}: {clause.text}")
        self.stdout.write(f"\n{language.money(quote.total)}")


def as_plain(quote: Quote, told: list[tuple[QuoteLine, LineExplanation]]) -> dict[str, object]:
    """Return a quote as plain data."""
    return {
        "order": quote.purchase.number,
        "currency": quote.purchase.currency,
        "total_minor": quote.total.minor,
        "policy_version": quote.version.number if quote.version else None,
        "lines": [
            {
                "sku": line.line.sku,
                "name": line.line.name,
                "quantity": line.quantity,
                "outcome": line.verdict.outcome.value,
                "reason": line.verdict.reason.value,
                "amount_minor": line.amount.minor,
                "clause": line.verdict.clause_anchor,
                "explanation": text.sentence,
                "ask_until": line.verdict.ask_until.isoformat() if line.verdict.ask_until else None,
                "considered": [{"clause": each.anchor, "held": each.held.value, "explanation": each.text} for each in text.considered],
            }
            for line, text in told
        ],
    }
