"""What a gateway of a host has without writing it: honest answers for what it cannot do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from refund_plugin.errors import WebhookRejected
from refund_plugin.gateways.answers import (
    AnswerKind,
    GatewayAnswer,
    Operation,
    PaymentState,
    RefundCommand,
    RefundPage,
    canceled_id,
    payment_of_canceled,
)
from refund_plugin.gateways.base import NOT_SUPPORTED, Gateway
from refund_plugin.money import Money

UNKNOWN = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED)


class PlainGateway(Gateway):
    """Only what every gateway must have."""

    kind = "plain"

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        return UNKNOWN

    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        return UNKNOWN

    def find(self, *, gateway_payment_id: str, refund_id: UUID, operation: Operation = "refund") -> GatewayAnswer | None:
        return UNKNOWN

    def burn(self, command: RefundCommand, captured: Money) -> GatewayAnswer:
        return UNKNOWN

    def list_refunds(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = "", limit: int = 100
    ) -> RefundPage | GatewayAnswer:
        return UNKNOWN

    def payment_state(self, gateway_payment_id: str) -> PaymentState | GatewayAnswer:
        return UNKNOWN

    def ping(self) -> GatewayAnswer:
        return UNKNOWN


@pytest.mark.parametrize(
    "ask",
    [
        lambda gateway: gateway.read_sale("sale", "invoice"),
        lambda gateway: gateway.list_sales(kind="invoice"),
        lambda gateway: gateway.subscription_state("subscription"),
        lambda gateway: gateway.end_subscription("subscription", idempotency_key="key"),
        lambda gateway: gateway.record_credit_note(
            invoice_id="invoice", gateway_refund_id="refund", amount=Money(1, "EUR"), idempotency_key="key"
        ),
        lambda gateway: gateway.void_credit_note("note", idempotency_key="key"),
        lambda gateway: gateway.list_disputes(),
        lambda gateway: gateway.make_test_payment(Money(1, "EUR"), key="key"),
    ],
)
def test_what_a_gateway_cannot_do_proves_nothing(ask: Callable[[Gateway], object]) -> None:
    assert ask(PlainGateway()) == NOT_SUPPORTED
    assert NOT_SUPPORTED.kind == AnswerKind.MAYBE_EXECUTED


def test_a_gateway_without_webhooks_believes_none_and_keeps_nothing() -> None:
    gateway = PlainGateway()
    with pytest.raises(WebhookRejected):
        gateway.verify_webhook(body=b"{}", signature="", now=datetime(2026, 3, 2, tzinfo=UTC))
    assert gateway.read_event({"type": "refund.updated"}) is None
    assert gateway.kept_of({"type": "refund.updated"}) == {}
    assert not gateway.capabilities.events


def test_the_name_of_a_cancellation_leads_back_to_its_payment_only() -> None:
    assert payment_of_canceled(canceled_id("pi_1")) == "pi_1"
    assert payment_of_canceled("re_1") == ""
