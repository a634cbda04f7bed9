from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind, RefundPage
from refund_plugin.gateways.burning import KEY_KNOWN
from refund_plugin.gateways.memory import MemoryGateway, Misbehaviour
from refund_plugin.gateways.sales import Sale, SaleKind, SaleLine, SalePayment, SubscriptionState
from refund_plugin.money import Money
from tests.gateways.conformance import GatewayConformance
from tests.gateways.conformance_sales import OrderBookConformance, OrderBookRig, Sold
from tests.gateways.rig import command_for


class MemoryRig(OrderBookRig):
    def __init__(self) -> None:
        self.gateway: MemoryGateway = MemoryGateway(name=str(uuid4()))

    def pay(self, captured: Money, *, refunds_pend: bool = False) -> str:
        payment = f"payment-{uuid4()}"
        self.gateway.add_payment(payment, captured)
        if refunds_pend:
            self.gateway.script("pending")
        return payment

    def misbehave(self, how: str) -> None:
        self.gateway.script(how)  # type: ignore[arg-type]

    def end(self, gateway_refund_id: str, kind: AnswerKind) -> None:
        self.gateway.settle(gateway_refund_id, kind)

    def refunds_of(self, payment: str) -> int:
        page = self.gateway.list_refunds(gateway_payment_id=payment)
        assert isinstance(page, RefundPage)
        return len(page.items)

    def refund_elsewhere(self, payment: str, amount: Money) -> str:
        return self.gateway.refund_externally(payment, amount)

    def break_next_listing(self) -> None:
        self.gateway.break_listings()

    def lag_listings(self, seconds: float) -> None:
        self.gateway.lag_listings(seconds)

    def forget_keys(self) -> None:
        self.gateway.forget_keys()

    def dispute(self, payment: str) -> None:
        self.gateway.dispute(payment)

    def win_dispute(self, payment: str) -> None:
        self.gateway.dispute(payment, is_open=False)

    def authorise(self, amount: Money) -> str:
        payment = f"payment-{uuid4()}"
        self.gateway.add_payment(payment, amount, is_captured=False)
        return payment

    def sell_ebooks(self) -> Sold:
        line = SaleLine(
            source_id="line",
            name="E-book",
            sku="EBOOK-1",
            quantity=2,
            paid=Money(1200, "EUR"),
            tax=Money(200, "EUR"),
            tax_rate_percent=Decimal(20),
            units_granted=6,
            product_type="ebook",
        )
        return Sold(self._sell("checkout_session", line), "checkout_session")

    def sell_plan(self) -> Sold:
        subscription, end = f"subscription-{uuid4()}", clock.now() + timedelta(days=30)
        self.gateway.add_subscription(SubscriptionState(subscription, "active", is_ended=False, current_period_end=end))
        line = SaleLine(
            source_id="line",
            name="Plan",
            sku="PLAN-1",
            quantity=1,
            paid=Money(2400, "EUR"),
            tax=Money(400, "EUR"),
            tax_rate_percent=Decimal(20),
            term_start=end - timedelta(days=30),
            term_end=end,
        )
        return Sold(self._sell("invoice", line, subscription), "invoice", subscription)

    def _sell(self, kind: SaleKind, line: SaleLine, subscription: str = "") -> str:
        source_id, paid_at = f"{kind}-{uuid4()}", clock.now()
        payment = SalePayment(
            gateway_payment_id=f"payment-{uuid4()}",
            captured=line.paid,
            is_captured=True,
            method="card",
            brand="visa",
            last4="4242",
            paid_at=paid_at,
        )
        sale = Sale(
            source_id=source_id,
            kind=kind,
            number=source_id,
            email="ada@example.com",
            name="Ada Lovelace",
            country="DE",
            currency="EUR",
            purchased_at=paid_at,
            lines=(line,),
            payments=(payment,),
            subscription_id=subscription,
            invoice_id=source_id if kind == "invoice" else "",
        )
        self.gateway.add_sale(sale)
        return source_id


class TestMemoryGateway(GatewayConformance, OrderBookConformance):
    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


def test_gateways_of_one_name_see_the_same_money() -> None:
    name = str(uuid4())
    MemoryGateway(name=name).add_payment("p1", Money(1000, "EUR"))
    answer = MemoryGateway(name=name).refund(command_for("p1", Money(1000, "EUR")))
    assert MemoryGateway(name=name).retrieve(answer.gateway_refund_id).kind == AnswerKind.SUCCEEDED
    assert MemoryGateway(name=str(uuid4())).retrieve(answer.gateway_refund_id).kind == AnswerKind.MAYBE_EXECUTED


@pytest.fixture
def gateway() -> MemoryGateway:
    gateway = MemoryGateway(name=str(uuid4()))
    gateway.add_payment("p1", Money(1000, "EUR"))
    return gateway


@pytest.mark.parametrize(("misbehaviour", "made"), [("stored_error", 0), ("stored_error_after_commit", 1)])
def test_an_error_can_be_kept_under_a_key(gateway: MemoryGateway, misbehaviour: Misbehaviour, made: int) -> None:
    command = command_for("p1", Money(500, "EUR"))
    gateway.script(misbehaviour)
    answers = [gateway.refund(command) for _ in range(2)]
    assert [(answer.kind, answer.idempotent_replayed) for answer in answers] == [
        (AnswerKind.MAYBE_EXECUTED, False),
        (AnswerKind.MAYBE_EXECUTED, True),
    ]
    assert len(gateway.sent) == made
    assert gateway.burn(command, Money(1000, "EUR")).code == KEY_KNOWN


def test_a_replay_repeats_the_first_answer_even_when_the_refund_has_failed_since(gateway: MemoryGateway) -> None:
    command = command_for("p1", Money(500, "EUR"))
    made = gateway.refund(command).gateway_refund_id
    gateway.settle(made, AnswerKind.FAILED, "declined")
    assert gateway.refund(command).kind == AnswerKind.SUCCEEDED
    assert gateway.retrieve(made).kind == AnswerKind.FAILED


def test_one_refund_can_be_missing_from_listings(gateway: MemoryGateway) -> None:
    command = command_for("p1", Money(500, "EUR"))
    made = gateway.refund(command).gateway_refund_id
    gateway.drop_from_listings(made)
    assert gateway.find(gateway_payment_id="p1", refund_id=command.refund_id) is None
    gateway.drop_from_listings(made, hidden=False)
    assert gateway.find(gateway_payment_id="p1", refund_id=command.refund_id) is not None


def test_a_refund_made_elsewhere_takes_from_what_is_left_and_is_not_among_ours(gateway: MemoryGateway) -> None:
    made = gateway.refund_externally("p1", Money(700, "EUR"), AnswerKind.PENDING)
    assert gateway.sent == []
    assert gateway.refund(command_for("p1", Money(301, "EUR"))).kind == AnswerKind.DEFINITIVE_NO
    gateway.settle(made, AnswerKind.FAILED)
    assert gateway.refund(command_for("p1", Money(301, "EUR"))).kind == AnswerKind.SUCCEEDED


def test_an_authorised_payment_can_be_refunded_once_it_is_captured(gateway: MemoryGateway) -> None:
    gateway.add_payment("p2", Money(1000, "EUR"), is_captured=False)
    gateway.capture("p2")
    assert gateway.refund(command_for("p2", Money(1000, "EUR"))).kind == AnswerKind.SUCCEEDED


def test_a_listing_breaks_off_as_often_as_it_was_told(gateway: MemoryGateway) -> None:
    gateway.break_listings(2)
    command = command_for("p1", Money(500, "EUR"))
    found = [gateway.find(gateway_payment_id="p1", refund_id=command.refund_id) for _ in range(3)]
    assert [answer and answer.code for answer in found] == ["no_answer", "no_answer", None]
