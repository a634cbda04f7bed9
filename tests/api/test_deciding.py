"""What staff and programs do with a request, who may, and what a refusal leaves untouched."""

from __future__ import annotations

import pytest

from refund_plugin.actor import Action
from refund_plugin.refunds.models import Decision, RefundRequest
from tests.api.helpers import asked_for, case_id, everything, line_id
from tests.factories import EBOOK, SALE, make_purchase, publish_policy

ANSWER = "refundRequest { reference status amount { minorAmount } evidenceQuestion } errors { field message code }"
APPROVE = f"mutation M($id: ID!, $input: RefundRequestApproveInput!) {{ refundRequestApprove(id: $id, input: $input) {{ {ANSWER} }} }}"
DECLINE = f"mutation M($id: ID!, $input: RefundRequestDeclineInput!) {{ refundRequestDecline(id: $id, input: $input) {{ {ANSWER} }} }}"
ASK = f"mutation M($id: ID!, $input: RefundRequestAskEvidenceInput!) {{ refundRequestAskEvidence(id: $id, input: $input) {{ {ANSWER} }} }}"
CANCEL = f"mutation M($id: ID!) {{ refundRequestCancel(id: $id) {{ {ANSWER} }} }}"
VERBS = [
    (APPROVE, {"input": {"reason": "Fair."}}, Action.APPROVE, "APPROVED"),
    (DECLINE, {"input": {"reason": "It was used."}}, Action.DECLINE, "DECLINED"),
    (ASK, {"input": {"question": "Which file?"}}, Action.ASK_EVIDENCE, "NEEDS_EVIDENCE"),
    (CANCEL, {}, Action.DECLINE, "CANCELED"),
]
NAMES = ["approve", "decline", "ask for evidence", "cancel"]


@pytest.fixture
def waiting(store) -> RefundRequest:
    """A request for 18.20 EUR that a person must decide, because the policy approves no more than 10.00 EUR by itself."""
    publish_policy(store=store, limit=1000)
    return asked_for(make_purchase())


@pytest.mark.parametrize(("verb", "variables", "action", "status"), VERBS, ids=NAMES)
def test_staff_with_the_permission_may(send, person, waiting, verb, variables, action, status):
    clerk = person("clerk", Action.VIEW_CASES, action)
    answer = send(verb, {"id": case_id(waiting), **variables}, client=clerk).data
    assert answer["errors"] == []
    assert answer["refundRequest"]["status"] == status
    waiting.refresh_from_db()
    assert waiting.state == status.lower()


@pytest.mark.parametrize(("verb", "variables", "action", "status"), VERBS, ids=NAMES)
def test_a_program_with_the_scope_may(send, service_token, waiting, verb, variables, action, status):
    answer = send(verb, {"id": case_id(waiting), **variables}, token=service_token(Action.VIEW_CASES, action)).data
    assert answer["errors"] == []
    assert answer["refundRequest"]["status"] == status


@pytest.mark.parametrize(("verb", "variables", "action", "status"), VERBS, ids=NAMES)
def test_without_the_permission_it_is_refused_and_nothing_changes(send, person, service_token, waiting, verb, variables, action, status):
    before = everything()
    others = [other for other in Action if other != action]
    arguments = {"id": case_id(waiting), **variables}
    assert send(verb, arguments, client=person("clerk", *others)).codes == [(None, "NOT_ALLOWED")]
    assert send(verb, arguments, token=service_token(*others)).codes == [(None, "NOT_ALLOWED")]
    assert everything() == before


@pytest.mark.parametrize(("verb", "variables", "action", "status"), VERBS, ids=NAMES)
def test_who_may_not_see_the_request_cannot_tell_it_from_an_unknown_one(
    send, person, service_token, other_store, waiting, verb, variables, action, status
):
    before = everything()
    arguments = {"id": case_id(waiting), **variables}
    ways = [
        {},
        {"client": person("stranger")},
        {"client": person("blind", action)},
        {"token": service_token()},
        {"token": service_token(action)},
        {"token": service_token(*Action, store=other_store)},
    ]
    unknown = send(verb, {**arguments, "id": "UmVmdW5kUmVxdWVzdDpSLU5PTkU="}).body
    assert [send(verb, arguments, **way).body for way in ways] == [unknown] * len(ways)
    assert [error["code"] for error in next(iter(unknown["data"].values()))["errors"]] == ["NOT_FOUND"]
    assert everything() == before


@pytest.mark.parametrize("as_guest", [False, True], ids=["bought signed in", "bought as a guest"])
def test_customers_cannot_decide_their_own_request_even_as_staff(send, person, store, as_guest):
    publish_policy(store=store, limit=1000)
    clerk = person("clerk", *Action)
    waiting = asked_for(make_purchase(email=clerk.user.email) if as_guest else make_purchase(user_id=clerk.user.pk))
    before = everything()
    for verb, variables, _action, _status in VERBS[:3]:
        assert send(verb, {"id": case_id(waiting), **variables}, client=clerk).codes == [(None, "NOT_ALLOWED")]
    assert everything() == before


def test_less_may_be_approved_line_by_line_and_the_decision_keeps_the_reason(send, person, store):
    publish_policy(store=store, limit=1000)
    purchase = make_purchase(lines=[EBOOK, SALE])
    waiting = asked_for(purchase, wants_person=True)
    book, font = purchase.lines.all()
    amounts = [{"lineId": line_id(book), "minorAmount": 1000}, {"lineId": line_id(font), "minorAmount": 50}]
    variables = {"id": case_id(waiting), "input": {"reason": "Half of it was read.", "amounts": amounts}}
    answer = send(APPROVE, variables, client=person("clerk", Action.VIEW_CASES, Action.APPROVE)).data
    assert answer["refundRequest"]["amount"]["minorAmount"] == 1050
    decision = Decision.objects.filter(request=waiting).last()
    assert (decision.reason, decision.is_override, decision.actor_kind) == ("Half of it was read.", True, "staff")


@pytest.mark.parametrize("amount", [-1, 1821])
def test_an_amount_below_zero_or_above_what_is_left_is_told_and_nothing_changes(send, person, waiting, amount):
    before = everything()
    amounts = [{"lineId": line_id(waiting.purchase.lines.get()), "minorAmount": amount}]
    variables = {"id": case_id(waiting), "input": {"reason": "Fair.", "amounts": amounts}}
    assert send(APPROVE, variables, client=person("clerk", *Action)).codes == [("amounts", "INVALID")]
    assert everything() == before


@pytest.mark.parametrize("amount", [18.2, "1820", True, None])
def test_an_amount_that_is_no_whole_number_is_told_with_what_was_expected(send, person, waiting, amount):
    amounts = [{"lineId": line_id(waiting.purchase.lines.get()), "minorAmount": amount}]
    answer = send(APPROVE, {"id": case_id(waiting), "input": {"reason": "Fair.", "amounts": amounts}}, client=person("clerk", *Action))
    assert "minorAmount" in answer.failure["message"]
    assert answer.body["data"] is None


def test_a_decision_needs_a_reason(send, person, waiting):
    before = everything()
    clerk = person("clerk", *Action)
    assert send(APPROVE, {"id": case_id(waiting), "input": {"reason": " "}}, client=clerk).codes == [("reason", "REQUIRED")]
    assert send(DECLINE, {"id": case_id(waiting), "input": {"reason": ""}}, client=clerk).codes == [("reason", "REQUIRED")]
    assert send(ASK, {"id": case_id(waiting), "input": {"question": ""}}, client=clerk).codes == [("question", "REQUIRED")]
    assert everything() == before


def test_what_is_decided_cannot_be_decided_again(send, person, waiting):
    clerk = person("clerk", *Action)
    assert send(DECLINE, {"id": case_id(waiting), "input": {"reason": "Used."}}, client=clerk).codes == []
    assert send(APPROVE, {"id": case_id(waiting), "input": {"reason": "Fair."}}, client=clerk).codes == [(None, "WRONG_STATE")]


def test_what_is_no_id_of_a_request_is_told(send, person):
    assert send(CANCEL, {"id": "garbage"}, client=person("clerk", *Action)).codes == [("id", "INVALID")]
