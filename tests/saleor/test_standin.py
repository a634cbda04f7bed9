"""The stand-in is as strict as Saleor, and as careless: each trap of it is shown to be there."""

from __future__ import annotations

import pytest

from tests.saleor.conftest import Installed
from tests.saleor.standin import Standin


def test_our_app_is_installed_by_its_manifest_and_its_token_works(saleor: Standin, installed: Installed) -> None:
    assert installed.row.is_active
    assert installed.row.app_id == installed.app.id
    assert saleor.calls.count("AppRead") >= 1


@pytest.mark.django_db
def test_two_granted_refunds_at_once_pay_more_than_was_charged(saleor: Standin) -> None:
    order = saleor.add_order(lines=[{"price": "30.00"}])
    transaction = saleor.pay(order)
    grants = [saleor.grant(order, transaction, "30.00") for _ in range(2)]
    for grant in grants:
        saleor.send_refund(grant)
    assert [grant.status for grant in grants] == ["PENDING", "PENDING"]
    saleor.work()
    assert saleor.other.paid_for(transaction.id) == 60
    assert [grant.status for grant in grants] == ["SUCCESS", "SUCCESS"]
