"""Two requests of Saleor at the same moment, and workers that tell at the same moment, each with a connection of its own."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.telling.models import StoreAsk, StoreTelling
from refund_plugin.refunds.telling.services import refresh_refunds, tell_stores
from tests.refunds.helpers import ask
from tests.refunds.test_races import at_once
from tests.saleor.money.shop import Inside, Shop, books_agree, told

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["3.23"])
def standin(request: Any, standin: Any) -> Any:
    """One version will do: what is raced for is ours."""
    return standin


def post_at_once(shop: Shop, bodies: list[bytes]) -> list[dict[str, str]]:
    """Let Saleor's workers send bodies in the same moment; return what each was answered."""

    def send(number: int) -> dict[str, str]:
        body = bodies[number % len(bodies)]
        headers = {"Saleor-Api-Url": shop.standin.api_url, "Saleor-Signature": shop.standin.keys[-1].sign_webhook(body)}
        answer = Inside().post("/refunds/saleor/transactions/", body, headers)
        assert answer.status == 200
        said: dict[str, str] = json.loads(answer.body)
        return said

    return at_once(send)


def bodies_of(shop: Shop) -> list[bytes]:
    bodies = [delivery.body for delivery in shop.standin.post.queue if delivery.request is not None]
    shop.standin.post.queue.clear()
    return bodies


def test_a_double_click_that_arrives_eight_times_at_once_is_one_refund(shop: Shop):
    sold = shop.sell("30.00")
    for _click in range(2):
        shop.standin.refund_at_once(sold.transaction, "10.00")
    answers = post_at_once(shop, bodies_of(shop))

    [refund] = sold.refunds
    assert answers == [{"pspReference": str(refund.pk)}] * 8
    assert sold.payment.held_minor == 1000
    shop.pay()
    assert len(shop.gateway.sent) == 1


def test_two_granted_refunds_that_arrive_at_once_never_exceed_the_charge(shop: Shop):
    sold = shop.sell("30.00")
    grants = [shop.standin.grant(sold.order, sold.transaction, "20.00") for _n in range(2)]
    shop.standin.send_refunds_together(grants)
    answers = post_at_once(shop, bodies_of(shop))

    assert Counter("result" in answer for answer in answers) == {False: 4, True: 4}
    assert len({answer["pspReference"] for answer in answers}) == 2
    assert (len(sold.refunds), StoreAsk.objects.count(), sold.payment.held_minor) == (1, 2, 2000)


def test_a_granted_refund_and_a_customer_who_asks_at_once_never_exceed_the_charge(shop: Shop):
    sold = shop.sell("30.00")
    shop.standin.refund_at_once(sold.transaction, "30.00")
    [body] = bodies_of(shop)

    def race(number: int) -> None:
        if number % 2:
            headers = {"Saleor-Api-Url": shop.standin.api_url, "Saleor-Signature": shop.standin.keys[-1].sign_webhook(body)}
            Inside().post("/refunds/saleor/transactions/", body, headers)
        else:
            ask(sold.purchase, dict.fromkeys(sold.purchase.lines.all(), 1), now=clock.now())

    at_once(race)

    assert (len(sold.refunds), sold.payment.held_minor) == (1, 3000)


def test_a_failed_refund_that_is_pressed_again_eight_times_at_once_is_tried_again_once(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "10.00")
    shop.hear(sold.refunds[0], AnswerKind.FAILED)
    shop.standin.send_refund(grant)
    answers = post_at_once(shop, bodies_of(shop))

    first, second = sold.refunds
    assert answers == [{"pspReference": str(second.pk)}] * 8 and second.supersedes_id == first.pk
    assert sold.payment.held_minor == 1000


def test_workers_that_tell_at_once_tell_once(shop: Shop):
    sold = shop.sell("30.00")
    shop.press(sold, "10.00")
    shop.pay()
    StoreTelling.objects.update(done="", due_at=clock.database_now())
    sold.transaction.events[:] = [event for event in sold.transaction.events if event.type != "REFUND_SUCCESS"]
    at_once(lambda number: tell_stores(clock.now()))

    assert told(sold) == ["REFUND_REQUEST", "REFUND_SUCCESS"] and books_agree(sold)


def test_followers_that_write_down_at_once_what_a_store_should_know_make_one_entry(shop: Shop):
    sold = shop.sell("30.00")
    ask(sold.purchase, now=clock.now())
    ids = list(Refund.objects.values_list("pk", flat=True))
    at_once(lambda number: refresh_refunds(refund_ids=ids, now=clock.now()))

    assert StoreTelling.objects.get().refund_id == ids[0]
