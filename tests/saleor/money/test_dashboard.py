"""Staff press "refund" in Saleor's dashboard on a payment that our App owns."""

from __future__ import annotations

import pytest

from tests.saleor.money.shop import Shop, books_agree, told

pytestmark = pytest.mark.django_db


def test_a_granted_refund_is_held_at_once_paid_by_the_engine_and_told_under_one_reference(shop: Shop):
    sold = shop.sell("10.00", "20.00")
    grant = shop.standin.grant(sold.order, sold.transaction, "20.00", lines={sold.order.lines[1].id: 1}, reason="It does not open")

    shop.standin.send_refund(grant)
    shop.standin.work()

    [refund] = sold.refunds
    assert (refund.state, refund.amount_minor, grant.status) == ("reserved", 2000, "PENDING")
    assert [event.psp_reference for event in sold.transaction.events if event.type == "REFUND_REQUEST"] == [str(refund.pk)]
    assert list(refund.allocations.values_list("line__name", "gross_minor", "quantity")) == [("Book 1", 2000, 1)]
    assert (refund.request.channel, refund.request.state, refund.decision.reason) == ("saleor", "approved", "It does not open")

    shop.pay()

    assert grant.status == "SUCCESS" and told(sold) == ["REFUND_REQUEST", "REFUND_SUCCESS"]
    [success] = [event for event in sold.transaction.events if event.type == "REFUND_SUCCESS"]
    refund.refresh_from_db()
    assert success.psp_reference == str(refund.pk) and refund.gateway_refund_id in success.message
    assert f"/{refund.request_id}/" in success.external_url
    assert books_agree(sold)
