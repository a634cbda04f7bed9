"""What every gateway must prove. A provider's test module subclasses `GatewayConformance` and gives it a `rig`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction

from refund_plugin.errors import GatewayInTransaction
from refund_plugin.gateways.base import AnswerKind, Gateway, RefundCommand
from refund_plugin.money import Money


def command_for(payment: str, amount: Money, **changes: Any) -> RefundCommand:
    """Return a new refund's command."""
    refund_id = uuid4()
    given: dict[str, Any] = {
        "refund_id": refund_id,
        "idempotency_key": f"refund-{refund_id}",
        "gateway_payment_id": payment,
        "amount": amount,
        "metadata": {"installation": "shop-1"},
        "reason": "requested_by_customer",
    }
    return RefundCommand(**{**given, **changes})


class Rig(ABC):
    """A gateway together with the provider behind it, which the test may steer."""

    gateway: Gateway

    @abstractmethod
    def pay(self, captured: Money, *, refunds_pend: bool = False) -> str:
        """Let a customer pay and return the gateway's payment id."""

    @abstractmethod
    def misbehave(self, how: str) -> None:
        """Let the next refund call go wrong: timeout_before_commit, timeout_after_commit, refused_connection, bad_key, rate_limited."""

    @abstractmethod
    def end(self, gateway_refund_id: str, kind: AnswerKind) -> None:
        """Let a refund succeed or fail at the bank."""

    @abstractmethod
    def refunds_of(self, payment: str) -> int:
        """Return how many refunds of a payment the provider holds."""


class GatewayConformance:
    """The promises of `Gateway`."""

    def test_part_of_a_payment_goes_back_and_the_answer_names_it(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        answer = rig.gateway.refund(command_for(payment, Money(500, "EUR")))
        assert (answer.kind, answer.amount) == (AnswerKind.SUCCEEDED, Money(500, "EUR"))
        assert rig.gateway.retrieve(answer.gateway_refund_id).kind == AnswerKind.SUCCEEDED

    @pytest.mark.parametrize(("minor", "currency"), [(1200, "JPY"), (12340, "KWD"), (1500, "ISK"), (70000, "UGX"), (1999, "USD")])
    def test_amounts_survive_the_gateways_own_units(self, rig: Rig, minor: int, currency: str) -> None:
        assert minor % rig.gateway.step(currency) == 0
        payment = rig.pay(Money(minor, currency))
        answer = rig.gateway.refund(command_for(payment, Money(minor, currency)))
        assert (answer.kind, answer.amount) == (AnswerKind.SUCCEEDED, Money(minor, currency))

    def test_the_same_command_again_moves_no_more_money(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        first, second = rig.gateway.refund(command), rig.gateway.refund(command)
        assert first.gateway_refund_id == second.gateway_refund_id
        assert rig.refunds_of(payment) == 1

    def test_a_key_used_for_another_amount_proves_nothing_and_moves_nothing(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(500, "EUR"))
        rig.gateway.refund(command)
        other = command_for(payment, Money(600, "EUR"), idempotency_key=command.idempotency_key, refund_id=command.refund_id)
        assert rig.gateway.refund(other).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.refunds_of(payment) == 1

    def test_more_than_is_left_is_refused_for_good(self, rig: Rig) -> None:
        payment = rig.pay(Money(1000, "EUR"))
        rig.gateway.refund(command_for(payment, Money(700, "EUR")))
        answer = rig.gateway.refund(command_for(payment, Money(301, "EUR")))
        assert answer.kind == AnswerKind.DEFINITIVE_NO
        assert answer.code
        assert rig.refunds_of(payment) == 1

    def test_several_parts_may_use_up_a_payment_and_what_follows_is_doubtful_not_refused(self, rig: Rig) -> None:
        payment = rig.pay(Money(1000, "EUR"))
        kinds = [rig.gateway.refund(command_for(payment, Money(minor, "EUR"))).kind for minor in (333, 333, 334)]
        assert kinds == [AnswerKind.SUCCEEDED] * 3
        # an earlier attempt of ours may be what used it up, so this is a reason to look
        answer = rig.gateway.refund(command_for(payment, Money(1, "EUR")))
        assert (answer.kind, answer.code) == (AnswerKind.MAYBE_EXECUTED, "charge_already_refunded")

    def test_an_unknown_payment_is_refused_for_good(self, rig: Rig) -> None:
        answer = rig.gateway.refund(command_for("pi_unknown", Money(100, "EUR")))
        assert (answer.kind, answer.code) == (AnswerKind.DEFINITIVE_NO, "resource_missing")

    def test_a_lost_answer_is_doubtful_and_the_refund_can_be_found_and_replayed(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"))
        rig.misbehave("timeout_after_commit")
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id)
        assert found is not None
        assert (found.kind, found.amount) == (AnswerKind.SUCCEEDED, command.amount)
        assert rig.gateway.refund(command).gateway_refund_id == found.gateway_refund_id
        assert rig.refunds_of(payment) == 1

    def test_a_request_lost_on_the_way_is_doubtful_absent_and_can_be_sent_again(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        command = command_for(payment, Money(1820, "EUR"))
        rig.misbehave("timeout_before_commit")
        assert rig.gateway.refund(command).kind == AnswerKind.MAYBE_EXECUTED
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id) is None
        assert rig.gateway.refund(command).kind == AnswerKind.SUCCEEDED
        assert rig.refunds_of(payment) == 1

    @pytest.mark.parametrize(("how", "hold"), [("refused_connection", False), ("bad_key", True), ("rate_limited", False)])
    def test_what_surely_was_not_executed_says_so(self, rig: Rig, how: str, hold: bool) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.misbehave(how)
        answer = rig.gateway.refund(command_for(payment, Money(100, "EUR")))
        assert (answer.kind, answer.hold) == (AnswerKind.NOT_EXECUTED, hold)
        assert rig.refunds_of(payment) == 0

    @pytest.mark.parametrize("end", [AnswerKind.SUCCEEDED, AnswerKind.FAILED])
    def test_a_pending_refund_ends_later(self, rig: Rig, end: AnswerKind) -> None:
        payment = rig.pay(Money(1820, "EUR"), refunds_pend=True)
        answer = rig.gateway.refund(command_for(payment, Money(1820, "EUR")))
        assert answer.kind == AnswerKind.PENDING
        rig.end(answer.gateway_refund_id, end)
        assert rig.gateway.retrieve(answer.gateway_refund_id).kind == end

    def test_a_refund_that_failed_leaves_the_money_refundable(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        first = rig.gateway.refund(command_for(payment, Money(1820, "EUR")))
        rig.end(first.gateway_refund_id, AnswerKind.FAILED)
        assert rig.gateway.refund(command_for(payment, Money(1820, "EUR"))).kind == AnswerKind.SUCCEEDED

    def test_a_refund_of_somebody_else_is_not_taken_for_ours(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        rig.gateway.refund(command_for(payment, Money(100, "EUR")))
        assert rig.gateway.find(gateway_payment_id=payment, refund_id=uuid4()) is None

    def test_a_refund_that_cannot_be_read_is_doubtful_not_failed(self, rig: Rig) -> None:
        assert rig.gateway.retrieve("re_unknown").kind == AnswerKind.MAYBE_EXECUTED

    def test_the_account_answers_a_ping(self, rig: Rig) -> None:
        assert rig.gateway.ping().kind == AnswerKind.SUCCEEDED

    @pytest.mark.django_db
    def test_nothing_is_sent_while_a_transaction_is_open(self, rig: Rig) -> None:
        payment = rig.pay(Money(1820, "EUR"))
        with pytest.raises(GatewayInTransaction), transaction.atomic():
            rig.gateway.refund(command_for(payment, Money(100, "EUR")))
        assert rig.refunds_of(payment) == 0
