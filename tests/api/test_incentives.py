"""Vouchers and gift cards besides refunds over GraphQL: who gives, and who reads the code."""

from __future__ import annotations

import pytest

from refund_plugin.actor import Action
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.incentives.models import Incentive
from refund_plugin.refunds.incentives.services import issue_due
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.tracking import tracking_token
from refund_plugin.stores import registry
from tests.api.helpers import asked_for, case_id, everything
from tests.factories import NOW, make_purchase
from tests.issuing_store import IssuingStore

FIELDS = "incentives { kind status amount { minorAmount } percent code codeEnd message endsAt issuedAt }"
GIVE = f"""mutation M($id: ID!, $input: RefundIncentiveGiveInput!) {{
  refundIncentiveGive(id: $id, input: $input) {{ refundRequest {{ {FIELDS} }} errors {{ field message code }} }} }}"""
READ = f"query Q($id: ID, $token: String) {{ refundRequest(id: $id, token: $token) {{ {FIELDS} }} }}"
TEN = {"minorAmount": 1000, "reason": "Long wait.", "clientKey": "one"}


@pytest.fixture
def shop(monkeypatch) -> IssuingStore:
    """The store issues vouchers."""
    made = IssuingStore()
    monkeypatch.setitem(registry._adapters, "local", made)
    return made


@pytest.fixture
def asked(store, policy, shop) -> RefundRequest:
    """A request that the policy approves."""
    return asked_for(make_purchase())


def test_a_program_with_the_scope_gives_and_does_not_read_the_code(send, service_token, asked):
    token = service_token(Action.VIEW_CASES, Action.GIVE_INCENTIVE)
    answer = send(GIVE, {"id": case_id(asked), "input": TEN}, token=token).data
    (given,) = answer["refundRequest"]["incentives"]
    assert answer["errors"] == []
    assert (given["kind"], given["status"], given["amount"], given["code"]) == ("VOUCHER", "WAITING", {"minorAmount": 1000}, None)
    send(GIVE, {"id": case_id(asked), "input": TEN}, token=token)
    assert Incentive.objects.count() == 1


def test_the_customer_reads_the_code_once_it_is_issued(send, person, asked):
    clerk = person("clerk", Action.VIEW_CASES, Action.GIVE_INCENTIVE)
    send(
        GIVE, {"id": case_id(asked), "input": {"percent": 20, "reason": "Sorry.", "message": "For you.", "clientKey": "one"}}, client=clerk
    )
    holder = {"token": tracking_token(asked)}
    assert send(READ, holder).data["incentives"] == []
    issue_due(NOW)
    (given,) = send(READ, holder).data["incentives"]
    row = Incentive.objects.get()
    assert (given["codeEnd"], given["percent"], given["amount"], given["message"]) == (row.code[-4:], 20, None, "For you.")
    assert given["code"] is None  # the link may have been passed on, and number and address find it
    buyer = person("buyer")
    Purchase.objects.filter(pk=asked.purchase_id).update(user=buyer.user)
    (theirs,) = send(READ, {"id": case_id(asked)}, client=buyer).data["incentives"]
    assert theirs["code"] == row.code
    (staffs,) = send(READ, {"id": case_id(asked)}, client=clerk).data["incentives"]
    assert (staffs["status"], staffs["code"]) == ("ISSUED", None)


def test_without_the_permission_it_is_refused_and_nothing_changes(send, person, service_token, asked):
    before, others = everything(), [other for other in Action if other != Action.GIVE_INCENTIVE]
    arguments = {"id": case_id(asked), "input": TEN}
    assert send(GIVE, arguments, client=person("clerk", *others)).codes == [(None, "NOT_ALLOWED")]
    assert send(GIVE, arguments, token=service_token(*others)).codes == [(None, "NOT_ALLOWED")]
    assert send(GIVE, arguments).codes == [("id", "NOT_FOUND")]
    assert everything() == before and not Incentive.objects.exists()


@pytest.mark.parametrize("worth", [{}, {"minorAmount": 1000, "percent": 10}])
def test_either_an_amount_or_percent_is_given(send, service_token, asked, worth):
    token = service_token(Action.VIEW_CASES, Action.GIVE_INCENTIVE)
    told = {"reason": "Long wait.", "clientKey": "one", **worth}
    assert send(GIVE, {"id": case_id(asked), "input": told}, token=token).codes == [("minorAmount", "INVALID")]
    assert not Incentive.objects.exists()


def test_a_store_that_issues_nothing_says_so(send, service_token, asked, shop):
    shop.kind = None
    token = service_token(Action.VIEW_CASES, Action.GIVE_INCENTIVE)
    assert send(GIVE, {"id": case_id(asked), "input": TEN}, token=token).codes == [(None, "WRONG_STATE")]
