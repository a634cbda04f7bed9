"""A gateway together with the provider behind it: what a provider's test module gives to the conformance test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any
from uuid import uuid4

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

    @abstractmethod
    def refund_elsewhere(self, payment: str, amount: Money) -> str:
        """Refund past the gateway, as somebody would in the provider's dashboard, and return the refund's id."""

    @abstractmethod
    def break_next_listing(self) -> None:
        """Let the next read go wrong."""

    @abstractmethod
    def lag_listings(self, seconds: float) -> None:
        """Leave refunds out of listings until they are this old."""

    @abstractmethod
    def forget_keys(self) -> None:
        """Let the provider forget all idempotency keys, as it does after a day."""

    @abstractmethod
    def dispute(self, payment: str) -> None:
        """Let the customer's bank take a payment back, formally."""

    @abstractmethod
    def win_dispute(self, payment: str) -> None:
        """End the payment's dispute for us."""

    @abstractmethod
    def authorise(self, amount: Money) -> str:
        """Let a customer authorise a payment that is not captured."""
