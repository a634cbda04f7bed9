"""A gateway that lives in memory: for tests of everything above it, and for trying the plugin without a provider.

It keeps the same promises as a real one (the shared conformance test proves it) and can be told to misbehave.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal
from uuid import UUID

from refund_plugin.gateways.base import AnswerKind, Gateway, GatewayAnswer, RefundCommand, refuse_inside_transaction
from refund_plugin.money import Money

Misbehaviour = Literal["timeout_before_commit", "timeout_after_commit", "refused_connection", "bad_key", "rate_limited", "pending"]

_NO_ANSWER = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
_NOT_EXECUTING: dict[Misbehaviour, GatewayAnswer] = {
    "timeout_before_commit": _NO_ANSWER,
    "refused_connection": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="connection_failed"),
    "bad_key": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_401", hold=True),
    "rate_limited": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_429", retry_after_seconds=1),
}


@dataclass(slots=True)
class _Refund:
    command: RefundCommand
    answer: GatewayAnswer


@dataclass(slots=True)
class Ledger:
    """What the provider would know: captured payments, and refunds by their idempotency key."""

    payments: dict[str, Money] = field(default_factory=dict)
    refunds: dict[str, _Refund] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


_ledgers: dict[str, Ledger] = {}


class MemoryGateway(Gateway):
    """A provider in this process.

    Args:
        name: gateways of one name share their payments and refunds until the process ends.
    """

    kind = "memory"

    def __init__(self, name: str = "default") -> None:
        self._ledger = _ledgers.setdefault(name, Ledger())
        self._script: list[Misbehaviour] = []

    def add_payment(self, gateway_payment_id: str, captured: Money) -> None:
        """Let a payment exist that can be refunded."""
        self._ledger.payments[gateway_payment_id] = captured

    def script(self, *misbehaviours: Misbehaviour) -> None:
        """Make the next calls of `refund` misbehave, one each, in this order; "pending" answers pending."""
        self._script.extend(misbehaviours)

    def settle(self, gateway_refund_id: str, kind: AnswerKind, code: str = "") -> None:
        """Let a refund end as `kind`, as a bank would hours later."""
        with self._ledger.lock:
            refund = self._by_id(gateway_refund_id)
            if refund is None:
                raise KeyError(gateway_refund_id)
            refund.answer = replace(refund.answer, kind=kind, code=code)

    @property
    def sent(self) -> list[RefundCommand]:
        """The commands that became refunds, in order."""
        return [refund.command for refund in self._ledger.refunds.values()]

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """See `Gateway.refund`."""
        refuse_inside_transaction()
        misbehaviour = self._script.pop(0) if self._script else None
        if misbehaviour in _NOT_EXECUTING:
            return _NOT_EXECUTING[misbehaviour]
        with self._ledger.lock:
            answer = self._execute(command, AnswerKind.PENDING if misbehaviour == "pending" else AnswerKind.SUCCEEDED)
        return _NO_ANSWER if misbehaviour == "timeout_after_commit" else answer

    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """See `Gateway.retrieve`."""
        refuse_inside_transaction()
        refund = self._by_id(gateway_refund_id)
        return refund.answer if refund else GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="resource_missing")

    def find(self, *, gateway_payment_id: str, refund_id: UUID) -> GatewayAnswer | None:
        """See `Gateway.find`."""
        refuse_inside_transaction()
        for refund in self._ledger.refunds.values():
            if refund.command.refund_id == refund_id and refund.command.gateway_payment_id == gateway_payment_id:
                return refund.answer
        return None

    def ping(self) -> GatewayAnswer:
        """See `Gateway.ping`."""
        refuse_inside_transaction()
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED)

    def _execute(self, command: RefundCommand, kind: AnswerKind) -> GatewayAnswer:
        known = self._ledger.refunds.get(command.idempotency_key)
        if known is not None:
            if known.command == command:
                return known.answer
            return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="idempotency_error")
        captured = self._ledger.payments.get(command.gateway_payment_id)
        if captured is None:
            return GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="resource_missing")
        if command.amount.currency != captured.currency or command.amount.minor <= 0:
            return GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="parameter_invalid")
        left = captured - self._gone(command.gateway_payment_id, captured.currency)
        if not left:
            return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="charge_already_refunded")
        if command.amount > left:
            return GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code="amount_too_large")
        answer = GatewayAnswer(kind=kind, gateway_refund_id=f"memory_{len(self._ledger.refunds) + 1}", amount=command.amount)
        self._ledger.refunds[command.idempotency_key] = _Refund(command, answer)
        return answer

    def _gone(self, gateway_payment_id: str, currency: str) -> Money:
        return sum(
            (
                refund.command.amount
                for refund in self._ledger.refunds.values()
                if refund.command.gateway_payment_id == gateway_payment_id
                and refund.answer.kind in (AnswerKind.PENDING, AnswerKind.SUCCEEDED)
            ),
            start=Money.zero(currency),
        )

    def _by_id(self, gateway_refund_id: str) -> _Refund | None:
        return next((refund for refund in self._ledger.refunds.values() if refund.answer.gateway_refund_id == gateway_refund_id), None)
