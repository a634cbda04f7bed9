"""Ask for a refund from a shell, and follow it."""

from __future__ import annotations

import json
import secrets
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.management.stores import find_store
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.orders.queries import find_purchase
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.queries import case
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.timeline import Timeline, timeline
from refund_plugin.refunds.tracking import tracking_url

POLL_SECONDS = 0.1
WITH_PEOPLE = frozenset({"in_review", "needs_evidence", "needs_person"})
MARKS = {"done": "+", "now": ">", "next": ".", "problem": "!"}
EPILOG = """examples:
  manage.py refunds_request 1042 --email ada@example.com --line EBOOK-1 --reason changed_mind
  manage.py refunds_request 1042 --email ada@example.com --line GRAIN-1:2 --reason defective --wait --json

exit codes:
  0 asked (with --wait: settled, or with a person), 1 declined or another error, 2 wrong usage
"""


def sku_and_quantity(text: str) -> tuple[str, int | None]:
    """Read `SKU` or `SKU:QTY`.

    Raises:
        ArgumentTypeError: a quantity that is no number above zero.
    """
    sku, colon, quantity = text.rpartition(":")
    if not colon:
        return text, None
    if not sku or not (quantity.isascii() and quantity.isdigit()) or int(quantity) < 1:
        raise ArgumentTypeError(f"“{text}”: write SKU, or SKU:QTY with a quantity such as EBOOK-1:2")
    return sku, int(quantity)


class Command(BaseCommand):
    """Exit codes: 0 asked, 1 declined or error, 2 wrong usage."""

    help = "Ask for a refund on a customer's behalf, print the answer and the timeline."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the arguments."""
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EPILOG
        parser.add_argument("order", metavar="ORDER", help="order number")
        parser.add_argument("--email", required=True, help="the address it was bought with")
        parser.add_argument(
            "--line",
            action="append",
            required=True,
            type=sku_and_quantity,
            dest="wanted",
            metavar="SKU[:QTY]",
            help="what to refund; all units that are left without QTY; can be repeated",
        )
        parser.add_argument("--reason", required=True, choices=RequestReason.values, help="why the customer asks")
        parser.add_argument("--message", default="", help="the customer's own words")
        parser.add_argument("--person", action="store_true", help="what the policy declines is looked at by a person")
        parser.add_argument("--withdrawal", action="store_true", help="the customer declared a statutory withdrawal")
        parser.add_argument("--key", default="", help="one per question: asked again with the same key, nothing new is asked for")
        parser.add_argument("--store", help="slug of the store (the default store)")
        parser.add_argument("--wait", action="store_true", help="wait until the money has left or a person is needed")
        parser.add_argument("--timeout", type=float, default=60.0, help="seconds to --wait at most (60)")
        parser.add_argument("--json", action="store_true", dest="as_json", help="print JSON for scripts")

    def handle(self, *args: Any, order: str, email: str, store: str | None, wait: bool, timeout: float, **options: Any) -> None:
        """Ask, wait, print."""
        slug = find_store(store).slug if store else settings().store
        try:
            purchase = find_purchase(store_slug=slug, number=order, email=email)
            request = request_refund(
                purchase_id=purchase.pk,
                lines=choose(purchase, options["wanted"]),
                reason=options["reason"],
                message=options["message"],
                wants_person=options["person"],
                withdrawal=options["withdrawal"],
                by=SYSTEM,
                submission_key=options["key"] or secrets.token_hex(16),
                channel="command",
                now=clock.now(),
            )
        except RefundPluginError as error:
            raise CommandError(str(error)) from error
        settled, seen = wait_for(request.pk, timeout) if wait else (True, case(request.pk))
        steps = timeline(seen)
        language = formatter_for(timezone=purchase.store.timezone, locale=translation.get_language())
        if options["as_json"]:
            self.stdout.write(json.dumps(as_plain(seen, steps), ensure_ascii=False, indent=2))
        else:
            self.write(seen, steps, language)
        if not settled:
            raise CommandError(f"Not settled after {timeout:g} s. Is a worker running? Start one with: manage.py refunds_worker")
        if steps.status_code == "declined":
            raise CommandError("Declined by the policy. See why with: manage.py refunds_quote; ask a person with: --person")

    def write(self, request: RefundRequest, steps: Timeline, language: Formatter) -> None:
        """Print for people."""
        self.stdout.write(self.style.MIGRATE_HEADING(f"{request.reference}: {steps.status_code}, {language.money(steps.amount)}"))
        for step in steps.steps:
            when = f"{language.date(step.at)}, {language.time(step.at)}" if step.at else ""
            amount = language.money(step.amount) if step.amount is not None else ""
            told = ", ".join(part for part in (step.title, amount, step.detail, when) if part)
            self.stdout.write(f"  {MARKS[step.state]} {told}")
        self.stdout.write(f"{steps.next_step}\n{tracking_url(request)}")


def choose(purchase: Purchase, wanted: Sequence[tuple[str, int | None]]) -> dict[int, int]:
    """Return units by line id for what was named by SKU; lines with the same SKU are filled in order.

    Raises:
        CommandError: the purchase has no such SKU.
    """
    lines = list(purchase.lines.all())
    chosen: dict[int, int] = {}
    for sku, quantity in wanted:
        same = [line for line in lines if line.sku == sku and line.pk not in chosen]
        if not same:
            raise CommandError(f"The purchase has no other line “{sku}”. Its lines: {', '.join(line.sku for line in lines)}.")
        chosen |= spread(same, quantity)
    return chosen


def spread(lines: Sequence[PurchaseLine], quantity: int | None) -> dict[int, int]:
    """Return what to take of lines with one SKU; what is too much stays on the last one, so that the service refuses it."""
    if quantity is None:
        return {line.pk: line.quantity_left for line in lines if line.quantity_left > 0} or {lines[0].pk: 1}
    taken: dict[int, int] = {}
    for line in lines:
        part = min(quantity, max(line.quantity_left, 0))
        if part:
            taken[line.pk] = part
            quantity -= part
    if quantity:
        taken[lines[-1].pk] = taken.get(lines[-1].pk, 0) + quantity
    return taken


def wait_for(request_id: UUID, timeout: float) -> tuple[bool, RefundRequest]:
    """Look again and again until nothing changes by itself or a person is needed; False when that took too long."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        seen = case(request_id)
        now = timeline(seen)
        if now.final or now.status_code in WITH_PEOPLE:
            return True, seen
        if time.monotonic() >= deadline:
            return False, seen
        pause.wait(POLL_SECONDS)


def as_plain(request: RefundRequest, steps: Timeline) -> dict[str, object]:
    """Return a request and its timeline as plain data."""
    return {
        "reference": request.reference,
        "status": steps.status_code,
        "settlement": steps.settlement.value,
        "final": steps.final,
        "amount_minor": steps.amount.minor,
        "currency": steps.amount.currency,
        "tracking_url": tracking_url(request),
        "timeline": [
            {
                "code": step.code,
                "title": step.title,
                "detail": step.detail,
                "state": step.state,
                "at": step.at.isoformat() if step.at else None,
                "amount_minor": step.amount.minor if step.amount is not None else None,
            }
            for step in steps.steps
        ],
    }
