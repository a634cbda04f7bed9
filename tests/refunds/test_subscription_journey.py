"""A plan is sold, asked back, ended and refunded over real HTTP, while it renews once more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from demo.sandbox.process import SandboxServer
from refund_plugin.gateways.services import default_account
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.subscriptions.models import EndState, InvoiceNote, SubscriptionEnd
from refund_plugin.refunds.sweep import sweep_once
from refund_plugin.rules import ProRated
from tests.demo.conftest import client_of
from tests.demo.receiver import Receiver
from tests.factories import publish_policy
from tests.orders.test_sales import Door
from tests.refunds.helpers import ask, only_refund


@pytest.fixture
def door(sandbox: SandboxServer, settings: Any, transactional_db: None) -> Iterator[Door]:
    """What the sandbox tells of sales; the account is the order book."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ORDER_BOOKS": {"default": ""}, "RATE_PER_SECOND": 0}
    default_account()
    with Receiver() as receiver:
        sandbox.post("webhooks/endpoint", url=receiver.url, secret="whsec_tests")
        yield Door(receiver)


def test_a_plan_is_asked_back_after_twenty_days_and_ends_with_its_rest_and_its_renewal_refunded(sandbox: SandboxServer, door: Door) -> None:
    publish_policy(clauses=[ProRated(anchor="plans", by="day")])
    session = sandbox.post("sales", mode="subscription", lines=[{"name": "Plan", "amount": 3000, "metadata": {"product_type": "plan"}}])
    door.bring(2)
    purchase = Purchase.objects.get()
    line = purchase.lines.get()
    assert line.term_start is not None and line.term_end is not None
    days = (line.term_end - line.term_start).days
    asked_at = line.term_start + timedelta(days=20)  # the law gives no more by then

    request = ask(purchase, now=asked_at)
    refund = only_refund(request)
    assert (refund.waits_for, refund.amount_minor) == ("subscription", round(3000 * (days - 20) / days))
    sandbox.post(f"subscriptions/{session['subscription']}/renew")
    door.bring(3, after=timedelta(days=32))
    assert RefundRequest.objects.count() == 1

    for _sweep in range(3):
        sweep_once(asked_at)

    assert SubscriptionEnd.objects.get().state == EndState.ENDED
    client = client_of(sandbox)
    assert client.v1.subscriptions.retrieve(session["subscription"]).status == "canceled"
    renewed = Purchase.objects.exclude(pk=purchase.pk).get()
    rest, renewal = only_refund(request), Refund.objects.get(payment__purchase=renewed)
    assert [(refund.state, refund.amount_minor) for refund in (rest, renewal)] == [
        ("succeeded", refund.amount_minor),
        ("succeeded", 3000),
    ]
    assert sandbox.get("counters")["refunds"]["amount"] == refund.amount_minor + 3000
    for paid_back in (rest, renewal):
        assert InvoiceNote.objects.get(refund=paid_back).number
        (note,) = client.v1.credit_notes.list({"invoice": paid_back.payment.invoice_id}).data
        assert (note.amount, [linked.refund for linked in note.refunds]) == (paid_back.amount_minor, [paid_back.gateway_refund_id])
