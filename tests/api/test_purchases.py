"""`purchases`: what a person who is signed in has bought, in pages."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin.actor import Action
from tests.factories import BOUGHT, COURSE, EBOOK, make_purchase, publish_policy

pytestmark = pytest.mark.usefixtures("policy")


def numbers(answer) -> list[str]:
    return [edge["node"]["orderNumber"] for edge in answer.data["edges"]]


def test_a_person_lists_their_own_purchases_of_a_store_and_no_others(send, person, other_store):
    ada, clerk = person("ada"), person("clerk", *Action)
    publish_policy(store=other_store)
    make_purchase(number="A-1", user_id=ada.user.pk, lines=[EBOOK, COURSE])
    make_purchase(number="G-1", email="ada@example.com")
    make_purchase(number="O-1", user_id=ada.user.pk, store=other_store)
    make_purchase(number="C-1", user_id=clerk.user.pk)
    listed = send("Purchases", client=ada)
    assert numbers(listed) == ["A-1"]
    (edge,) = listed.data["edges"]
    assert [(line["sku"], line["quantityLeft"], line["paid"]["minorAmount"]) for line in edge["node"]["lines"]] == [
        ("EBOOK-1", 1, 1820),
        ("COURSE-1", 1, 2987),
    ]
    assert edge["node"]["saleorOrderId"] is None
    assert numbers(send("Purchases", {"channel": "other"}, client=ada)) == ["O-1"]
    assert numbers(send("Purchases", client=clerk)) == ["C-1"]


def test_pages_follow_each_other_newest_first_also_within_one_moment(send, person):
    ada = person("ada")
    for name, days in (("A", 0), ("B", 0), ("C", 1), ("D", 1), ("E", 2)):
        make_purchase(number=name, user_id=ada.user.pk, purchased_at=BOUGHT - timedelta(days=days))
    seen, after = [], None
    for _page in range(3):
        page = send("Purchases", {"first": 2, "after": after}, client=ada)
        seen += numbers(page)
        after = page.data["pageInfo"]["endCursor"]
    assert seen == ["B", "A", "D", "C", "E"]
    assert page.data["pageInfo"]["hasNextPage"] is False
    assert send("query { purchases { totalCount } }", client=ada).data["totalCount"] == 5


@pytest.mark.parametrize("variables", [{"first": 0}, {"first": 101}, {"after": "garbage"}])
def test_a_page_that_does_not_exist_is_told(send, person, variables):
    assert send("Purchases", variables, client=person("ada")).failure["extensions"]["code"] == "INVALID"


@pytest.mark.parametrize("token", [False, True])
def test_strangers_and_programs_have_bought_nothing(send, service_token, token):
    make_purchase()
    answer = send("Purchases", token=service_token(*Action) if token else "")
    assert (answer.failure["extensions"]["code"], answer.body["data"]) == ("NOT_ALLOWED", None)


@pytest.mark.parametrize("count", [1, 8])
def test_the_list_takes_as_many_queries_for_one_as_for_many(send, person, count):
    ada = person("ada")
    for _n in range(count):
        make_purchase(user_id=ada.user.pk, lines=[EBOOK, COURSE])
    with CaptureQueriesContext(connection) as queries:
        assert len(send("Purchases", client=ada).data["edges"]) == count
    # session, user, purchases, their lines
    assert len(queries) == 4, "\n".join(query["sql"] for query in queries)
