"""Staff press "refund" in Saleor's dashboard on a payment that our App owns."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.money import Money
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Dispute, Refund, RefundRequest
from refund_plugin.refunds.retry import give_up_refund
from refund_plugin.refunds.store_refunds import refund_from_store, spread
from refund_plugin.refunds.telling.models import StoreAsk, StoreTelling
from refund_plugin.refunds.timeline import timeline
from refund_plugin.saleor_app import transactions
from refund_plugin.webhooks.models import WebhookEvent
from tests.factories import BOUGHT, NOW
from tests.refunds.helpers import CLERK, ask
from tests.saleor.money.shop import Shop, Sold, books_agree, references, told

pytestmark = pytest.mark.django_db


def requests_of(sold: Sold) -> list[str]:
    """The references of Saleor's requests, oldest first; "" where it has none."""
    return [event.psp_reference for event in sold.transaction.events if event.type == "REFUND_REQUEST"]


def refusal(sold: Sold) -> str:
    """What Saleor's staff read of the last refund that failed at once."""
    return [event.message for event in sold.transaction.events if event.type == "REFUND_FAILURE"][-1]


def nothing_held(sold: Sold) -> bool:
    """Nothing of an order is held or gone, here or there."""
    payment = sold.payment
    assert (payment.held_minor, payment.gone_minor, sold.transaction.refund_pending) == (0, 0, 0)
    assert not sold.refunds and not RefundRequest.objects.filter(purchase=sold.purchase).exists()
    return True


def test_a_granted_refund_is_held_at_once_paid_by_the_engine_and_told_under_one_reference(shop: Shop):
    sold = shop.sell("10.00", "20.00")
    grant = shop.grant(sold, "20.00", lines={sold.order.lines[1].id: 1}, reason="It does not open")

    [refund] = sold.refunds
    assert (refund.state, refund.amount_minor, grant.status) == ("reserved", 2000, "PENDING")
    assert requests_of(sold) == [str(refund.pk)] and sold.transaction.refund_pending == 20
    assert list(refund.allocations.values_list("line__name", "gross_minor", "quantity")) == [("Book 1", 2000, 1)]
    assert (refund.request.channel, refund.request.state, refund.decision.reason) == ("saleor", "approved", "It does not open")
    assert (refund.decision.actor_kind, refund.decision.actor_label) == ("staff", "Saleor’s dashboard")

    shop.pay()

    assert grant.status == "SUCCESS" and told(sold) == ["REFUND_REQUEST", "REFUND_SUCCESS"]
    [success] = [event for event in sold.transaction.events if event.type == "REFUND_SUCCESS"]
    refund.refresh_from_db()
    assert success.psp_reference == str(refund.pk) and refund.gateway_refund_id in success.message
    assert f"/{refund.request_id}/" in success.external_url
    assert books_agree(sold)


def test_a_refund_without_a_grant_is_spread_over_the_lines_and_gives_back_the_units_that_it_pays_whole(shop: Shop):
    sold = shop.sell("10.00", "20.00")
    shop.press(sold, "15.00")
    shop.pay()

    [refund] = sold.refunds
    parts = list(refund.allocations.order_by("line__position").values_list("line__name", "gross_minor", "quantity"))
    assert parts == [("Book 0", 1000, 1), ("Book 1", 500, 0)]
    assert books_agree(sold)


def test_a_double_click_on_refund_is_one_refund(shop: Shop):
    sold = shop.sell("30.00")
    for _click in range(2):
        shop.standin.refund_at_once(sold.transaction, "10.00")
    shop.standin.work()
    shop.pay()

    [refund] = sold.refunds
    assert requests_of(sold) == [str(refund.pk)] * 2
    assert (sold.transaction.refunded, len(shop.gateway.sent)) == (10, 1)
    assert books_agree(sold)


def test_a_double_click_on_one_granted_refund_is_one_refund(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.standin.grant(sold.order, sold.transaction, "10.00")
    shop.standin.send_refunds_together([grant, grant])
    shop.standin.work()
    shop.pay()

    [refund] = sold.refunds
    assert requests_of(sold) == [str(refund.pk)] * 2 and grant.status == "SUCCESS"
    assert (sold.transaction.refunded, len(shop.gateway.sent)) == (10, 1)
    assert books_agree(sold)


def test_the_same_amount_asked_for_again_after_the_first_was_taken_in_is_a_second_refund(shop: Shop):
    sold = shop.sell("30.00")
    for _time in range(2):
        shop.press(sold, "10.00")
    shop.pay()
    shop.pay()

    assert len(set(requests_of(sold))) == 2 and sold.transaction.refunded == 20
    assert books_agree(sold)


def test_two_granted_refunds_at_once_never_exceed_the_charge(shop: Shop):
    sold = shop.sell("30.00")
    grants = [shop.standin.grant(sold.order, sold.transaction, "20.00") for _n in range(2)]
    shop.standin.send_refunds_together(grants)
    shop.standin.work()
    shop.pay()

    assert sorted(grant.status for grant in grants) == ["FAILURE", "SUCCESS"]
    assert "10.00 EUR of this payment can still be refunded; 20.00 EUR were asked for" in refusal(sold)
    assert sum(command.amount.minor for command in shop.gateway.sent) == 2000
    assert books_agree(sold)


def test_two_granted_refunds_of_the_same_amount_at_once_are_two_where_the_charge_carries_both(shop: Shop):
    """Both requests may show the same event first, so the event alone does not name the wish."""
    sold = shop.sell("30.00")
    grants = [shop.standin.grant(sold.order, sold.transaction, "10.00") for _n in range(2)]
    shop.standin.send_refunds_together(grants)
    shop.standin.work()
    shop.pay()
    shop.pay()

    assert [grant.status for grant in grants] == ["SUCCESS", "SUCCESS"] and sold.transaction.refunded == 20
    assert books_agree(sold)


def test_what_a_customer_was_promised_here_is_not_given_away_in_the_dashboard(shop: Shop):
    sold = shop.sell("30.00")
    shop.standin.refund_at_once(sold.transaction, "30.00")  # Saleor does not know yet what its customer asks for here
    ask(sold.purchase, now=clock.now())
    shop.standin.work()

    assert "0.00 EUR of this payment can still be refunded" in refusal(sold)
    assert len(sold.refunds) == 1 and sold.payment.held_minor == 3000


def test_a_line_that_the_customer_has_asked_back_here_is_not_paid_again_from_the_other_lines(shop: Shop):
    sold = shop.sell("30.00", "30.00")
    ask(sold.purchase, lines={sold.purchase.lines.earliest("position"): 1}, now=clock.now())
    grant = shop.grant(sold, "30.00", lines={sold.order.lines[0].id: 1})

    assert grant.status == "FAILURE" and "0.00 EUR of the lines that it names can still be refunded" in refusal(sold)
    assert len(sold.refunds) == 1 and sold.payment.held_minor == 3000


def test_a_line_that_was_refunded_in_part_is_not_filled_up_from_the_other_lines(shop: Shop):
    sold = shop.sell("30.00", "30.00")
    shop.press(sold, "20.00")
    shop.grant(sold, "30.00", lines={sold.order.lines[0].id: 1})

    assert "10.00 EUR of the lines that it names can still be refunded" in refusal(sold)
    shop.grant(sold, "30.00")  # whoever means the order names no line
    shop.pay()
    assert [refund.amount_minor for refund in sold.refunds] == [2000, 3000]
    assert books_agree(sold)


def test_goods_that_are_no_lines_of_ours_are_not_paid_from_the_lines_that_are(shop: Shop):
    sold = shop.sell("30.00", "15.00")
    sold.purchase.lines.filter(name="Book 1").update(metadata={})  # as if it were a mug
    grant = shop.grant(sold, "15.00", lines={sold.order.lines[1].id: 1})

    assert grant.status == "FAILURE" and "not digital" in refusal(sold)
    assert nothing_held(sold)


def test_a_second_refusal_is_not_taken_for_the_first(shop: Shop):
    sold = shop.sell("30.00", recorded=False)
    grants = [shop.grant(sold, "10.00") for _n in range(2)]

    assert [grant.status for grant in grants] == ["FAILURE", "FAILURE"]
    assert len({event.psp_reference for event in sold.transaction.events if event.type == "REFUND_FAILURE"}) == 2


def test_a_granted_refund_that_failed_is_tried_again_under_a_reference_of_its_own(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "20.00")
    [first] = sold.refunds
    shop.hear(first, AnswerKind.FAILED)
    assert grant.status == "FAILURE" and sold.transaction.refund_pending == 0

    shop.send(grant)
    assert grant.status == "PENDING"
    shop.pay()

    first, second = sold.refunds
    assert (second.supersedes_id, second.origin, grant.status) == (first.pk, "staff", "SUCCESS")
    assert requests_of(sold) == [str(first.pk), str(second.pk)]
    assert (sold.transaction.refunded, len(shop.gateway.sent)) == (20, 1)
    assert books_agree(sold)


def test_a_refund_without_a_grant_that_failed_is_the_same_debt_when_it_is_asked_for_again(shop: Shop):
    sold = shop.sell("30.00")
    shop.press(sold, "20.00")
    shop.hear(sold.refunds[0], AnswerKind.FAILED)
    shop.press(sold, "20.00")
    shop.pay()

    first, second = sold.refunds
    assert (second.supersedes_id, first.owed, RefundRequest.objects.count()) == (first.pk, False, 1)
    assert books_agree(sold)


def test_a_granted_refund_that_was_given_up_here_is_not_begun_again_there(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "20.00")
    [refund] = sold.refunds
    shop.hear(refund, AnswerKind.FAILED)
    give_up_refund(refund_id=refund.pk, by=CLERK, reason="paid in cash", now=NOW)

    shop.send(grant)

    assert grant.status == "FAILURE" and "given up" in refusal(sold)
    assert len(sold.refunds) == 1 and sold.payment.held_minor == 0


def test_a_granted_refund_whose_amount_was_changed_after_it_failed_is_refused(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "20.00")
    shop.hear(sold.refunds[0], AnswerKind.FAILED)
    grant.amount_value = Decimal("25.00")
    shop.send(grant)

    assert grant.status == "FAILURE" and "an amount is never changed afterwards" in refusal(sold)
    assert len(sold.refunds) == 1


def test_more_than_what_we_keep_of_the_order_is_refused_and_says_where_the_rest_can_be_refunded(shop: Shop):
    sold = shop.sell("10.00", "20.00")
    sold.purchase.lines.filter(position=1).delete()  # it was a printed book
    shop.press(sold, "30.00")

    assert "10.00 EUR of what this App keeps of the order" in refusal(sold) and "at the payment provider" in refusal(sold)
    assert nothing_held(sold)


def test_nothing_goes_out_while_the_bank_decides_about_the_payment(shop: Shop):
    sold = shop.sell("30.00")
    payment = sold.payment
    Dispute.objects.create(
        store=shop.store,
        payment=payment,
        account=payment.account,
        livemode=False,
        gateway_dispute_id="dp_1",
        kind="formal",
        status="needs_response",
        amount_minor=3000,
        counted_minor=3000,
        currency="EUR",
        opened_at=BOUGHT,
        told_at=BOUGHT,
    )
    payment.disputed_minor = 3000
    payment.save()
    shop.press(sold, "10.00")

    assert "the payment is disputed" in refusal(sold) and nothing_held(sold)


def test_a_refund_that_was_refused_stays_refused_when_the_very_request_comes_again(shop: Shop):
    sold = shop.sell("30.00")
    for grant in [shop.standin.grant(sold.order, sold.transaction, "20.00") for _n in range(2)]:
        shop.standin.send_refund(grant)
    refused = shop.standin.post.sent[-1]
    shop.standin.work()
    shop.hear(sold.refunds[0], AnswerKind.FAILED)  # there is room now
    answer = shop.post(refused.body)

    assert json.loads(answer.body)["result"] == "REFUND_FAILURE"
    assert len(sold.refunds) == 1


def test_a_request_that_comes_again_gets_its_answer_again_whatever_has_happened_since(shop: Shop):
    sold = shop.sell("30.00")
    shop.grant(sold, "20.00")
    [refund] = sold.refunds
    body = shop.standin.post.sent[-1].body
    assert json.loads(shop.post(body).body) == {"pspReference": str(refund.pk)}
    shop.pay()
    refund.refresh_from_db()
    paid = {"pspReference": str(refund.pk), "result": "REFUND_SUCCESS", "message": refund.gateway_refund_id}
    assert json.loads(shop.post(body).body) == paid
    shop.hear(refund, AnswerKind.FAILED)
    failed = {"pspReference": str(refund.pk), "result": "REFUND_FAILURE", "message": "The card was closed"}
    assert json.loads(shop.post(body).body) == failed
    assert len(sold.refunds) == len(shop.gateway.sent) == StoreAsk.objects.count() == 1


def test_an_order_that_is_not_known_yet_is_read_and_the_next_press_pays_it(shop: Shop):
    sold = shop.sell("30.00", recorded=False)
    shop.press(sold, "30.00")
    assert "does not know this order yet and reads it now" in refusal(sold)
    event = WebhookEvent.objects.get()
    assert (event.account.slug, event.body["order"]) == ("saleor-shop", sold.order.id) and not Refund.objects.exists()

    sold.purchase = shop.record(sold.order, sold.transaction)
    shop.press(sold, "30.00")
    shop.pay()
    assert sold.transaction.refunded == 30 and books_agree(sold)


def test_without_the_account_of_its_payments_the_app_says_what_is_missing(shop: Shop, settings: Any):
    sold = shop.sell("30.00")
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {shop.standin.api_url: {"store": "saleor-shop"}}}
    shop.press(sold, "30.00")

    assert "(payment_account)" in refusal(sold) and nothing_held(sold) and not WebhookEvent.objects.exists()


def test_the_customer_reads_that_the_shop_began_it_and_not_that_they_asked(shop: Shop, mailoutbox: list[Any]):
    sold = shop.sell("30.00")
    shop.press(sold, "30.00")
    shop.follow()
    [refund] = sold.refunds

    assert timeline(refund.request, for_staff=False).steps[0].title == "The shop began a refund for you"
    assert timeline(refund.request, for_staff=True).steps[0].title == "Begun in the shop’s back office"
    [mail] = [mail for mail in mailoutbox if "is approved" in mail.subject]
    assert "We give you a refund for your order." in mail.body and "We looked at your refund request" not in mail.body


def test_a_transaction_that_another_store_recorded_is_unknown(shop: Shop):
    sold = shop.sell("30.00")
    other = type(shop.store).objects.create(slug="other", name="Other", adapter="saleor", timezone="UTC")
    type(sold.purchase).objects.filter(pk=sold.purchase.pk).update(store=other)
    shop.press(sold, "30.00")

    assert "does not know" in refusal(sold) and nothing_held(sold)


def test_a_transaction_of_another_name_is_unknown_although_it_names_our_payment(shop: Shop):
    sold, victim = shop.sell("30.00"), shop.sell("30.00")
    sold.transaction.psp_reference = victim.transaction.psp_reference
    shop.press(sold, "30.00")

    assert "does not know" in refusal(sold) and nothing_held(victim)


@pytest.mark.parametrize(
    ("kind", "result"), [("TransactionChargeRequested", "CHARGE_FAILURE"), ("TransactionCancelationRequested", "CANCEL_FAILURE")]
)
def test_charging_and_canceling_are_refused_politely(shop: Shop, kind: str, result: str):
    answer = shop.post(json.dumps({"__typename": kind, "action": {"actionType": "CHARGE", "amount": 3, "currency": "EUR"}}).encode())

    assert answer.status == 200 and json.loads(answer.body)["result"] == result


@pytest.mark.parametrize(
    "change",
    [
        {"action": {"actionType": "REFUND", "amount": 0, "currency": "EUR"}},
        {"action": {"actionType": "REFUND", "amount": -3, "currency": "EUR"}},
        {"action": {"actionType": "REFUND", "amount": 10.005, "currency": "EUR"}},
        {"action": {"actionType": "REFUND", "amount": 10, "currency": "USD"}},
        {"action": {"actionType": "REFUND", "amount": 10, "currency": "??"}},
        {"action": {"actionType": "REFUND", "amount": "many", "currency": "EUR"}},
        {"action": {"actionType": "REFUND", "currency": "EUR"}},
        {"action": {"actionType": "CHARGE", "amount": 10, "currency": "EUR"}},
        {"action": None},
        {"transaction": None},
        {"transaction": {"id": 3, "events": 7}},
        {"transaction": []},
        {"recipient": {"id": "QXBwOjk5OQ=="}},
        {"grantedRefund": {"id": "x" * 5000, "reason": "\x00\ud800", "lines": [None, {"quantity": "NaN", "orderLine": {"id": "T"}}]}},
    ],
)
def test_a_request_that_says_something_else_than_it_should_pays_nothing_and_is_no_server_error(shop: Shop, change: dict[str, Any]):
    sold = shop.sell("30.00")
    shop.standin.refund_at_once(sold.transaction, "10.00")
    body = json.loads(shop.standin.post.queue.pop().body)
    if "grantedRefund" in change:
        body["transaction"]["events"] = []
    answer = shop.post(json.dumps({**body, **change}).encode())

    assert answer.status == 200 and json.loads(answer.body)["result"] == "REFUND_FAILURE"
    assert nothing_held(sold)


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b"{}"])
def test_garbage_that_is_signed_pays_nothing_and_is_no_server_error(shop: Shop, body: bytes):
    answer = shop.post(body)

    assert answer.status == 200 and json.loads(answer.body)["result"].endswith("_FAILURE")


def test_what_is_not_signed_by_this_saleor_is_refused_without_looking_at_it(shop: Shop):
    sold = shop.sell("30.00")
    shop.standin.refund_at_once(sold.transaction, "10.00")
    body = shop.standin.post.queue.pop().body
    signature = shop.standin.keys[-1].sign_webhook(body)
    answers = [
        shop.post(body + b" ", **{"Saleor-Signature": signature}),
        shop.post(body, **{"Saleor-Signature": ""}),
        shop.post(body, **{"Saleor-Api-Url": "https://elsewhere.example/graphql/"}),
    ]

    assert [answer.status for answer in answers] == [400, 400, 400]
    assert all("result" not in json.loads(answer.body) for answer in answers)
    assert nothing_held(sold)


def test_a_body_of_ten_megabytes_is_refused(shop: Shop):
    answer = shop.post(b" " * 10_000_000)

    assert answer.status == 413 and "result" not in json.loads(answer.body)


def test_an_error_before_anything_was_held_is_a_refusal_and_not_a_server_error(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def fail(**_arguments: Any) -> None:
        raise OperationalError("the database is away")

    sold = shop.sell("30.00")
    monkeypatch.setattr(transactions, "installation_of_request", lambda headers: fail())
    shop.press(sold, "10.00")

    assert "could not look at this" in refusal(sold) and nothing_held(sold)


@pytest.mark.django_db(transaction=True)
def test_an_error_after_the_commit_is_looked_up_and_answered_as_it_is(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def fail_afterwards(**arguments: Any) -> None:
        refund_from_store(**arguments)
        raise OperationalError("the answer to COMMIT was lost")

    sold = shop.sell("30.00")
    monkeypatch.setattr(transactions, "refund_from_store", fail_afterwards)
    grant = shop.grant(sold, "10.00")
    [refund] = sold.refunds

    assert (grant.status, requests_of(sold)) == ("PENDING", [str(refund.pk)])
    shop.pay()
    assert grant.status == "SUCCESS" and books_agree(sold)


@pytest.mark.django_db(transaction=True)
def test_an_error_instead_of_the_commit_is_looked_up_and_refused(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def fail(**_arguments: Any) -> None:
        raise OperationalError("the connection was lost")

    sold = shop.sell("30.00")
    monkeypatch.setattr(transactions, "refund_from_store", fail)
    shop.press(sold, "10.00")

    assert "could not begin" in refusal(sold) and nothing_held(sold)


@pytest.mark.django_db(transaction=True)
def test_while_nobody_can_tell_whether_money_was_held_it_is_never_called_failed(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def fail_afterwards(**arguments: Any) -> None:
        refund_from_store(**arguments)
        raise OperationalError("the answer to COMMIT was lost")

    def away(**_arguments: Any) -> None:
        raise OperationalError("the database is away")

    sold = shop.sell("30.00")
    monkeypatch.setattr(transactions, "refund_from_store", fail_afterwards)
    monkeypatch.setattr(transactions, "answer_of", away)
    grant = shop.grant(sold, "10.00")
    [refund] = sold.refunds

    assert (grant.status, requests_of(sold)) == ("PENDING", [str(refund.pk)])  # the name was known before the row
    shop.pay()
    assert grant.status == "SUCCESS" and books_agree(sold)


def test_the_answer_costs_the_same_statements_however_many_lines_and_events_there_are(shop: Shop, django_assert_max_num_queries: Any):
    small, large = shop.sell("30.00"), shop.sell(*["1.00"] * 30)
    for _n in range(3):
        shop.press(large, "1.00")
    counts = []
    for sold in (small, large):
        shop.standin.refund_at_once(sold.transaction, "2.00")
        body = shop.standin.post.queue.pop().body
        with django_assert_max_num_queries(60) as queries:
            assert "result" not in json.loads(shop.post(body).body)
        counts.append(len([query for query in queries.captured_queries if "SAVEPOINT" not in query["sql"]]))

    assert counts[1] - counts[0] <= 4, counts  # the asks before this one are looked through


def test_units_and_amounts_add_up_however_a_grant_names_its_lines(shop: Shop):
    sold = shop.sell("10.00", "20.00", "0.01")
    lines = list(sold.purchase.lines.all())
    for minor_units in (1, 333, 1000, 1999, 3001):
        for asked in ({}, {lines[1].pk: 1}, {lines[0].pk: 1, lines[2].pk: 5}):
            grants = spread(amount=Money(minor_units, "EUR"), lines=lines, asked=asked)
            assert sum(grant.amount_minor for grant in grants) == minor_units
            assert all(0 < grant.amount_minor <= grant.line.left_minor for grant in grants)
            assert all(0 <= grant.quantity <= grant.line.quantity_left for grant in grants)
    assert verify().fine


def test_every_refund_has_one_entry_and_no_reference_has_two_amounts(shop: Shop):
    sold = shop.sell("30.00")
    for amount in ("5.00", "7.00"):
        shop.press(sold, amount)
    shop.pay()
    shop.pay()

    assert {telling.refund_id for telling in StoreTelling.objects.all()} == {refund.pk for refund in sold.refunds}
    assert all(len(amounts) == 1 for amounts in references(sold).values())
