"""Refunds over another payment app in any order of sending, burning, losing and ending: never more than was charged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from refund_plugin.gateways.base import AnswerKind, PaymentState
from refund_plugin.gateways.burning import KEY_BURNT
from refund_plugin.money import Money
from tests.gateways.rig import command_for
from tests.gateways.test_saleor import CREATE, LOOK, REQUEST, SaleorRig
from tests.saleor.standin.other_app import Payout
from tests.saleor.standin.traps import Fault

CHARGED = 3000
PARTS = (3000, 1700, 1300)
STEPS = st.one_of(
    *[st.tuples(st.just("send"), st.integers(0, 2))] * 3,
    st.tuples(st.just("burn"), st.integers(0, 2)),
    st.tuples(st.just("lose"), st.sampled_from([(LOOK, False), (CREATE, False), (CREATE, True), (REQUEST, False), (REQUEST, True)])),
    st.tuples(st.just("work"), st.sampled_from(["success", "async", "failure", "lost"])),
    st.tuples(st.just("settle"), st.booleans()),
    st.tuples(st.just("staff"), st.sampled_from([500, 1300])),
)


@pytest.fixture(scope="module", params=["3.22", "3.23"])
def rig(request: pytest.FixtureRequest) -> Iterator[SaleorRig]:
    rig = SaleorRig(request.param, prompt=False)
    yield rig
    rig.saleor.stop()


@hypothesis_settings(max_examples=12)
@example(steps=[("send", 0), ("send", 1), ("work", "success")])
@example(steps=[("lose", (REQUEST, True)), ("send", 1), ("burn", 1), ("work", "async"), ("send", 2), ("settle", True)])
@example(steps=[("send", 1), ("work", "lost"), ("send", 0), ("staff", 1300), ("send", 2), ("work", "success")])
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_no_order_of_things_pays_more_than_was_charged_or_one_refund_twice(rig: SaleorRig, steps: list[tuple[str, object]]) -> None:
    saleor = rig.saleor
    saleor.traps.clear()
    payment = rig.pay(Money(CHARGED, "EUR"))
    item = rig.transaction(payment)
    commands = [command_for(payment, Money(minor, "EUR")) for minor in PARTS]
    burnt: set[int] = set()
    for what, how in steps:
        if what == "send":
            answer = rig.gateway.refund(commands[how])  # type: ignore[call-overload]
            assert how not in burnt or answer.kind != AnswerKind.PENDING
        elif what == "burn" and rig.gateway.burn(commands[how], Money(CHARGED, "EUR")).code == KEY_BURNT:  # type: ignore[call-overload]
            burnt.add(how)  # type: ignore[arg-type]
        elif what == "lose":
            operation, executed = how  # type: ignore[misc]
            saleor.traps.add(Fault("drop", operation=operation, executed=executed))
        elif what == "work":
            saleor.other.default = how  # type: ignore[assignment]
            saleor.work()
        elif what == "settle":
            saleor.settle_other(success=bool(how))
        elif what == "staff":
            saleor.work()  # what two people press in the same moment Saleor does not keep apart; that is for the books to find
            if item.charged - sum(payout.amount for payout in _unseen(rig, payment)) >= Decimal(str(how)) / 100:
                saleor.refund_at_once(item, Decimal(str(how)) / 100)
    saleor.work()
    saleor.settle_other()
    assert rig.paid_out(payment) <= Decimal(CHARGED) / 100
    saleor.traps.clear()
    for number, command in enumerate(commands):
        found = rig.gateway.find(gateway_payment_id=payment, refund_id=command.refund_id)
        granted = [grant for grant in item.order.granted_refunds if str(command.refund_id) in grant.reason]
        requested = [event for event in item.events if event.type == "REFUND_REQUEST" and event.granted_refund in granted]
        assert len(requested) <= 1, "asked twice"
        assert (found is None) == (not requested)
        assert not (number in burnt and requested)
    state = rig.gateway.payment_state(payment)
    assert isinstance(state, PaymentState)
    assert state.captured == Money(CHARGED, "EUR")
    assert state.refunded.minor >= rig.paid_out(payment) * 100


def _unseen(rig: SaleorRig, payment: str) -> list[Payout]:
    """What the other app paid without Saleor having heard of it."""
    told = {event.psp_reference for event in rig.transaction(payment).events}
    return [payout for payout in rig.saleor.other.paid if payout.transaction_id == payment and payout.psp_reference not in told]
