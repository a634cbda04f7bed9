"""What the customer reads when a person pays."""

from __future__ import annotations

import pytest
from django.urls import reverse

from refund_plugin.refunds.manual.services import claim_by_hand, give_proof
from refund_plugin.refunds.tracking import tracking_token
from tests.factories import NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("method", "said", "shown"),
    [("bank", "A person paid it to you", "reference: Transfer 4711"), ("store_credit", "store credit", "the code ends in 4711")],
)
def test_the_customer_is_told_once_it_is_paid_and_by_which_reference(shop, work, client, method, said, shown):
    request = ask(make_purchase())
    refund = only_refund(request)
    claim_by_hand(refund_id=refund.pk, by=CLERK, now=NOW)
    assert not [mail for mail in work() if "We sent you" in mail.subject]
    page = reverse("refund_plugin:track", args=[tracking_token(request)])
    assert "A person pays it to you" in client.get(page).content.decode()

    give_proof(refund_id=refund.pk, by=CLERK, method=method, reference="Transfer 4711", paid_on=NOW.date(), now=NOW)

    (mail,) = work()
    assert "We sent you" in mail.subject and "€18.20" in mail.subject and said in mail.body and "Transfer 4711" in mail.body
    assert "Visa" not in mail.body
    told = client.get(page).content.decode()
    assert "went back to you, paid by a person" in told and shown in told
