"""One story of two payments, told by webhooks in every order: whatever comes first, again or late, the end is the same.

Each permutation starts from the same rows, takes in every event five times in an order of its own through the door that gateways
call, lets workers apply what waits at moments of their own, and is rolled back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Sum

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.services import default_account
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.refunds.execute import begin_attempts, claim_due
from refund_plugin.refunds.ledger.models import LedgerEntry
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Dispute, Refund, RefundOrigin
from refund_plugin.refunds.outcomes import Told, record_answers
from refund_plugin.webhooks.apply import apply_waiting
from refund_plugin.webhooks.models import InboxState, WebhookEvent
from refund_plugin.webhooks.services import receive_webhook
from tests.factories import EBOOK, LICENCE, NOW, make_purchase
from tests.refunds.helpers import ask

TIMES = 5  # each event is delivered
SUMS = (Sum("debit_minor"), Sum("credit_minor"))
PAYMENTS = [3000, 1220, 900]


@dataclass(frozen=True)
class Story:
    """What the gateway has to tell, oldest first, and the answer that a worker has in its hands meanwhile."""

    purchase: Purchase
    events: list[dict[str, Any]]
    answer: Told


def tell_in_orders(count: int, *, seed: int = 0) -> list[str]:
    """Tell the story in `count` orders and return what was wrong, one sentence each.

    A policy that approves the tests' purchases is published, and the default account is Stripe's, with a secret for webhooks.
    """
    with _rolled_back():
        story = make_story()
        with _rolled_back():
            expected = _end_of(story, story.events, None)
        wrong = []
        for number in range(count):
            chance = random.Random(f"{seed}-{number}")
            events = story.events * TIMES
            chance.shuffle(events)
            with _rolled_back():
                ended = _end_of(story, events, chance)
            if ended != expected:
                order = [event["id"] for event in events]
                wrong.append(f"order {number} of seed {seed} ends as {ended} and not as {expected}: {order}")
    return wrong


def make_story() -> Story:
    """Two refunds of ours, one that the bank returns; one from the dashboard; a dispute that is won."""
    purchase = make_purchase(lines=[EBOOK, LICENCE, EBOOK], payments=PAYMENTS)
    ours = list(
        ask(purchase, {line: line.quantity for line in purchase.lines.order_by("pk")[:2]}, now=NOW).refunds.order_by("-amount_minor")
    )
    begun = {started.refund_id: started for started in begin_attempts(claim_due(batch=10))}
    third = purchase.payments.get(captured_minor=PAYMENTS[2]).gateway_payment_id
    start = clock.now() - timedelta(hours=1)
    told: list[tuple[str, dict[str, Any]]] = []
    for number, refund in enumerate(ours):
        for status in ("pending", "succeeded", "failed")[: 3 - number]:  # the bank returns the first
            kind = {"pending": "refund.created", "succeeded": "refund.updated", "failed": "refund.failed"}[status]
            told.append((kind, _refund(f"re_{number}", refund.amount_minor, status, refund.payment.gateway_payment_id, str(refund.pk))))
    told.append(("refund.created", _refund("re_external", 250, "succeeded", third, "")))
    for status in ("needs_response", "won"):
        told.append((f"charge.dispute.{'created' if status != 'won' else 'closed'}", _dispute(third, status)))
    events = [_event(number, kind, row, start + timedelta(minutes=number)) for number, (kind, row) in enumerate(told)]
    first = begun[ours[0].pk]
    answer = GatewayAnswer(kind=AnswerKind.PENDING, gateway_refund_id="re_0", amount=ours[0].amount)
    return Story(purchase, events, Told(first.refund_id, answer, first.call))


def _end_of(story: Story, events: list[dict[str, Any]], chance: random.Random | None) -> dict[str, object]:
    """Tell the events and return where the money is; by chance, workers apply now and then, and ours records its answer late."""
    account = default_account()
    answered_after = chance.randrange(len(events)) if chance else 0
    for place, event in enumerate(events):
        if place == answered_after:
            record_answers([story.answer], now=clock.now())
        body, signature = _signed(event)
        receive_webhook(kind=account.kind, slug=account.slug, body=body, signature=signature, now=clock.now())
        if chance is None or chance.random() < 0.12:
            apply_waiting()
    apply_waiting()
    return _money(story.purchase)


def _money(purchase: Purchase) -> dict[str, object]:
    """Return where the money of a purchase is, without the ids that differ from order to order."""
    refunds = Refund.objects.filter(payment__purchase=purchase)
    booked = LedgerEntry.objects.filter(payment__purchase=purchase).values_list("account")
    report = verify()
    return {
        "refunds": sorted(refunds.values_list("gateway_refund_id", "state", "origin", "amount_minor")),
        "payments": sorted(
            Payment.objects.filter(purchase=purchase).values_list(
                "gateway_payment_id", "held_minor", "gone_minor", "disputed_minor", "over_minor", "unallocated_minor"
            )
        ),
        "lines": sorted(PurchaseLine.objects.filter(purchase=purchase).values_list("pk", "held_minor", "gone_minor", "over_minor")),
        "disputes": sorted(Dispute.objects.filter(payment__purchase=purchase).values_list("gateway_dispute_id", "outcome")),
        "ledger": sorted((account, debit - credit) for account, debit, credit in booked.annotate(*SUMS) if debit != credit),
        "waiting": WebhookEvent.objects.exclude(state=InboxState.DONE).count(),
        "external": refunds.filter(origin=RefundOrigin.EXTERNAL).count(),
        "differences": [str(difference) for difference in report.differences],
    }


def _refund(name: str, minor: int, status: str, payment: str, refund_id: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "refund",
        "amount": minor,
        "currency": "eur",
        "status": status,
        "payment_intent": payment,
        "metadata": {"refund_id": refund_id, "installation": settings().installation} if refund_id else {},
    }


def _dispute(payment: str, status: str) -> dict[str, Any]:
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": PAYMENTS[2],
        "currency": "eur",
        "status": status,
        "reason": "product_not_received",
        "payment_intent": payment,
        "evidence_details": {"due_by": int(clock.now().timestamp()) + 1_000_000},
    }


def _event(number: int, kind: str, row: dict[str, Any], created: datetime) -> dict[str, Any]:
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": kind,
        "livemode": False,
        "created": int(created.timestamp()),
        "data": {"object": row},
    }


def _signed(event: dict[str, Any]) -> tuple[bytes, str]:
    body = json.dumps(event).encode()
    moment = int(clock.now().timestamp())
    secret = str(settings().gateways[default_account().slug]["webhook_secret"])
    return body, f"t={moment},v1={hmac.new(secret.encode(), f'{moment}.'.encode() + body, hashlib.sha256).hexdigest()}"


@contextmanager
def _rolled_back() -> Iterator[None]:
    """Undo everything at the end; like a test case's own transaction, this one is not counted by durable blocks and gateways."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)
