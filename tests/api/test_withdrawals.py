"""A statutory withdrawal through the API, and when money is expected."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.tracking import tracking_token
from tests.api.helpers import question
from tests.factories import SALE, make_purchase

pytestmark = pytest.mark.usefixtures("policy")

FOLLOW = """query ($token: String!) {
  refundRequest(token: $token) { isWithdrawal reimburseBy refunds { expectedFrom expectedBy } }
}"""


def follow(send):
    return send(FOLLOW, {"token": tracking_token(RefundRequest.objects.get())}).data


def test_a_withdrawal_is_never_declined_by_the_policy_and_says_when_the_money_is_due(send):
    asked = send("RefundRequestCreate", question(make_purchase(lines=[SALE]), withdrawal=True)).data
    assert asked["refundRequest"]["status"] == "IN_REVIEW"
    request, told = RefundRequest.objects.get(), follow(send)
    assert told["isWithdrawal"] is True
    assert datetime.fromisoformat(told["reimburseBy"]) == request.created_at + timedelta(days=14)


def test_an_ordinary_request_is_none_and_its_money_is_expected_only_once_it_was_sent(send):
    send("RefundRequestCreate", question(make_purchase()))
    assert follow(send) == {"isWithdrawal": False, "reimburseBy": None, "refunds": [{"expectedFrom": None, "expectedBy": None}]}
    drive_refunds()
    (refund,) = follow(send)["refunds"]
    days = [datetime.fromisoformat(refund[name]) for name in ("expectedFrom", "expectedBy")]
    assert timedelta(days=7) <= days[1] - days[0] <= timedelta(days=9)
