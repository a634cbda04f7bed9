"""A payment that we come to know late brings its refunds and disputes with it, and nobody promises its money before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin import clock
from refund_plugin.gateways.base import NOT_SUPPORTED, AnswerKind, GatewayAnswer
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.money import Money
from refund_plugin.orders.data import PaymentData, PurchaseData
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.orders.services import record_purchase
from refund_plugin.refunds import history
from refund_plugin.refunds.externals import record_seen
from refund_plugin.refunds.history import read_histories
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Alert, Dispute, Refund
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.stores.services import ensure_default_store
from tests.factories import BOUGHT, EBOOK, NOW
from tests.refunds.helpers import ask

TakeOver = Callable[..., Purchase]


@pytest.fixture
def take_over(policy: object, gateway: MemoryGateway) -> TakeOver:
    """Record an order that was sold days ago, as an import does; its payment exists at the gateway."""

    def record(number: str = "1042", *, has_history: bool | None = None, known_there: bool = True) -> Purchase:
        name = f"pay_{number}"
        if known_there and not gateway._ledger.payments.get(name):
            gateway.add_payment(name, Money(1820, "EUR"))
        payment = PaymentData(gateway_payment_id=name, captured_minor=1820, has_history=has_history)
        data = PurchaseData(
            number=number, email="ada@example.com", currency="EUR", purchased_at=BOUGHT, lines=(EBOOK,), payments=(payment,)
        )
        return record_purchase(store=ensure_default_store(), data=data, now=NOW)[0]

    return record


def payment_of(purchase: Purchase) -> Payment:
    return purchase.payments.get()


def read_all() -> None:
    """Read what is due, also what a process that ended had taken or what was put off."""
    Payment.objects.filter(history_due_at__isnull=False).update(history_due_at=NOW)
    read_histories(NOW)


def test_what_was_refunded_before_counts_once_it_is_read(gateway: MemoryGateway, take_over: TakeOver) -> None:
    gateway.add_payment("pay_1042", Money(1820, "EUR"))
    gateway.refund_externally("pay_1042", Money(900, "EUR"))
    gateway.refund_externally("pay_1042", Money(100, "EUR"), AnswerKind.PENDING)
    gateway.refund_externally("pay_1042", Money(50, "EUR"), AnswerKind.FAILED)
    purchase = take_over()

    assert read_histories(NOW) == 1

    payment = payment_of(purchase)
    assert (payment.gone_minor, payment.held_minor, payment.left.minor, payment.unallocated_minor) == (900, 100, 820, 1000)
    assert payment.history_due_at is None and verify().fine
    assert read_histories(NOW) == 0


def test_many_old_refunds_make_one_alert(gateway: MemoryGateway, take_over: TakeOver) -> None:
    for number in ("1", "2", "3"):
        gateway.add_payment(f"pay_{number}", Money(1820, "EUR"))
        gateway.refund_externally(f"pay_{number}", Money(900, "EUR"))
        take_over(number)

    read_histories(NOW)

    assert Refund.objects.count() == 3
    assert [alert.kind for alert in Alert.objects.all()] == ["external_refund"]


def test_a_dispute_from_before_counts_too(gateway: MemoryGateway, take_over: TakeOver) -> None:
    purchase = take_over()
    gateway.dispute("pay_1042")

    read_histories(NOW)

    dispute, payment = Dispute.objects.get(), payment_of(purchase)
    assert (payment.disputed_minor, payment.left.minor, payment.history_due_at) == (1820, 0, None)
    assert dispute.opened_at <= dispute.told_at and verify().fine


def test_until_the_past_is_read_nothing_is_promised_and_a_person_decides(gateway: MemoryGateway, take_over: TakeOver) -> None:
    purchase = take_over()
    assert quote_purchase(purchase=purchase, now=NOW).certain.minor == 0
    assert ask(purchase).state == "in_review"

    other = take_over("1043")
    read_histories(NOW)
    assert quote_purchase(purchase=other, now=NOW).certain.minor == 1820
    assert ask(other).state == "approved"


@pytest.mark.parametrize(("has_history", "is_due"), [(None, True), (True, True), (False, False)])
def test_who_knows_that_there_is_no_past_saves_the_question(take_over: TakeOver, has_history: bool | None, is_due: bool) -> None:
    assert (payment_of(take_over(has_history=has_history)).history_due_at is not None) is is_due


def test_what_was_just_sold_has_no_past(policy: object) -> None:
    payment = PaymentData(gateway_payment_id="pay_new", captured_minor=1820)
    data = PurchaseData(number="1", email="a@example.com", currency="EUR", purchased_at=NOW, lines=(EBOOK,), payments=(payment,))
    purchase, _created = record_purchase(store=ensure_default_store(), data=data, now=NOW + timedelta(minutes=5))
    assert payment_of(purchase).history_due_at is None


def test_a_process_that_ends_between_reading_and_recording_loses_nothing(
    gateway: MemoryGateway, take_over: TakeOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.add_payment("pay_1042", Money(1820, "EUR"))
    gateway.refund_externally("pay_1042", Money(900, "EUR"))
    purchase = take_over()

    def killed(**arguments: object) -> None:
        raise SystemExit

    monkeypatch.setattr(history, "record_seen", killed)
    with pytest.raises(SystemExit):
        read_histories(NOW)
    assert read_histories(NOW) == 0, "another worker leaves it alone while the lease runs"
    monkeypatch.setattr(history, "record_seen", record_seen)
    read_all()

    assert payment_of(purchase).gone_minor == 900 and Refund.objects.count() == 1


def test_a_gateway_that_does_not_answer_is_asked_again_later(gateway: MemoryGateway, take_over: TakeOver) -> None:
    gateway.add_payment("pay_1042", Money(1820, "EUR"))
    gateway.refund_externally("pay_1042", Money(900, "EUR"))
    purchase = take_over()
    gateway.break_listings()

    read_histories(NOW)
    assert payment_of(purchase).history_due_at is not None and not Refund.objects.exists()

    read_all()
    assert payment_of(purchase).gone_minor == 900


def test_a_listing_that_lags_behind_is_not_taken_for_the_whole(gateway: MemoryGateway, take_over: TakeOver) -> None:
    gateway.add_payment("pay_1042", Money(1820, "EUR"))
    hidden = gateway.refund_externally("pay_1042", Money(900, "EUR"))
    gateway.drop_from_listings(hidden)
    purchase = take_over()

    read_histories(NOW)
    assert payment_of(purchase).history_due_at is not None

    gateway.drop_from_listings(hidden, hidden=False)
    read_all()
    assert (payment_of(purchase).gone_minor, payment_of(purchase).history_due_at) == (900, None)


def due_in(purchase: Purchase) -> timedelta:
    due_at = payment_of(purchase).history_due_at
    assert due_at is not None
    return due_at - clock.database_now()


def test_payments_the_gateway_does_not_know_are_told_to_staff_once_and_asked_for_again_a_day_later(
    gateway: MemoryGateway, take_over: TakeOver
) -> None:
    """The account named for them may be the wrong one for a while."""
    purchases = [take_over(number, known_there=False) for number in ("1", "2")]

    read_histories(NOW)

    assert all(timedelta(hours=23) < due_in(purchase) <= timedelta(hours=24) for purchase in purchases)
    assert "resource_missing" in Alert.objects.get(kind="history_unknown").why
    assert ask(purchases[0]).state == "in_review"

    gateway.add_payment("pay_2", Money(1820, "EUR"))
    gateway.refund_externally("pay_2", Money(900, "EUR"))
    read_all()
    assert (payment_of(purchases[1]).gone_minor, payment_of(purchases[1]).history_due_at) == (900, None)


@pytest.mark.parametrize(
    ("answer", "hours"),
    [(NOT_SUPPORTED, 24), (GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_403", hold=True), 1 / 6)],
    ids=["an adapter that lists no disputes", "a key that may not read them"],
)
def test_disputes_that_cannot_be_read_leave_the_history_unknown_but_the_refunds_count(
    gateway: MemoryGateway, take_over: TakeOver, monkeypatch: pytest.MonkeyPatch, answer: GatewayAnswer, hours: float
) -> None:
    purchase = take_over()
    gateway.refund_externally("pay_1042", Money(900, "EUR"))
    gateway.dispute("pay_1042", is_open=False)
    monkeypatch.setattr(gateway, "list_disputes", lambda **question: answer)

    read_histories(NOW)

    assert payment_of(purchase).gone_minor == 900
    assert timedelta(hours=hours) - timedelta(minutes=5) < due_in(purchase) <= timedelta(hours=hours)
    assert answer.code in Alert.objects.get(kind="history_unknown").why


def test_of_two_disputes_the_one_that_can_be_recorded_counts_and_a_person_decides(
    gateway: MemoryGateway, take_over: TakeOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchase = take_over()
    gateway.dispute("pay_1042")
    page = gateway.list_disputes(gateway_payment_id="pay_1042")
    assert not isinstance(page, GatewayAnswer)
    [fine] = page.items
    wrong = replace(fine, dispute_id="dp_usd", amount=Money(1, "USD"))
    monkeypatch.setattr(gateway, "list_disputes", lambda **question: replace(page, items=(wrong, fine)))

    read_histories(NOW)

    assert payment_of(purchase).disputed_minor == 1820
    assert due_in(purchase) > timedelta(hours=23)
    assert "dp_usd" in Alert.objects.get(kind="history_unknown").why


def test_a_payment_that_cannot_be_taken_in_does_not_stop_the_others(
    gateway: MemoryGateway, take_over: TakeOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    purchases = [take_over(number) for number in ("1", "2")]
    for number in ("1", "2"):
        gateway.dispute(f"pay_{number}")
    listed = gateway.list_disputes

    def in_another_currency(*, gateway_payment_id: str = "", **arguments: object) -> object:
        page = listed(gateway_payment_id=gateway_payment_id)
        assert not isinstance(page, GatewayAnswer)
        wrong = gateway_payment_id == "pay_1"
        return replace(page, items=tuple(replace(item, amount=Money(1, "USD")) if wrong else item for item in page.items))

    monkeypatch.setattr(gateway, "list_disputes", in_another_currency)
    monkeypatch.setattr(history, "gateway_for", lambda account: gateway)
    read_histories(NOW)

    assert [payment_of(purchase).disputed_minor for purchase in purchases] == [0, 1820]
    assert Alert.objects.filter(kind="history_unknown").exists()


def test_a_sweep_with_no_payment_of_unknown_past_asks_the_database_little(policy: object) -> None:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert read_histories(NOW) == 0
    assert len([query for query in asked if query["sql"].startswith(("SELECT", "UPDATE"))]) <= 2
