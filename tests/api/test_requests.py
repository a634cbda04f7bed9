"""What a customer does with a request: ask, follow, take back, answer."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from refund_plugin.actor import Action
from refund_plugin.errors import InvalidInput
from refund_plugin.events.models import Event
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.access.services import refresh_lines
from refund_plugin.refunds.arrival import expected_arrival
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund, RefundRequest, WaitsFor
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.retry import give_up_refund, retry_refund
from refund_plugin.refunds.review import approve_request, ask_for_evidence, decline_request
from refund_plugin.refunds.tracking import tracking_token
from tests.api.helpers import asked_for, case_id, everything, line_id, question
from tests.factories import EBOOK, LICENCE, NOW, SALE, make_purchase
from tests.refunds.helpers import CLERK

pytestmark = pytest.mark.usefixtures("policy")


def test_an_approved_question_gives_a_reference_and_a_token_that_opens_it(send):
    purchase = make_purchase()
    asked = send("RefundRequestCreate", question(purchase)).data
    assert asked["errors"] == []
    assert asked["refundRequest"]["status"] == "APPROVED"
    row = RefundRequest.objects.get()
    assert asked["refundRequest"]["reference"] == row.reference
    assert asked["refundRequest"]["id"] == case_id(row)
    assert row.channel == "graphql"
    followed = send("RefundRequest", {"token": asked["refundRequest"]["trackingToken"]}).data
    assert followed["reference"] == row.reference
    assert followed["amount"] == {"currency": "EUR", "amount": 18.2, "minorAmount": 1820}
    assert followed["settlement"] == "IN_PROGRESS"
    assert not followed["isFinal"]
    assert followed["trackingUrl"].startswith("https://shop.example/refunds/track/")
    assert followed["lines"][0]["verdict"]["clause"]["anchor"] == "unused"
    assert [step["code"] for step in followed["timeline"]][:2] == ["asked", "approved"]


@pytest.mark.django_db(transaction=True)
def test_the_tracked_request_tells_when_the_money_has_left(send):
    token = tracking_token(asked_for(make_purchase()))
    drive_refunds()
    followed = send("RefundRequest", {"token": token}).data
    assert followed["settlement"] == "COMPLETE"
    assert followed["isFinal"]
    (refund,) = followed["refunds"]
    assert refund["status"] == "SUCCEEDED"
    assert refund["amount"]["minorAmount"] == 1820
    assert "4242" in refund["payment"]
    assert refund["settledAt"] is not None


def test_a_declined_line_is_answered_at_once(send):
    asked = send("RefundRequestCreate", question(make_purchase(lines=[SALE]))).data
    assert asked["refundRequest"]["status"] == "DECLINED"


def test_a_declined_line_goes_to_a_person_when_the_customer_wants_one(send):
    asked = send("RefundRequestCreate", question(make_purchase(lines=[SALE]), wantsPerson=True)).data
    assert asked["refundRequest"]["status"] == "IN_REVIEW"


def test_the_same_client_key_asks_once_and_answers_alike(send):
    purchase = make_purchase()
    variables = question(purchase, clientKey=str(uuid.uuid4()))
    first, second = (send("RefundRequestCreate", variables).body for _try in range(2))
    assert first == second
    assert RefundRequest.objects.count() == 1


def test_a_client_key_that_could_be_guessed_is_refused(send):
    before = everything()
    assert send("RefundRequestCreate", question(make_purchase(), clientKey="1042")).codes == [("clientKey", "INVALID")]
    assert everything()["requests"] == before["requests"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"email": "eve@example.com"}, (None, "NOT_FOUND")),
        ({"orderNumber": "no-such"}, (None, "NOT_FOUND")),
        ({"channel": "no-such"}, (None, "NOT_FOUND")),
        ({"lines": []}, ("lines", "INVALID")),
        ({"message": "x" * 4001}, ("message", "INVALID")),
        ({"languageCode": "tlh"}, ("languageCode", "INVALID")),
        ({"email": None}, ("email", "REQUIRED")),
    ],
)
def test_what_cannot_be_asked_is_told_and_leaves_no_request(send, changes, error):
    assert send("RefundRequestCreate", question(make_purchase(), **changes)).codes == [error]
    assert not RefundRequest.objects.exists()


UNSTORABLE = ["a\x00b", "a\ud800b"]


@pytest.mark.parametrize("text", UNSTORABLE)
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("message", ("message", "INVALID")),
        ("clientKey", ("clientKey", "INVALID")),
        ("languageCode", ("languageCode", "INVALID")),
        ("channel", ("channel", "INVALID")),
        ("orderNumber", (None, "NOT_FOUND")),
        ("email", (None, "NOT_FOUND")),
    ],
)
def test_a_character_that_no_database_keeps_is_told(send, name, error, text):
    value = text * 8 if name == "clientKey" else text
    assert send("RefundRequestCreate", question(make_purchase(), **{name: value})).codes == [error]
    assert not RefundRequest.objects.exists()


@pytest.mark.parametrize("text", UNSTORABLE)
def test_an_order_number_of_ones_own_that_no_database_keeps_is_told(send, person, text):
    answer = send("RefundQuote", {"orderNumber": text}, client=person("ada"))
    assert answer.codes == [("orderNumber", "INVALID")]


@pytest.mark.parametrize("text", UNSTORABLE)
def test_what_people_write_about_a_case_can_be_stored_or_is_told(send, text):
    request = asked_for(make_purchase(lines=[SALE]), wants_person=True)
    for verb in (approve_request, decline_request):
        with pytest.raises(InvalidInput) as caught:
            verb(request_id=request.pk, by=CLERK, reason=text, now=NOW)
        assert caught.value.field == "reason"
    with pytest.raises(InvalidInput) as caught:
        ask_for_evidence(request_id=request.pk, by=CLERK, question=text, now=NOW)
    assert caught.value.field == "question"
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which file?", now=NOW)
    variables = {"token": tracking_token(request), "input": {"message": text}}
    assert send("RefundRequestAnswerEvidence", variables).codes == [("message", "INVALID")]


@pytest.mark.parametrize("text", UNSTORABLE)
def test_ids_and_tokens_that_no_database_keeps_open_nothing(send, text):
    token = tracking_token(asked_for(make_purchase()))
    assert send("RefundRequest", {"token": text}).data is None
    assert send("RefundRequest", {"token": token + text}).data is None
    assert send("RefundRequest", {"id": text}).failure["extensions"]["code"] == "INVALID"
    assert send("query($c: String) { refundPolicy(channel: $c) { title } }", {"c": text}).failure["extensions"]["code"] == "INVALID"
    assert send("PurchaseListSend", {"email": f"{text}@example.com"}).codes == [("email", "INVALID")]


def test_more_than_was_bought_is_told(send):
    purchase = make_purchase(lines=[LICENCE])
    lines = [{"lineId": line_id(purchase.lines.get()), "quantity": 4}]
    assert send("RefundRequestCreate", question(purchase, lines=lines)).codes == [("lines", "QUANTITY_TOO_HIGH")]


def test_a_line_that_is_refunded_already_is_told(send):
    purchase = make_purchase()
    asked_for(purchase)
    assert send("RefundRequestCreate", question(purchase)).codes == [("lines", "ALREADY_REFUNDED")]


@pytest.mark.parametrize("lines", [[EBOOK], [EBOOK, LICENCE]])
def test_asking_takes_as_many_statements_for_one_line_as_for_several(send, lines):
    send("RefundRequestCreate", question(make_purchase()))  # a policy version is read once per process
    variables = question(make_purchase(lines=lines))
    with CaptureQueriesContext(connection) as queries:
        assert send("RefundRequestCreate", variables).codes == []
    # a test wraps everything in a transaction, so that savepoints stand for its BEGIN and COMMIT
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    # tries counted, purchase found, then locked with policy and brake; lines with their use, payments; the brake counted;
    # request with lines and decision (3); lines and payments held (one on PostgreSQL, else 2); refund with allocations and
    # ledger (3); events with deliveries (2)
    assert len(statements) == (17 if connection.vendor == "postgresql" else 18), "\n".join(statements)


def test_a_signed_in_customer_asks_without_an_address_and_sees_the_request_in_the_list(send, person):
    ada = person("ada")
    purchase = make_purchase(user_id=ada.user.pk)
    asked = send("RefundRequestCreate", question(purchase, email=None), client=ada).data["refundRequest"]
    listed = send("RefundRequests", client=ada).data["edges"]
    assert [edge["node"]["id"] for edge in listed] == [asked["id"]]
    assert send("RefundRequest", {"id": asked["id"]}, client=ada).data["reference"] == asked["reference"]


def test_a_program_asks_on_a_customers_behalf(send, service_token):
    asked = send("RefundRequestCreate", question(make_purchase()), token=service_token()).data["refundRequest"]
    assert asked["status"] == "APPROVED"
    assert asked["trackingToken"] is not None


def test_staff_ask_on_a_customers_behalf_and_are_recorded_as_the_one_who_asked(send, person):
    clerk = person("clerk", Action.VIEW_CASES, Action.APPROVE)
    asked = send("RefundRequestCreate", question(make_purchase(), email=None), client=clerk).data["refundRequest"]
    assert (asked["status"], asked["trackingToken"]) == ("APPROVED", None)
    event = Event.objects.get(kind="request_submitted")
    assert (event.actor_kind, event.actor_id) == ("staff", str(clerk.user.pk))


def who(kind, person, service_token, *actions):
    """Return how to send as staff or as a program."""
    return {"client": person("viewer", *actions)} if kind == "staff" else {"token": service_token(*actions)}


@pytest.mark.parametrize("kind", ["staff", "program"])
def test_who_may_only_look_cannot_ask_without_the_address_and_moves_no_money(send, person, service_token, kind):
    variables = question(make_purchase(), email=None)
    before = everything()
    answer = send("RefundRequestCreate", variables, **who(kind, person, service_token, Action.VIEW_CASES))
    assert answer.codes == [(None, "NOT_ALLOWED")]
    assert everything() == before


@pytest.mark.parametrize("kind", ["staff", "program"])
def test_who_may_only_look_asks_with_the_address_like_anybody(send, person, service_token, kind):
    answer = send("RefundRequestCreate", question(make_purchase()), **who(kind, person, service_token, Action.VIEW_CASES))
    assert answer.data["refundRequest"]["status"] == "APPROVED"
    assert Event.objects.get(kind="request_submitted").actor_kind == "customer"


@pytest.mark.parametrize("kind", ["staff", "program"])
def test_an_answer_in_the_customers_place_needs_the_right_to_ask_for_it(send, person, service_token, kind):
    request = asked_for(make_purchase(lines=[SALE]), wants_person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which file?", now=NOW)
    variables = {"id": case_id(request), "input": {"message": "Words of somebody else"}}
    before = everything()
    viewer = who(kind, person, service_token, Action.VIEW_CASES)
    assert send("RefundRequestAnswerEvidence", variables, **viewer).codes == [(None, "NOT_ALLOWED")]
    assert everything() == before


@pytest.mark.parametrize("kind", ["staff", "program"])
def test_who_may_ask_for_evidence_writes_down_what_the_customer_said(send, person, service_token, kind):
    request = asked_for(make_purchase(lines=[SALE]), wants_person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which file?", now=NOW)
    variables = {"id": case_id(request), "input": {"message": "The second, said on the telephone."}}
    asker = who(kind, person, service_token, Action.VIEW_CASES, Action.ASK_EVIDENCE)
    assert send("RefundRequestAnswerEvidence", variables, **asker).data["refundRequest"]["status"] == "IN_REVIEW"


def test_a_forged_token_opens_nothing(send):
    token = tracking_token(asked_for(make_purchase()))
    forged = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert send("RefundRequest", {"token": forged}).data is None
    assert send("RefundRequest", {"token": "nonsense"}).data is None


def test_an_id_alone_opens_nothing_for_strangers(send):
    assert send("RefundRequest", {"id": case_id(asked_for(make_purchase()))}).data is None


def test_neither_id_nor_token_is_told(send):
    assert send("RefundRequest").failure["extensions"]["code"] == "REQUIRED"


def test_who_holds_the_link_does_not_learn_the_address(send, person):
    ada = person("ada")
    request = asked_for(make_purchase(user_id=ada.user.pk))
    query = "query Q($id: ID, $token: String) { refundRequest(id: $id, token: $token) { userEmail } }"
    assert send(query, {"token": tracking_token(request)}).data == {"userEmail": None}
    assert send(query, {"id": case_id(request)}, client=ada).data == {"userEmail": "ada@example.com"}


def test_a_request_can_be_taken_back_with_the_link_until_money_is_sent(send):
    purchase = make_purchase()
    token = tracking_token(asked_for(purchase))
    canceled = send("RefundRequestCancel", {"token": token}).data
    assert canceled["errors"] == []
    assert canceled["refundRequest"]["status"] == "CANCELED"
    assert canceled["refundRequest"]["isFinal"]
    assert purchase.payments.get().held_minor == 0
    assert send("RefundRequestCancel", {"token": token}).codes == [(None, "WRONG_STATE")]


def test_a_question_is_answered_with_the_link_and_goes_back_to_review(send):
    request = asked_for(make_purchase(lines=[SALE]), wants_person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which file does not open?", now=NOW)
    token = tracking_token(request)
    assert send("RefundRequest", {"token": token}).data["evidenceQuestion"] == "Which file does not open?"
    variables = {"token": token, "input": {"message": "The second one."}}
    answered = send("RefundRequestAnswerEvidence", variables).data["refundRequest"]
    assert (answered["status"], answered["evidenceQuestion"]) == ("IN_REVIEW", "")
    assert send("RefundRequestAnswerEvidence", variables).codes == [(None, "WRONG_STATE")]


def test_an_empty_answer_is_told(send):
    request = asked_for(make_purchase(lines=[SALE]), wants_person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which file?", now=NOW)
    variables = {"token": tracking_token(request), "input": {"message": " "}}
    assert send("RefundRequestAnswerEvidence", variables).codes == [("message", "REQUIRED")]


def test_my_purchases_are_asked_for_with_one_answer_for_known_and_unknown_addresses(send):
    make_purchase(email="ada@example.com")
    with CaptureQueriesContext(connection) as known_queries:
        known = send("PurchaseListSend", {"email": "Ada@example.com"})
    with CaptureQueriesContext(connection) as unknown_queries:
        unknown = send("PurchaseListSend", {"email": "eve@example.com"})
    assert known.body == unknown.body
    assert known.data == {"accepted": True, "errors": []}
    assert len(known_queries) == len(unknown_queries)


def test_what_is_no_address_is_told(send):
    assert send("PurchaseListSend", {"email": "ada"}).codes == [("email", "INVALID")]


def test_staff_see_the_request_but_not_the_customers_link(send, person):
    request = asked_for(make_purchase())
    clerk: Client = person("clerk", Action.VIEW_CASES)
    seen = send("RefundRequest", {"id": case_id(request)}, client=clerk).data
    assert (seen["reference"], seen["trackingToken"], seen["trackingUrl"]) == (request.reference, None, None)


@pytest.mark.django_db(transaction=True)
def test_a_refund_that_was_sent_tells_when_the_bank_shows_it_and_by_which_number(send):
    request = asked_for(make_purchase())
    drive_refunds()
    Refund.objects.update(trace_reference="74530220", first_sent_at=NOW)
    (refund,) = send("RefundRequest", {"token": tracking_token(request)}).data["refunds"]
    days = expected_arrival(Refund.objects.get(), timezone=request.store.timezone)
    assert refund["traceReference"] == "74530220"
    assert (refund["expectedFrom"], refund["expectedBy"]) == (days.earliest.isoformat(), days.latest.isoformat())
    assert refund["waitingReason"] == "" and not refund["isReplaced"]


def test_a_refund_that_waits_says_why_and_staff_read_the_cause(send, person):
    request = asked_for(make_purchase())
    Refund.objects.update(waits_for=WaitsFor.PERSON, needs_person="more has gone than was paid")
    (told,) = send("RefundRequest", {"token": tracking_token(request)}).data["refunds"]
    assert "A person checks the payment" in told["waitingReason"] and "more has gone" not in told["waitingReason"]
    (told,) = send("RefundRequest", {"id": case_id(request)}, client=person("sam", Action.VIEW_CASES)).data["refunds"]
    assert told["waitingReason"] == "more has gone than was paid"


@pytest.mark.django_db(transaction=True)
def test_of_several_refunds_the_one_that_was_replaced_says_so(send):
    request = asked_for(make_purchase())
    drive_refunds()
    first = Refund.objects.get()
    failure = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=first.gateway_refund_id)
    record_answer(refund_id=first.pk, answer=failure, now=NOW)
    retry_refund(refund_id=first.pk, by=CLERK, reason="Again.", now=NOW + timedelta(hours=1))
    told = send("RefundRequest", {"token": tracking_token(request)}).data["refunds"]
    assert [(refund["status"], refund["isReplaced"]) for refund in told] == [("FAILED", True), ("RESERVED", False)]


def keep_access(access):
    """The host's own code, which has done what it was told."""


@pytest.mark.django_db(transaction=True)
def test_access_is_told_as_it_is_frozen_revoked_and_given_back(send, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ACCESS_HANDLER": "tests.api.test_requests.keep_access"}
    request = asked_for(make_purchase())
    token = {"token": tracking_token(request)}

    def access():
        return send("RefundRequest", token).data["lines"][0]["access"]

    assert access() is None
    while deliver_due():
        pass
    assert access() == {"frozenQuantity": 1, "revokedQuantity": 0, "usableQuantity": 0, "isConfirmed": True}
    drive_refunds()
    while deliver_due():
        pass
    assert access() == {"frozenQuantity": 0, "revokedQuantity": 1, "usableQuantity": 0, "isConfirmed": True}
    refund = Refund.objects.get()
    failure = GatewayAnswer(kind=AnswerKind.FAILED, gateway_refund_id=refund.gateway_refund_id)
    record_answer(refund_id=refund.pk, answer=failure, now=NOW)
    give_up_refund(refund_id=refund.pk, by=CLERK, reason="They keep it.", now=NOW)
    refresh_lines(line_ids=[request.purchase.lines.get().pk], now=NOW)
    assert access() == {"frozenQuantity": 0, "revokedQuantity": 0, "usableQuantity": 1, "isConfirmed": False}
