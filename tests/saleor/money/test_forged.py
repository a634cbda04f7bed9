"""A refund that another App of the same Saleor asks for in its name: signed like ours, and not from our webhook."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.saleor.deliveries import GRACE
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor_app.webhook_secrets import keep_webhook_secret, set_webhook_secrets
from refund_plugin.webhooks.models import WebhookEvent
from tests.saleor.money.shop import Shop, Sold, books_agree
from tests.saleor.standin.eavesdropping import Eavesdropper

pytestmark = pytest.mark.django_db

DOOR = "/refunds/saleor/transactions/"
# its own payment, under the names of somebody else's
QUERY = """
subscription {
  event {
    __typename
    issuedAt
    ... on TransactionRefundRequested {
      action { actionType amount currency }
      transaction {
        id: metafield(key: "id")
        pspReference: metafield(key: "reference")
        events { id type pspReference idempotencyKey amount { amount currency } message }
      }
    }
  }
}
"""


@pytest.fixture
def evil(shop: Shop) -> Eavesdropper:
    """An App that may handle payments, and takes one of its own."""
    return Eavesdropper.installed(shop.standin, query=QUERY, events=["TRANSACTION_REFUND_REQUESTED"], permissions=["HANDLE_PAYMENTS"])


def forge(shop: Shop, evil: Eavesdropper, sold: Sold) -> None:
    """Let Saleor sign a request for a refund of `sold`."""
    own = shop.standin.pay(shop.standin.add_order(lines=[{"price": "30.00"}]), app=evil.app)
    own.metadata = {"id": sold.transaction.id, "reference": sold.transaction.psp_reference}
    shop.standin.refund_at_once(own, "20.00")


def seal(shop: Shop) -> None:
    assert set_webhook_secrets(clock.now()) == 1


def test_before_the_secret_is_set_a_forged_request_is_taken_for_saleors(shop: Shop, evil: Eavesdropper):
    sold = shop.sell("30.00")
    forge(shop, evil, sold)
    assert evil.replay(DOOR).status == 200
    assert len(sold.refunds) == 1  # so the test below refuses what would pass


@pytest.mark.parametrize("guess", [None, "", "guessed", "ü"])
def test_a_forged_request_is_answered_like_a_wrong_signature_and_changes_nothing(shop: Shop, evil: Eavesdropper, guess: str | None):
    sold = shop.sell("30.00")
    seal(shop)
    forge(shop, evil, sold)
    events = WebhookEvent.objects.count()
    with clock.travel(GRACE + timedelta(seconds=1)):
        answer = evil.replay(DOOR, **({} if guess is None else {"X-Refunds-Secret": guess}))
        unsigned = shop.post(b"{}", **{"Saleor-Signature": "a..b"})
    assert (answer.status, answer.body) == (unsigned.status, unsigned.body) == (400, b'{"error": "WEBHOOK_REJECTED"}')
    assert not sold.refunds
    assert (sold.payment.held_minor, sold.payment.gone_minor) == (0, 0)
    assert WebhookEvent.objects.count() == events
    assert shop.gateway.sent == []


def test_refunds_that_staff_ask_for_are_paid_in_every_stage(shop: Shop):
    before, between, after = (shop.sell("30.00") for _ in range(3))
    first = shop.grant(before, "10.00")
    seal(shop)
    second = shop.grant(between, "10.00")
    with clock.travel(GRACE + timedelta(seconds=1)):
        third = shop.grant(after, "10.00")
        shop.pay()
        shop.later(70)
    assert [grant.status for grant in (first, second, third)] == ["SUCCESS"] * 3
    assert len(shop.gateway.sent) == 3
    assert all(books_agree(sold) for sold in (before, between, after))


def test_a_repetition_without_a_body_is_known_by_the_secret_and_answered_as_ever(shop: Shop):
    sold = shop.sell("30.00")
    seal(shop)
    with clock.travel(GRACE + timedelta(seconds=1)):
        shop.standin.traps.add_sync("502")
        grant = shop.grant(sold, "20.00")
        shop.later(11)
    assert grant.status == "FAILURE"
    assert len(sold.refunds) == 1


def test_a_request_that_is_refused_because_the_webhook_lost_its_secret_can_be_asked_for_again(shop: Shop):
    sold = shop.sell("30.00")
    seal(shop)
    shop.app.webhooks[0].custom_headers = {}
    with clock.travel(GRACE + timedelta(seconds=1)):
        grant = shop.grant(sold, "20.00")
        assert grant.status == "FAILURE"
        assert not sold.refunds
        assert keep_webhook_secret(SaleorInstallation.objects.get()) == ""
        shop.send(grant)
        shop.pay()
        shop.later(70)
    assert (grant.status, len(shop.gateway.sent)) == ("SUCCESS", 1)
    assert books_agree(sold)


def test_while_the_secret_cannot_be_read_the_answer_is_that_nothing_was_sent_and_no_server_error(shop: Shop, evil: Eavesdropper):
    sold = shop.sell("30.00")
    seal(shop)
    SaleorInstallation.objects.update(webhook_secret_encrypted="not ours")
    with clock.travel(GRACE + timedelta(seconds=1)):
        event = shop.press(sold, "20.00")
        forge(shop, evil, sold)
        answer = evil.replay(DOOR)
    assert (answer.status, json.loads(answer.body)["result"]) == (200, "REFUND_FAILURE")
    assert "Nothing was sent" in json.loads(answer.body)["message"]
    assert event.transaction.refunded == 0
    assert not sold.refunds
