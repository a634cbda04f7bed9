"""What a gateway must prove that also keeps the order book; beside `GatewayConformance`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import transaction

from refund_plugin.errors import GatewayInTransaction
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, PaymentState
from refund_plugin.gateways.sales import CreditNote, Sale, SaleKind, SalePage, SubscriptionState
from refund_plugin.money import Money
from tests.gateways.rig import Rig, command_for


@dataclass(frozen=True)
class Sold:
    """What was sold: 12.00 EUR for two e-books (`EBOOK-1`), or 24.00 EUR for a month of a plan; 20 % tax included."""

    source_id: str
    kind: SaleKind
    subscription_id: str = ""


class OrderBookRig(Rig):
    """A gateway that keeps the order book."""

    @abstractmethod
    def sell_ebooks(self) -> Sold:
        """Sell two e-books at a checkout."""

    @abstractmethod
    def sell_plan(self) -> Sold:
        """Sell a month of a plan, which renews itself."""


def sale_of(rig: OrderBookRig, sold: Sold) -> Sale:
    sale = rig.gateway.read_sale(sold.source_id, sold.kind)
    assert isinstance(sale, Sale)
    return sale


def listed(rig: OrderBookRig, kind: SaleKind) -> tuple[str, ...]:
    page = rig.gateway.list_sales(kind=kind)
    assert isinstance(page, SalePage)
    assert page.cursor == ""
    return page.source_ids


class OrderBookConformance:
    """The promises of `Gateway` about sales, subscriptions and credit notes."""

    def test_a_checkout_tells_what_was_bought_by_whom(self, rig: OrderBookRig) -> None:
        sold = rig.sell_ebooks()
        sale = sale_of(rig, sold)
        assert (sale.source_id, sale.kind, sale.currency, sale.country) == (sold.source_id, "checkout_session", "EUR", "DE")
        assert (sale.email, sale.subscription_id) == ("ada@example.com", "")
        (line,) = sale.lines
        assert (line.sku, line.product_type, line.quantity, line.units_granted) == ("EBOOK-1", "ebook", 2, 6)
        assert (line.paid, line.tax, line.tax_rate_percent) == (Money(1200, "EUR"), Money(200, "EUR"), 20)
        assert (line.term_start, line.term_end) == (None, None)

    def test_the_payment_of_a_sale_can_be_refunded(self, rig: OrderBookRig) -> None:
        sale = sale_of(rig, rig.sell_ebooks())
        (payment,) = sale.payments
        assert (payment.captured, payment.is_captured, payment.brand, payment.last4) == (Money(1200, "EUR"), True, "visa", "4242")
        assert payment.paid_at == sale.purchased_at
        answer = rig.gateway.refund(command_for(payment.gateway_payment_id, Money(600, "EUR")))
        assert answer.kind == AnswerKind.SUCCEEDED

    def test_a_plan_is_told_with_its_term_and_subscription(self, rig: OrderBookRig) -> None:
        sold = rig.sell_plan()
        sale = sale_of(rig, sold)
        assert (sale.kind, sale.subscription_id, sale.invoice_id) == ("invoice", sold.subscription_id, sold.source_id)
        (line,) = sale.lines
        assert (line.paid, line.tax, line.tax_rate_percent) == (Money(2400, "EUR"), Money(400, "EUR"), 20)
        assert line.term_start is not None
        assert line.term_end is not None
        assert timedelta(days=27) < line.term_end - line.term_start < timedelta(days=32)
        assert [payment.captured for payment in sale.payments] == [Money(2400, "EUR")]

    def test_sales_are_listed_newest_first_by_their_kind(self, rig: OrderBookRig) -> None:
        first, second, plan = rig.sell_ebooks(), rig.sell_ebooks(), rig.sell_plan()
        assert listed(rig, "checkout_session") == (second.source_id, first.source_id)
        assert listed(rig, "invoice") == (plan.source_id,)

    @pytest.mark.parametrize("kind", ["checkout_session", "invoice"])
    def test_an_unknown_sale_cannot_be_read(self, rig: OrderBookRig, kind: SaleKind) -> None:
        answer = rig.gateway.read_sale("unknown", kind)
        assert isinstance(answer, GatewayAnswer)
        assert (answer.kind, answer.code) == (AnswerKind.MAYBE_EXECUTED, "resource_missing")

    def test_a_subscription_is_ended_once_and_for_good(self, rig: OrderBookRig) -> None:
        subscription = rig.sell_plan().subscription_id
        before = rig.gateway.subscription_state(subscription)
        assert isinstance(before, SubscriptionState)
        assert (before.status, before.is_ended, before.canceled_at) == ("active", False, None)
        assert before.current_period_end is not None
        answers = [rig.gateway.end_subscription(subscription, idempotency_key=f"end-{number}") for number in range(2)]
        assert [answer.kind for answer in answers] == [AnswerKind.SUCCEEDED] * 2
        after = rig.gateway.subscription_state(subscription)
        assert isinstance(after, SubscriptionState)
        assert (after.is_ended, after.canceled_at is not None) == (True, True)

    def test_ending_a_subscription_moves_no_money(self, rig: OrderBookRig) -> None:
        sold = rig.sell_plan()
        (payment,) = sale_of(rig, sold).payments
        rig.gateway.end_subscription(sold.subscription_id, idempotency_key="end")
        assert rig.refunds_of(payment.gateway_payment_id) == 0
        assert listed(rig, "invoice") == (sold.source_id,)

    def test_an_unknown_subscription_cannot_be_ended(self, rig: OrderBookRig) -> None:
        answer = rig.gateway.end_subscription("sub_unknown", idempotency_key="end")
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "resource_missing")
        state = rig.gateway.subscription_state("sub_unknown")
        assert isinstance(state, GatewayAnswer)
        assert state.kind == AnswerKind.MAYBE_EXECUTED

    def test_a_credit_note_is_recorded_once_and_moves_no_money(self, rig: OrderBookRig) -> None:
        sold = rig.sell_plan()
        (payment,) = sale_of(rig, sold).payments
        refund = rig.gateway.refund(command_for(payment.gateway_payment_id, Money(600, "EUR")))
        notes = [
            rig.gateway.record_credit_note(
                invoice_id=sold.source_id, gateway_refund_id=refund.gateway_refund_id, amount=Money(600, "EUR"), idempotency_key="note"
            )
            for _ in range(2)
        ]
        assert isinstance(notes[0], CreditNote)
        assert notes[0].credit_note_id
        assert notes[0].number
        assert notes[1] == notes[0]
        state = rig.gateway.payment_state(payment.gateway_payment_id)
        assert isinstance(state, PaymentState)
        assert state.refunded == Money(600, "EUR")

    def test_an_unknown_credit_note_cannot_be_voided(self, rig: OrderBookRig) -> None:
        answer = rig.gateway.void_credit_note("cn_unknown", idempotency_key="void")
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "resource_missing")

    @pytest.mark.django_db
    def test_no_sale_is_read_while_a_transaction_is_open(self, rig: OrderBookRig) -> None:
        sold = rig.sell_ebooks()
        with pytest.raises(GatewayInTransaction), transaction.atomic():
            rig.gateway.read_sale(sold.source_id, sold.kind)
