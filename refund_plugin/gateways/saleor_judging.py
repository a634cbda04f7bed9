"""A Saleor transaction as it stands when a refund is about to be sent, and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer, RefundCommand, canceled_id
from refund_plugin.gateways.saleor_errors import doubt, not_sent, refusal
from refund_plugin.gateways.saleor_refunds import Movement, answer_of, charged_back, payment_state_of, requested, unseen
from refund_plugin.money import Money
from refund_plugin.saleor.data import GrantedRefundData, OrderMoneyData, TransactionData

NOT_CANCELED = "not_canceled"


@dataclass(frozen=True, slots=True)
class Looked:
    """A transaction as it stands, with its refunds and those that carry our mark."""

    transaction: TransactionData
    order: OrderMoneyData
    movements: list[Movement]
    ours: list[GrantedRefundData]
    is_burnt: bool

    @property
    def sent(self) -> list[Movement]:
        """Our refund where it was requested; more than one only if somebody copied its mark."""
        names = {grant.id for grant in self.ours}
        return [movement for movement in requested(self.movements) if movement.grant is not None and movement.grant.id in names]

    def answer(self, movement: Movement, *, replayed: bool = False) -> GatewayAnswer:
        """Return how our refund stands."""
        return replace(answer_of(movement, currency=self.transaction.currency), idempotent_replayed=replayed)


def known_answer(looked: Looked, command: RefundCommand) -> GatewayAnswer | None:
    """Return how our refund stands when it was sent or given up before; None when it may be sent."""
    if looked.is_burnt:
        return doubt("idempotency_error", "it was given up for good")
    if any(Money.from_decimal(grant.amount, grant.currency) != command.amount for grant in looked.ours):
        return doubt("idempotency_error", "it was granted with another amount")
    return looked.answer(looked.sent[0], replayed=True) if looked.sent else None


def why_unfit(looked: Looked, command: RefundCommand) -> GatewayAnswer | None:
    """Return why a payment cannot give this amount back now; None when it can."""
    transaction, amount = looked.transaction, command.amount
    if transaction.currency != amount.currency or amount.minor <= 0:
        return refusal("parameter_invalid")
    state = payment_state_of(transaction, looked.movements)
    if not state.is_captured:
        return refusal("payment_intent_unexpected_state", "it was not captured")
    if charged_back(transaction) > 0:
        return refusal("charge_disputed")
    charged = Money.from_decimal(transaction.charged, transaction.currency)
    left = charged - Money.from_decimal(unseen(looked.movements), transaction.currency)
    if left.minor <= 0:
        return doubt("charge_already_refunded")
    if amount > left:
        # what is on its way may fail yet, and then there is enough
        return refusal("amount_too_large") if amount > charged else not_sent(doubt("refund_in_progress"))
    return None


def cancellation(looked: Looked) -> GatewayAnswer:
    """Return whether a payment was canceled; any other proves nothing about a call that may still be on its way."""
    transaction = looked.transaction
    name = canceled_id(transaction.id)
    if payment_state_of(transaction, looked.movements).is_canceled:
        amount = Money.from_decimal(transaction.canceled, transaction.currency)
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=name, amount=amount)
    asked = max((event for event in transaction.events if event.type.startswith("CANCEL_")), key=lambda event: event.created, default=None)
    if asked is not None and asked.type == "CANCEL_REQUEST":
        amount = Money.from_decimal(asked.amount, transaction.currency)
        return GatewayAnswer(kind=AnswerKind.PENDING, gateway_refund_id=name, amount=amount)
    return doubt(NOT_CANCELED)
