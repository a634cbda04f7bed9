"""Each trap of Saleor's payment webhooks that can cost money, played by the stand-in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest

from refund_plugin import clock, documents
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.money import Money
from refund_plugin.refunds.models import Alert
from refund_plugin.saleor.data import EventData
from refund_plugin.stores.base import RefundStands, RefundTold, StoreRefused
from refund_plugin.stores.saleor import missing_report
from tests.saleor.money.shop import Shop, books_agree, references, told

pytestmark = pytest.mark.django_db

LOST = ["502", "502_before", "timeout", "garbage"]


def test_trap_1_an_empty_body_with_a_valid_signature_begins_nothing_and_is_no_server_error(shop: Shop):
    sold = shop.sell("30.00")
    answer = shop.post(b"")

    assert answer.status == 200
    said = json.loads(answer.body)
    assert said["result"] == "REFUND_FAILURE" and not sold.refunds
    # Saleor takes a second refusal of the same reference for the first one, and leaves its request pending for ever
    assert json.loads(shop.post(b"").body)["pspReference"] != said["pspReference"]


@pytest.mark.parametrize("loss", LOST)
def test_traps_1_and_2_an_answer_that_saleor_never_got_is_paid_once_and_saleor_learns_of_it(shop: Shop, loss: str):
    sold = shop.sell("30.00")
    shop.standin.traps.add_sync(loss)
    grant = shop.grant(sold, "20.00")
    shop.later(11)  # a 502 is repeated after ten seconds, with an empty body
    assert grant.status == "FAILURE"
    shop.pay()
    shop.later(70)  # nobody waits for our answer any more

    paid = 0 if loss == "502_before" else 1
    assert (len(shop.gateway.sent), sold.transaction.refunded) == (paid, 20 * paid)
    assert books_agree(sold)


@pytest.mark.parametrize("loss", LOST)
@pytest.mark.parametrize("granted", [True, False])
def test_traps_1_and_2_pressing_again_after_a_lost_answer_leads_to_the_same_refund(shop: Shop, loss: str, granted: bool):
    sold = shop.sell("30.00")
    shop.standin.traps.add_sync(loss)
    grant = shop.grant(sold, "10.00") if granted else None
    if grant is None:
        shop.press(sold, "10.00")
    shop.later(11)
    assert "REFUND_FAILURE" in told(sold)
    if grant is None:
        shop.press(sold, "10.00")
    else:
        shop.send(grant)
    shop.pay()
    shop.later(70)

    assert (len(sold.refunds), len(shop.gateway.sent), sold.transaction.refunded) == (1, 1, 10)
    assert grant is None or grant.status == "SUCCESS"
    assert books_agree(sold)


@pytest.mark.parametrize("loss", ["502", "timeout"])
def test_traps_1_and_2_pressing_again_after_the_lost_refund_was_paid_pays_nothing_more(shop: Shop, loss: str):
    sold = shop.sell("30.00")
    shop.standin.traps.add_sync(loss)
    grant = shop.grant(sold, "10.00")
    shop.later(11)
    shop.pay()
    shop.later(70)
    assert (grant.status, sold.transaction.refunded) == ("FAILURE", 10)
    shop.send(grant)
    shop.pay()

    assert (len(shop.gateway.sent), sold.transaction.refunded) == (1, 10)
    said = [event.message for event in sold.transaction.events if event.type == "REFUND_FAILURE"][-1]
    assert grant.status == "FAILURE" and "was refunded before (memory_1), and the order shows it" in said
    assert books_agree(sold)


def test_trap_3_nothing_that_is_refused_with_a_status_of_400_says_that_it_was_paid(shop: Shop):
    for answer in (shop.post(b"{}", **{"Saleor-Signature": "x"}), shop.post(b" " * 2_000_000)):
        assert 400 <= answer.status < 500 and "SUCCESS" not in answer.body.decode()


def test_trap_4_no_time_is_ever_sent(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "10.00")
    body = shop.standin.post.sent[-1].body
    shop.pay()

    assert "time" not in json.loads(shop.post(body).body) and "time:" not in documents.document("saleor/TransactionEventReport")
    assert grant.status == "SUCCESS"


def event(kind: str, reference: object, amount: str) -> EventData:
    """An event as Saleor lists it."""
    return EventData(
        id=f"{kind}-{amount}",
        created=datetime(2026, 3, 9, 12, len(kind), tzinfo=UTC),
        type=kind,
        psp_reference=str(reference),
        amount=Decimal(amount),
        currency="EUR",
        message="",
        idempotency_key="",
    )


def test_trap_5_a_reference_is_never_reported_with_another_amount(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "10.00")
    [refund] = sold.refunds
    shop.standin.report_as(shop.app, sold.transaction, "REFUND_SUCCESS", str(refund.pk), Decimal("11.00"))  # somebody with our token
    shop.pay()

    assert references(sold)[str(refund.pk), "REFUND_SUCCESS"] == {Decimal("11.00")}  # left as it was found
    assert "under the reference of a refund of 10.00 EUR" in Alert.objects.get(kind="store_books_stuck").why
    assert grant.status == "SUCCESS"  # a report with 10 would have flipped it to "failed", to be asked for once more


def test_trap_5_the_missing_report_is_refused_before_it_is_made():
    reference = uuid4()
    refund = RefundTold(
        store="shop",
        purchase_number="1",
        reference=reference,
        store_payment_id="T",
        amount=Money(1000, "EUR"),
        stands=RefundStands.REFUNDED,
    )
    with pytest.raises(StoreRefused, match=r"Saleor has 11\.00"):
        missing_report(refund, [event("REFUND_REQUEST", reference, "11.00")])
    assert (
        missing_report(refund, [event("REFUND_REQUEST", reference, "10.000"), event("REFUND_SUCCESS", "other", "11.00")])
        == "REFUND_SUCCESS"
    )


def test_trap_6_sixty_are_never_refunded_on_a_charge_of_thirty(shop: Shop):
    sold = shop.sell("30.00")
    grants = [shop.standin.grant(sold.order, sold.transaction, "30.00") for _n in range(2)]
    for grant in grants:
        shop.standin.send_refund(grant)
    shop.standin.work()
    shop.pay()

    assert sorted(grant.status for grant in grants) == ["FAILURE", "SUCCESS"]
    assert sum(command.amount.minor for command in shop.gateway.sent) == 3000 and books_agree(sold)


def test_trap_7_what_saleor_cut_is_paid_as_it_was_cut_and_not_more(shop: Shop):
    sold = shop.sell("30.00")
    shop.press(sold, "50.00")
    shop.pay()

    assert [command.amount.minor for command in shop.gateway.sent] == [3000] and books_agree(sold)


@pytest.mark.parametrize("kind", [AnswerKind.SUCCEEDED, AnswerKind.FAILED])
def test_trap_8_the_outcome_waits_until_saleor_has_written_our_answer_down(shop: Shop, kind: AnswerKind):
    """Told before, it would not find the granted refund, which would be pending for ever."""
    sold = shop.sell("30.00")
    shop.standin.post.before_taking_in = lambda: shop.hear(sold.refunds[0], kind) and None
    grant = shop.grant(sold, "10.00")
    assert told(sold) == ["REFUND_REQUEST"] and grant.status == "PENDING"
    with clock.travel(clock.timedelta(seconds=3)):
        shop.follow()

    assert grant.status == ("SUCCESS" if kind == AnswerKind.SUCCEEDED else "FAILURE")
    assert not Alert.objects.filter(kind="store_books_stuck").exists()
