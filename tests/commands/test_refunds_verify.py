"""`refunds_verify`: quiet success, differences by name, and an exit code that a monitor understands."""

from __future__ import annotations

import json

import pytest
from django.db.models import F

from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.stores.models import Store
from tests.commands.helpers import run
from tests.factories import MEMORY, make_purchase, publish_policy
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def refunded(settings):
    """A purchase that was refunded."""
    settings.REFUND_PLUGIN = MEMORY
    ensure_accounts()
    publish_policy()
    purchase = make_purchase()
    ask(purchase)
    drive_refunds()
    return purchase


def test_when_everything_agrees_it_says_what_was_compared_and_succeeds():
    ran = run("refunds_verify")
    assert (ran.code, ran.out.strip()) == (0, "Everything agrees: 1 payments, 1 lines, 1 refunds, 5 entries.")
    assert "comparing payment" in ran.err


def test_a_difference_is_named_and_the_command_fails(refunded):
    Payment.objects.update(held_minor=3, captured_minor=F("captured_minor") + 3)
    ran = run("refunds_verify")
    assert (ran.code, ran.err) == (1, "1 numbers differ from the rows behind them.")
    assert ran.out.strip() == f"payment {refunded.payments.get().pk}: held is 3, the rows behind it give 0"


def test_json_carries_the_differences_and_the_totals(refunded):
    Payment.objects.update(held_minor=3, captured_minor=F("captured_minor") + 3)
    told = json.loads(run("refunds_verify", "--json").out)
    assert told["fine"] is False
    subject = str(refunded.payments.get().pk)
    assert told["differences"] == [{"check": "payment", "subject": subject, "field": "held", "stored": 3, "derived": 0}]
    totals = {(row["currency"], row["account"]): row["debit_minor"] - row["credit_minor"] for row in told["totals"]}
    assert totals == {
        ("EUR", "customer_payable"): 0,
        ("EUR", "gateway_clearing"): -1820,
        ("EUR", "revenue_contra"): 1701,
        ("EUR", "tax"): 119,
    }


def test_a_store_that_does_not_exist_is_named_with_those_that_do():
    ran = run("refunds_verify", "--store", "nowhere")
    assert ran.code == 2  # a monitor takes 1 for a difference in the books
    assert f"Known stores: {Store.objects.get().slug}." in ran.err
