"""`refundRequests`: who sees which, in pages that do not shift."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin.actor import Action
from tests.api.helpers import asked_for, case_id
from tests.factories import NOW, SALE, make_purchase, publish_policy

pytestmark = pytest.mark.usefixtures("policy")

RICH = """
query ($first: Int!) {
  refundRequests(first: $first) {
    edges { node {
      id reference status orderNumber userEmail settlement nextStep amount { minorAmount }
      timeline { code title amount { minorAmount } }
      lines { quantity line { sku name } verdict { outcome explanation } access { frozenQuantity } }
      refunds { status payment expectedBy waitingReason isReplaced }
    } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    totalCount
  }
}
"""


def references(answer) -> list[str]:
    return [edge["node"]["reference"] for edge in answer.data["edges"]]


def test_pages_follow_each_other_newest_first_although_a_request_is_added(send, service_token):
    token = service_token(Action.VIEW_CASES)
    made = [asked_for(make_purchase(), now=NOW + timedelta(seconds=n)).reference for n in range(5)]
    first = send("RefundRequests", {"first": 2}, token=token)
    asked_for(make_purchase(), now=NOW + timedelta(minutes=1))
    second = send("RefundRequests", {"first": 2, "after": first.data["pageInfo"]["endCursor"]}, token=token)
    third = send("RefundRequests", {"first": 2, "after": second.data["pageInfo"]["endCursor"]}, token=token)
    assert references(first) + references(second) + references(third) == made[::-1]
    assert [page.data["pageInfo"]["hasNextPage"] for page in (first, second, third)] == [True, True, False]
    assert (first.data["totalCount"], second.data["totalCount"]) == (5, 6)


def test_requests_of_one_moment_are_all_listed_once(send, service_token):
    token = service_token(Action.VIEW_CASES)
    made = {asked_for(make_purchase()).reference for _n in range(5)}
    seen: list[str] = []
    after = None
    for _page in range(5):
        page = send("RefundRequests", {"first": 1, "after": after}, token=token)
        seen += references(page)
        after = page.data["pageInfo"]["endCursor"]
    assert sorted(seen) == sorted(made)


def test_customers_see_their_own_and_staff_and_programs_their_stores(send, person, service_token, other_store):
    ada, clerk = person("ada"), person("clerk", Action.VIEW_CASES)
    publish_policy(store=other_store)
    own = asked_for(make_purchase(user_id=ada.user.pk)).reference
    foreign = asked_for(make_purchase(email="eve@example.com")).reference
    elsewhere = asked_for(make_purchase(store=other_store, email="eve@example.com")).reference
    assert references(send("RefundRequests", client=ada)) == [own]
    assert set(references(send("RefundRequests", client=clerk))) == {own, foreign, elsewhere}
    assert set(references(send("RefundRequests", token=service_token(Action.VIEW_CASES)))) == {own, foreign}
    assert references(send("RefundRequests", token=service_token(Action.VIEW_CASES, store=other_store))) == [elsewhere]
    by_channel = 'query { refundRequests(channel: "other") { edges { node { reference } } } }'
    assert references(send(by_channel, client=clerk)) == [elsewhere]


def test_buying_with_someone_elses_address_opens_none_of_their_requests_and_purchases(send, person):
    mallory = person("mallory")
    foreign = make_purchase(email="victim@example.com")
    request = asked_for(make_purchase(email="victim@example.com"))
    own = asked_for(make_purchase(email="victim@example.com", user_id=mallory.user.pk)).reference
    assert references(send("RefundRequests", client=mallory)) == [own]
    assert send("RefundRequest", {"id": case_id(request)}, client=mallory).data is None
    assert send("RefundQuote", {"orderNumber": foreign.number}, client=mallory).codes == [(None, "NOT_FOUND")]


@pytest.mark.parametrize("scopes", [None, (), (Action.APPROVE,)])
def test_strangers_and_programs_without_the_scope_see_none(send, service_token, scopes):
    asked_for(make_purchase())
    answer = send("RefundRequests", token="" if scopes is None else service_token(*scopes))
    assert answer.failure["extensions"]["code"] == "NOT_ALLOWED"
    assert answer.body["data"] is None


def test_filters_narrow_the_list(send, service_token):
    token = service_token(Action.VIEW_CASES)
    approved = asked_for(make_purchase(number="A-1"))
    declined = asked_for(make_purchase(lines=[SALE]), now=NOW + timedelta(hours=1))
    for condition, found in (
        ({"status": ["APPROVED"]}, [approved.reference]),
        ({"status": ["DECLINED", "CANCELED"]}, [declined.reference]),
        ({"status": []}, []),
        ({"orderNumber": "a-1"}, [approved.reference]),
        ({"createdAfter": (NOW + timedelta(minutes=1)).isoformat()}, [declined.reference]),
        ({"createdBefore": (NOW + timedelta(minutes=1)).isoformat()}, [approved.reference]),
        ({"status": ["DECLINED"], "orderNumber": "a-1"}, []),
    ):
        assert references(send("RefundRequests", {"filter": condition}, token=token)) == found


def cursor_at(moment: str) -> str:
    """Return what looks like a cursor."""
    return base64.b64encode(f"{moment}|R-234567".encode()).decode()


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"first": 0}, "INVALID"),
        ({"first": 101}, "INVALID"),
        ({"after": "garbage"}, "INVALID"),
        ({"after": "eHx5"}, "INVALID"),
        ({"after": "\ud800"}, "INVALID"),
        ({"after": cursor_at("0001-01-01T00:00:00+23:59")}, "INVALID"),
        ({"after": cursor_at("9999-12-31T23:59:59-23:59")}, "INVALID"),
        ({"filter": {"createdAfter": "0001-01-01T00:00:00+23:59"}}, "INVALID"),
        ({"filter": {"createdBefore": "9999-12-31T23:59:59-23:59"}}, "INVALID"),
        ({"filter": {"orderNumber": "1\x00"}}, "INVALID"),
        ({"filter": {"orderNumber": "\ud800"}}, "INVALID"),
    ],
)
def test_a_page_that_does_not_exist_is_told(send, service_token, variables, code):
    assert send("RefundRequests", variables, token=service_token(Action.VIEW_CASES)).failure["extensions"]["code"] == code


@pytest.mark.parametrize("count", [1, 8])
def test_the_list_takes_as_many_queries_for_one_as_for_many(send, service_token, count):
    token = service_token(Action.VIEW_CASES)
    for _n in range(count):
        asked_for(make_purchase())
    with CaptureQueriesContext(connection) as queries:
        answer = send(RICH, {"first": 20}, token=token)
    assert len(answer.data["edges"]) == count
    # token, requests, their lines, decisions, refunds with payments, words of policies, total count
    assert len(queries) == 8, "\n".join(query["sql"] for query in queries)
