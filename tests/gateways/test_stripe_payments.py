"""What Stripe tells about a payment: over the sandbox, and for shapes of older integrations."""

from __future__ import annotations

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from refund_plugin.gateways.base import PaymentState
from refund_plugin.gateways.stripe_reading import payment_state
from refund_plugin.money import Money
from tests.gateways.rig import command_for
from tests.gateways.test_stripe import SandboxRig
from tests.gateways.test_stripe_sales import payment_intent


@pytest.fixture
def rig(sandbox: SandboxServer) -> SandboxRig:
    return SandboxRig(sandbox)


def state_of(rig: SandboxRig, payment: str) -> PaymentState:
    state = rig.gateway.payment_state(payment)
    assert isinstance(state, PaymentState)
    return state


def test_what_the_account_is_paid_out_and_charged_is_told(rig: SandboxRig) -> None:
    payment = rig.sandbox.post("payments", amount=10000, currency="eur", settlement_currency="usd", exchange_rate=1.25)["id"]
    state = state_of(rig, payment)
    assert (state.captured, state.settlement) == (Money(10000, "EUR"), Money(12500, "USD"))
    assert state.fee is not None
    assert state.fee.currency == "USD"
    assert state.fee.minor > 0


def test_a_payment_of_which_a_part_was_captured_has_only_that_part(rig: SandboxRig) -> None:
    payment = rig.authorise(Money(1820, "EUR"))
    client = stripe.StripeClient(rig.sandbox.api_key, base_addresses={"api": rig.sandbox.url})
    client.v1.payment_intents.capture(payment, {"amount_to_capture": 1500})
    state = state_of(rig, payment)
    assert (state.captured, state.is_captured) == (Money(1500, "EUR"), True)


def test_a_charge_of_an_old_integration_tells_the_same(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    rig.gateway.refund(command_for(payment, Money(500, "EUR")))
    (charge,) = rig.sandbox.get("state")["charges"]
    told, by_charge = state_of(rig, payment), state_of(rig, charge["id"])
    assert by_charge.gateway_payment_id == charge["id"]
    assert (by_charge.captured, by_charge.refunded, by_charge.is_captured) == (told.captured, told.refunded, told.is_captured)
    assert (by_charge.brand, by_charge.last4, by_charge.paid_at, by_charge.fee) == (told.brand, told.last4, told.paid_at, told.fee)


@pytest.mark.parametrize(
    ("captured", "refunded", "amount", "is_captured", "is_canceled"),
    [(True, False, 2380, True, False), (False, False, 2380, False, False), (False, True, 0, False, True)],
    ids=["captured", "authorised", "released"],
)
def test_a_charge_says_whether_it_was_captured_or_released(
    captured: bool, refunded: bool, amount: int, is_captured: bool, is_canceled: bool
) -> None:
    charge = {**payment_intent()["latest_charge"], "captured": captured, "refunded": refunded}
    state = payment_state(charge)
    assert (state.captured, state.is_captured, state.is_canceled) == (Money(amount, "EUR"), is_captured, is_canceled)


def test_a_payment_that_nobody_has_paid_yet_has_nothing() -> None:
    state = payment_state(payment_intent(status="requires_payment_method", amount_received=0, latest_charge=None))
    assert (state.captured, state.refunded, state.is_captured, state.is_canceled) == (Money(0, "EUR"), Money(0, "EUR"), False, False)
    assert (state.method, state.paid_at, state.settlement, state.fee) == ("", None, None, None)


def test_a_payment_from_a_bank_account_names_its_last_digits() -> None:
    details = {"type": "sepa_debit", "sepa_debit": {"last4": "3000", "country": "DE"}}
    charge = {**payment_intent()["latest_charge"], "payment_method_details": details}
    state = payment_state(payment_intent(latest_charge=charge))
    assert (state.method, state.brand, state.last4) == ("sepa_debit", "", "3000")
