from __future__ import annotations

from uuid import uuid4

import pytest

from refund_plugin.gateways.base import AnswerKind, RefundPage
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.money import Money
from tests.gateways.conformance import GatewayConformance
from tests.gateways.rig import Rig, command_for


class MemoryRig(Rig):
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


class TestMemoryGateway(GatewayConformance):
    @pytest.fixture
    def rig(self) -> MemoryRig:
        return MemoryRig()


def test_gateways_of_one_name_see_the_same_money() -> None:
    name = str(uuid4())
    MemoryGateway(name=name).add_payment("p1", Money(1000, "EUR"))
    answer = MemoryGateway(name=name).refund(command_for("p1", Money(1000, "EUR")))
    assert MemoryGateway(name=name).retrieve(answer.gateway_refund_id).kind == AnswerKind.SUCCEEDED
    assert MemoryGateway(name=str(uuid4())).retrieve(answer.gateway_refund_id).kind == AnswerKind.MAYBE_EXECUTED
