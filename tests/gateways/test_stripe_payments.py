"""What Stripe tells about a payment and what becomes of it: over the sandbox, and for shapes of older integrations."""

from __future__ import annotations

import pytest
import stripe

from demo.sandbox.process import SandboxServer
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer, PaymentState, WebhookFact
from refund_plugin.gateways.facts import WebhookDispute, WebhookPayment, WebhookSale, WebhookSubscription, WebhookWarning
from refund_plugin.gateways.sales import Sale, SalePage
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


def told_by(rig: SandboxRig) -> dict[str, WebhookFact]:
    """Return what each event of the sandbox tells, by its type; the newest of a type."""
    client = stripe.StripeClient(rig.sandbox.api_key, base_addresses={"api": rig.sandbox.url})
    facts = {}
    for event in reversed(client.v1.events.list({"limit": 100}).data):
        fact = rig.gateway.read_event(event.to_dict())
        assert fact == rig.gateway.read_event(rig.gateway.kept_of(event.to_dict()))
        if fact is not None:
            facts[fact.event_type] = fact
    return facts


def test_the_events_of_a_dispute_name_the_payment_and_how_it_ends(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    rig.dispute(payment)
    opened = told_by(rig)["charge.dispute.created"]
    assert isinstance(opened, WebhookDispute)
    assert (opened.gateway_payment_id, opened.amount, opened.is_open, opened.is_inquiry) == (payment, Money(1820, "EUR"), True, False)
    assert opened.evidence_due is not None
    assert opened.evidence_due > opened.created
    withdrawn = told_by(rig)["charge.dispute.funds_withdrawn"]
    assert isinstance(withdrawn, WebhookDispute)
    assert withdrawn.moved == Money(-1820, "EUR")
    assert withdrawn.fee is not None
    assert withdrawn.fee.minor > 0
    rig.win_dispute(payment)
    closed = told_by(rig)["charge.dispute.closed"]
    assert isinstance(closed, WebhookDispute)
    assert (closed.dispute_id, closed.is_won, closed.is_open) == (opened.dispute_id, True, False)


def test_the_events_of_an_authorised_payment_tell_what_was_captured_or_let_go(rig: SandboxRig) -> None:
    captured, released = rig.authorise(Money(1820, "EUR")), rig.authorise(Money(900, "EUR"))
    client = stripe.StripeClient(rig.sandbox.api_key, base_addresses={"api": rig.sandbox.url})
    client.v1.payment_intents.capture(captured, {"amount_to_capture": 1500})
    client.v1.payment_intents.cancel(released)
    told = told_by(rig)
    for event_type in ("charge.captured", "payment_intent.succeeded"):
        fact = told[event_type]
        assert isinstance(fact, WebhookPayment)
        assert (fact.gateway_payment_id, fact.captured, fact.is_captured) == (captured, Money(1500, "EUR"), True)
    fact = told["payment_intent.canceled"]
    assert isinstance(fact, WebhookPayment)
    assert (fact.gateway_payment_id, fact.captured, fact.is_canceled) == (released, Money(0, "EUR"), True)


def test_a_fraud_warning_names_the_payment(rig: SandboxRig) -> None:
    payment = rig.pay(Money(1820, "EUR"))
    rig.sandbox.post("early_fraud_warnings", payment_intent=payment, fraud_type="unauthorized_use_of_card")
    fact = told_by(rig)["radar.early_fraud_warning.created"]
    assert isinstance(fact, WebhookWarning)
    assert (fact.gateway_payment_id, fact.fraud_type, fact.actionable) == (payment, "unauthorized_use_of_card", True)


def test_what_is_sold_is_told_once_and_can_be_read(rig: SandboxRig) -> None:
    ebooks, plan = rig.sell_ebooks(), rig.sell_plan()
    told = told_by(rig)
    for sold, event_type in ((ebooks, "checkout.session.completed"), (plan, "invoice.paid")):
        fact = told[event_type]
        assert isinstance(fact, WebhookSale)
        assert (fact.source_id, fact.kind) == (sold.source_id, sold.kind)
        assert isinstance(rig.gateway.read_sale(fact.source_id, fact.kind), Sale)


def test_a_subscription_that_ends_is_told(rig: SandboxRig) -> None:
    plan = rig.sell_plan()
    rig.gateway.end_subscription(plan.subscription_id, idempotency_key="end")
    fact = told_by(rig)["customer.subscription.deleted"]
    assert isinstance(fact, WebhookSubscription)
    assert fact.subscription == rig.gateway.subscription_state(plan.subscription_id)
    assert fact.subscription.is_ended


def test_a_renewal_is_a_sale_of_its_own_with_the_next_term(rig: SandboxRig) -> None:
    plan = rig.sell_plan()
    first = rig.gateway.read_sale(plan.source_id, "invoice")
    rig.sandbox.post(f"subscriptions/{plan.subscription_id}/renew")
    page = rig.gateway.list_sales(kind="invoice")
    assert isinstance(page, SalePage)
    renewal = rig.gateway.read_sale(page.source_ids[0], "invoice")
    assert isinstance(first, Sale)
    assert isinstance(renewal, Sale)
    assert renewal.source_id != first.source_id
    assert renewal.subscription_id == first.subscription_id
    assert renewal.lines[0].term_start == first.lines[0].term_end


def test_a_session_whose_payment_takes_days_is_a_sale_once_it_has_arrived(rig: SandboxRig) -> None:
    line = {"name": "E-book", "amount": 600, "quantity": 2}
    session = rig.sandbox.post("sales", mode="payment", currency="eur", lines=[line], later=True)["id"]
    assert isinstance(told_by(rig)["checkout.session.completed"], WebhookSale)
    waiting = rig.gateway.read_sale(session, "checkout_session")
    assert isinstance(waiting, GatewayAnswer)
    assert (waiting.kind, waiting.code) == (AnswerKind.PENDING, "not_paid_yet")
    rig.sandbox.post(f"checkout/sessions/{session}/pay")
    assert isinstance(told_by(rig)["checkout.session.async_payment_succeeded"], WebhookSale)
    assert isinstance(rig.gateway.read_sale(session, "checkout_session"), Sale)
