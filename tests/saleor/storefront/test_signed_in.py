"""A customer who is signed in at a Saleor's storefront sees and does what is theirs, and nothing else, without number and e-mail."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.api.tokens import create_token
from refund_plugin.client import RefundClient
from refund_plugin.orders.models import Customer, Purchase
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.review import ask_for_evidence
from refund_plugin.stores.models import Store
from tests.api.helpers import asked_for, case_id, everything, question
from tests.factories import make_purchase, publish_policy
from tests.refunds.helpers import CLERK
from tests.saleor.standin.world import User
from tests.saleor.storefront.conftest import QUESTION, URL, Storefront

pytestmark = pytest.mark.django_db(transaction=True)


def asks(storefront: Storefront, user: User, purchase: Purchase, **changes: Any) -> RefundRequest:
    """Ask for all of a purchase, and return what was asked."""
    answer = storefront.send("RefundRequestCreate", question(purchase, email=None, **changes), user=user)
    assert answer.codes == []
    return RefundRequest.objects.get(reference=answer.data["refundRequest"]["reference"])


def test_from_the_list_to_the_money_without_number_or_address(storefront: Storefront, ada: User, live_server: Any) -> None:
    storefront.buys(ada, "18.20", "30.00")
    client = RefundClient(
        live_server.url + URL, customer_token=storefront.saleor.customer_token(ada), saleor_api_url=storefront.saleor.api_url
    )
    (bought,) = client.purchases().purchases
    assert [(line.name, line.quantity_left, str(line.paid)) for line in bought.lines] == [
        ("Book 0 (PDF)", 1, "18.20 EUR"),
        ("Book 1 (PDF)", 1, "30.00 EUR"),
    ]
    quote = client.quote(bought.order_number)
    asked = client.request_refund(bought.order_number, lines={quote.lines[0].id: 1}, reason="changed_mind", promise=quote.promise)
    assert (asked.status, client.track(asked.tracking_token).final) == ("APPROVED", False)
    for _round in range(3):
        drive_refunds()
        storefront.shop.hear()
    done = client.track(asked.tracking_token)
    assert (done.settlement, done.amount, done.final) == ("COMPLETE", quote.lines[0].verdict.amount, True)
    assert [line.quantity_left for line in client.purchases().purchases[0].lines] == [0, 1]


def test_what_saleor_calls_theirs_is_theirs_whatever_address_it_was_bought_with(storefront: Storefront, ada: User, eve: User) -> None:
    own = storefront.buys(ada, number="A-1")
    at_work = storefront.buys(ada, number="A-2", email="ada@work.example")
    storefront.buys(eve, number="E-1")
    storefront.buys(eve, number="E-2", email="ada@example.com")
    storefront.buys(None, number="G-1", email="ada@example.com")
    assert Customer.objects.filter(purchases__in=[own, at_work]).distinct().count() == 2
    assert storefront.numbers(ada) == ["A-2", "A-1"]
    for purchase in (own, at_work):
        request = asks(storefront, ada, purchase)
        assert (request.customer_id, request.purchase_id) == (purchase.customer_id, purchase.pk)
    elsewhere = make_purchase(purchased_at=clock.now(), captured=False)  # in a store whose customers may have the same ids
    Purchase.objects.filter(pk=elsewhere.pk).update(metadata={"saleor_customer": ada.id})
    foreign = asked_for(elsewhere, now=clock.now())
    assert storefront.send(QUESTION, {"id": case_id(foreign)}, user=ada).data is None
    assert storefront.send("RefundRequests", user=ada).data["totalCount"] == 2
    assert storefront.send("RefundRequests", user=eve).data["totalCount"] == 0


@pytest.mark.parametrize("number", ["E-1", "G-1", "L-1", "nothing", "A-1\x00"])
def test_what_is_another_customers_a_guests_another_stores_or_unknown_reads_the_same(
    storefront: Storefront, ada: User, eve: User, number: str
) -> None:
    storefront.buys(eve, number="E-1")
    storefront.buys(None, number="G-1", email="ada@example.com")
    elsewhere = make_purchase(number="L-1", purchased_at=clock.now(), captured=False)
    Purchase.objects.filter(pk=elsewhere.pk).update(metadata={"saleor_customer": ada.id})
    before = everything()
    asked = {"orderNumber": number, "lines": [], "reason": "OTHER"}
    for answer in (
        storefront.send("RefundQuote", {"orderNumber": number}, user=ada),
        storefront.send("RefundRequestCreate", {"input": asked}, user=ada),
    ):
        (error,) = answer.data["errors"]
        assert error["code"] == ("INVALID" if "\x00" in number else "NOT_FOUND")
    assert everything() == before


def test_a_customer_opens_answers_and_takes_back_their_own_request_by_its_id(storefront: Storefront, ada: User) -> None:
    request = asks(storefront, ada, storefront.buys(ada, "950.00"))
    seen = storefront.send(QUESTION, {"id": case_id(request)}, user=ada).data
    assert (seen["userEmail"], bool(seen["trackingToken"])) == ("ada@example.com", True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which file?", now=clock.now())
    told = {"id": case_id(request), "input": {"message": "The second."}}
    assert storefront.send("RefundRequestAnswerEvidence", told, user=ada).data["refundRequest"]["status"] == "IN_REVIEW"
    assert storefront.send("RefundRequestCancel", {"id": case_id(request)}, user=ada).data["refundRequest"]["status"] == "CANCELED"


def test_a_withdrawal_is_declared_like_any_other_question(storefront: Storefront, ada: User) -> None:
    assert asks(storefront, ada, storefront.buys(ada), withdrawal=True).is_withdrawal


def test_another_customers_request_is_not_there_and_nothing_changes(storefront: Storefront, ada: User, eve: User) -> None:
    request = asks(storefront, ada, storefront.buys(ada))
    before, named = everything(), {"id": case_id(request)}
    assert storefront.send(QUESTION, named, user=eve).data is None
    assert storefront.send("RefundRequestCancel", named, user=eve).codes == [("id", "NOT_FOUND")]
    answer = storefront.send("RefundRequestAnswerEvidence", named | {"input": {"message": "Pay me."}}, user=eve)
    assert answer.codes == [("id", "NOT_FOUND")]
    assert everything() == before


@pytest.mark.parametrize(
    "mutation",
    [
        'refundRequestApprove(id: $id, input: {reason: "x"})',
        'refundRequestDecline(id: $id, input: {reason: "x"})',
        'refundRequestAskEvidence(id: $id, input: {question: "x"})',
    ],
)
def test_a_customer_decides_nothing_about_their_own_request(storefront: Storefront, ada: User, mutation: str) -> None:
    request = asks(storefront, ada, storefront.buys(ada, "950.00"))
    before = everything()
    answer = storefront.send(f"mutation ($id: ID!) {{ {mutation} {{ errors {{ field code }} }} }}", {"id": case_id(request)}, user=ada)
    assert answer.codes == [(None, "NOT_ALLOWED")]
    assert everything() == before


def test_the_store_is_that_of_the_saleor_and_no_other_may_be_named(storefront: Storefront, ada: User) -> None:
    purchase = storefront.buys(ada)
    publish_policy(store=Store.objects.create(slug="other", name="Other", timezone="UTC"))
    own = {"orderNumber": purchase.number, "channel": "paper-heron"}
    assert storefront.send("RefundQuote", own, user=ada).codes == []
    assert storefront.send("RefundQuote", own | {"channel": "other"}, user=ada).codes == [("channel", "NOT_FOUND")]
    for operation in ("Purchases", "RefundPolicy"):
        assert storefront.send(operation, {"channel": "other"}, user=ada).failure["extensions"]["code"] == "NOT_FOUND"
    assert storefront.send("RefundPolicy", user=ada).data["title"] == "Refunds"


def test_number_and_address_still_open_what_was_bought_as_a_guest(storefront: Storefront, ada: User) -> None:
    guest = storefront.buys(None, email="ada@example.com")
    for address, codes in (("ada@example.com", []), ("eve@example.com", [(None, "NOT_FOUND")])):
        assert storefront.send("RefundQuote", {"orderNumber": guest.number, "email": address}, user=ada).codes == codes


def test_a_token_beside_a_session_is_the_customers_request_and_not_the_persons(storefront: Storefront, ada: User, eve: User) -> None:
    clerk = get_user_model().objects.create_user(username="clerk", password="secret")
    clerk.user_permissions.set(Permission.objects.filter(content_type__app_label="refund_plugin", codename__in=[*Action]))
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(clerk)
    request = asks(storefront, eve, storefront.buys(eve))
    assert storefront.send(QUESTION, {"id": case_id(request)}, user=ada, client=browser).data is None
    assert storefront.send(QUESTION, {"id": case_id(request)}, user=eve, client=browser).data["reference"] == request.reference


def test_a_session_without_a_token_needs_its_csrf_token_whatever_saleor_is_named(storefront: Storefront) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(get_user_model().objects.create_user(username="ada", password="secret"))
    answer = storefront.send("RefundPolicy", client=browser)
    assert (answer.status, answer.failure["extensions"]["code"]) == (403, "CSRF_FAILED")


def test_a_storefront_names_its_saleor_also_when_nobody_is_signed_in(storefront: Storefront) -> None:
    purchase = storefront.buys(None)
    named = {"orderNumber": purchase.number, "channel": "paper-heron"}
    assert storefront.send("RefundQuote", named).codes == [("email", "REQUIRED")]
    assert storefront.send("RefundQuote", named | {"email": "guest@example.com"}).codes == []
    assert storefront.send("Purchases").failure["extensions"]["code"] == "NOT_ALLOWED"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "JWT"])
def test_saleors_ways_to_bring_a_token_are_understood(storefront: Storefront, ada: User, scheme: str) -> None:
    own, token = storefront.buys(ada), storefront.saleor.customer_token(ada)
    told: dict[str, Any] = {"HTTP_SALEOR_API_URL": storefront.saleor.api_url, "HTTP_AUTHORIZATION": f"{scheme} {token}"}
    body = {"query": "{ purchases { edges { node { orderNumber saleorOrderId } } } }"}
    answer = Client().post(URL, body, content_type="application/json", **told).json()
    node = {"orderNumber": own.number, "saleorOrderId": own.metadata["saleor_order"]}
    assert answer == {"data": {"purchases": {"edges": [{"node": node}]}}}


# ---- behind the storefront's own server


def service_token(slug: str, *scopes: Action) -> str:
    """Return a service token of a store."""
    store = Store.objects.get(slug=slug)
    return create_token(store=store, name="storefront", scopes=[scope.value for scope in scopes], now=clock.now())[1]


def test_a_service_token_beside_it_lends_the_customer_none_of_its_scopes(storefront: Storefront, ada: User, eve: User) -> None:
    service, request = service_token("paper-heron", *Action), asks(storefront, eve, storefront.buys(eve))
    before = everything()
    assert storefront.send(QUESTION, {"id": case_id(request)}, user=ada, service=service).data is None
    approve = 'mutation ($id: ID!) { refundRequestApprove(id: $id, input: {reason: "x"}) { errors { field code } } }'
    assert storefront.send(approve, {"id": case_id(request)}, user=eve, service=service).codes == [(None, "NOT_ALLOWED")]
    fact = 'mutation { accessRecord(input: {kind: DOWNLOADED, sourceId: "1"}) { errors { field code } } }'
    assert storefront.send(fact, user=eve, service=service).codes == [(None, "NOT_ALLOWED")]
    assert everything() == before
    assert storefront.send(QUESTION, {"id": case_id(request)}, user=eve, service=service).data["userEmail"] == "eve@example.com"


# ---- what it costs


def entries(queries: CaptureQueriesContext) -> str:
    """Return what was asked, for the message of a failure."""
    return "\n".join(query["sql"] for query in queries)


@pytest.mark.parametrize("count", [1, 8])
def test_the_list_of_purchases_takes_as_many_queries_for_one_as_for_many(storefront: Storefront, ada: User, count: int) -> None:
    for _n in range(count):
        storefront.buys(ada)
    storefront.numbers(ada)  # so that the keys are known
    token = storefront.saleor.customer_token(ada)
    with CaptureQueriesContext(connection) as queries:
        answer = storefront.send("Purchases", token=token)
    assert len(answer.data["edges"]) == count
    # installation, counters, store, purchases, their lines
    assert len(queries) == 5, entries(queries)


def test_a_question_by_id_costs_three_queries_more_than_that_of_a_person_signed_in_here(storefront: Storefront, ada: User) -> None:
    request = asks(storefront, ada, storefront.buys(ada))
    token = storefront.saleor.customer_token(ada)
    with CaptureQueriesContext(connection) as queries:
        assert storefront.send("query ($id: ID) { refundRequest(id: $id) { reference } }", {"id": case_id(request)}, token=token).data
    # installation, counters, store; the request
    assert len(queries) == 4, entries(queries)
