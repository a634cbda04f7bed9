"""`refundPolicy`: the conditions before anybody asks."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from refund_plugin.policies.services import close_policy
from refund_plugin.rules import MoneyBack
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


def about(send, **product):
    return send("RefundPolicyForProduct", {"product": product}).data


def test_a_product_is_told_what_is_about_it_and_nothing_else(send, policy):
    told = about(send, tags=["final-sale"], sku="EB-1")
    assert told["badge"].startswith("Not refundable: ")
    assert told["badge"].endswith(told["refusalReason"])
    assert (told["tag"], told["url"]) == ("no", "/policy/")
    assert [clause["anchor"] for clause in told["clauses"]] == ["final-sale"]
    assert told["besideBadge"] == "Except where the law gives you more."
    told = about(send)
    assert told["refusalReason"] is None
    assert told["besideBadge"] == ""
    assert "final-sale" not in [clause["anchor"] for clause in told["clauses"]]


def test_a_product_brings_the_data_for_search_engines(send, store):
    publish_policy(clauses=[MoneyBack(anchor="guarantee", window_days=30)])
    told = about(send, country="de", sku="</script>")
    assert (told["badge"], told["tag"]) == ("30-day guarantee", "yes")
    assert "<" not in told["structuredData"]
    node = json.loads(told["structuredData"])
    assert node["merchantReturnDays"] == 30
    assert node["merchantReturnLink"] == "https://shop.example/policy/"
    assert node["applicableCountry"] == ["DE"]


def test_a_product_of_a_store_without_a_policy_is_told_nothing(send, policy, other_store):
    variables = {"product": {"sku": "EB-1"}, "channel": "other"}
    assert send("RefundPolicyForProduct", variables).data is None


@pytest.mark.parametrize("product", [{"tags": ["x"] * 51}, {"categories": ["x" * 201]}, {"sku": "x" * 201}, {"currency": "euro"}])
def test_a_product_that_is_too_large_or_wrong_is_refused(send, policy, product):
    failure = send("RefundPolicyForProduct", {"product": product}).failure
    assert failure["extensions"]["code"] == "INVALID"
    assert failure["message"].startswith(("Name", "Use at most"))


def test_badges_of_products_cost_one_query_each(send, policy, django_assert_num_queries):
    about(send, sku="EB-1")
    query = '{ refundPolicyForProduct(product: {sku: "EB-1"}) { badge tag } }'
    with django_assert_num_queries(1):
        assert send(query).data["badge"]
