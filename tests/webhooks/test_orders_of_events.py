"""Webhooks in any order, five times each, beside the worker's own answer, end in the same state."""

from __future__ import annotations

import os

import pytest

from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.refunds import outcomes
from tests.factories import publish_policy
from tests.faults.model_webhooks import make_story, tell_in_orders
from tests.webhooks.test_stripe_webhooks import account_options

ORDERS = int(os.environ.get("REFUND_WEBHOOK_ORDERS", "30"))


@pytest.fixture
def policy(db, settings):
    settings.REFUND_PLUGIN = {"GATEWAYS": {"till": account_options()}}
    ensure_accounts()
    return publish_policy()


def test_webhooks_told_five_times_in_any_order_end_in_the_same_state(policy):
    assert tell_in_orders(ORDERS) == []


def test_orders_that_matter_are_noticed(policy, monkeypatch):
    monkeypatch.setattr(outcomes, "_is_old_news", lambda *arguments: False)
    assert tell_in_orders(3) != []


def test_the_story_tells_of_every_kind_of_event_that_moves_money(policy):
    kinds = {event["type"] for event in make_story().events}
    assert kinds >= {"refund.created", "refund.updated", "refund.failed", "charge.dispute.created", "charge.dispute.closed"}
