"""`refundPolicy`: the conditions before anybody asks."""

from __future__ import annotations

from datetime import timedelta

from refund_plugin.policies.services import close_policy
from tests.factories import NOW, publish_policy


def test_the_policy_in_force_is_told_in_the_order_that_decides(send, policy):
    told = send("RefundPolicy").data
    assert (told["title"], told["version"], told["url"]) == ("Refunds", 1, "/policy/")
    assert [clause["anchor"] for clause in told["clauses"]] == ["final-sale", "unused", "lessons", "guarantee"]
    assert all(clause["title"] and clause["summary"] and clause["bullet"] for clause in told["clauses"])
    assert "30" in told["clauses"][3]["bullet"]


def test_a_version_that_is_not_in_force_yet_is_not_told(send, policy):
    publish_policy(clauses=[], now=NOW + timedelta(days=1))
    assert send("RefundPolicy").data["version"] == 1


def test_there_is_none_when_none_is_published_or_the_store_is_unknown(send, policy, other_store):
    assert send("RefundPolicy", {"channel": "other"}).data is None
    assert send("RefundPolicy", {"channel": "no-such"}).data is None
    close_policy(key=policy.policy.key, now=NOW - timedelta(days=1))
    assert send("RefundPolicy").data is None
