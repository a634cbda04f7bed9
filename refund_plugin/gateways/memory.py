"""A gateway that lives in memory: for tests of everything above it, and for trying the plugin without a provider.

It keeps the same promises as a real one (the shared conformance test proves it) and can be told to misbehave.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from refund_plugin import clock
from refund_plugin.gateways.answers import Operation, canceled_id, payment_of_canceled
from refund_plugin.gateways.base import (
    AnswerKind,
    Capabilities,
    Gateway,
    GatewayAnswer,
    ListedRefund,
    PaymentState,
    RefundCommand,
    RefundPage,
    refuse_inside_transaction,
)
from refund_plugin.gateways.burning import burn_key
from refund_plugin.gateways.facts import DisputePage, WebhookDispute
from refund_plugin.gateways.memory_ledger import Ledger, MemoryPayment, MemoryRefund
from refund_plugin.gateways.sales import CreditNote, Sale, SaleKind, SalePage, SubscriptionState
from refund_plugin.money import Money

Misbehaviour = Literal[
    "timeout_before_commit",
    "timeout_after_commit",
    "refused_connection",
    "bad_key",
    "rate_limited",
    "pending",
    "stored_error",
    "stored_error_after_commit",
]

_NO_ANSWER = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="no_answer")
_SERVER_ERROR = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="api_error")
_MISSING = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="resource_missing")
_NOT_EXECUTING: dict[Misbehaviour, GatewayAnswer] = {
    "timeout_before_commit": _NO_ANSWER,
    "refused_connection": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="connection_failed"),
    "bad_key": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="http_401", hold=True),
    "rate_limited": GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="rate_limit", retry_after_seconds=1),
}
_TAKES_MONEY = (AnswerKind.PENDING, AnswerKind.SUCCEEDED)


_ledgers: dict[str, Ledger] = {}


class MemoryGateway(Gateway):
    """A provider in this process.

    Args:
        name: gateways of one name share their payments and refunds until the process ends.
    """

    kind = "memory"
    capabilities = Capabilities(cancel_before_capture=True)
    sale_kinds = ("checkout_session", "invoice")

    def __init__(self, name: str = "default") -> None:
        self._ledger = _ledgers.setdefault(name, Ledger())
        self._script: list[Misbehaviour] = []
        self._listing_script: list[GatewayAnswer] = []

    # What a test or a demonstration may do to the provider.

    def add_payment(self, gateway_payment_id: str, captured: Money, *, is_captured: bool = True) -> None:
        """Let a payment exist that can be refunded, or canceled while it is not captured."""
        self._ledger.payments[gateway_payment_id] = MemoryPayment(captured, is_captured, clock.now())

    def capture(self, gateway_payment_id: str) -> None:
        """Capture an authorised payment."""
        self._ledger.payments[gateway_payment_id].is_captured = True

    def dispute(self, gateway_payment_id: str, *, is_open: bool = True) -> None:
        """Let a payment be disputed, which stops refunds of it, or let the dispute be won."""
        payment = self._ledger.payments[gateway_payment_id]
        payment.disputed, payment.dispute_stops = True, is_open

    def refund_externally(self, gateway_payment_id: str, amount: Money, kind: AnswerKind = AnswerKind.SUCCEEDED) -> str:
        """Make a refund past us, as somebody would in the provider's dashboard; return its id."""
        with self._ledger.lock:
            return self._book(gateway_payment_id, None, amount, kind).gateway_refund_id

    def script(self, *misbehaviours: Misbehaviour) -> None:
        """Make the next calls of `refund` misbehave, one each, in this order; "pending" answers pending."""
        self._script.extend(misbehaviours)

    def break_listings(self, times: int = 1) -> None:
        """Let the next listings break off."""
        self._listing_script.extend([_NO_ANSWER] * times)

    def lag_listings(self, seconds: float) -> None:
        """Leave refunds out of listings until they are this old."""
        self._ledger.lag = timedelta(seconds=seconds)

    def drop_from_listings(self, gateway_refund_id: str, *, hidden: bool = True) -> None:
        """Leave one refund out of listings, or list it again."""
        self._ledger.refunds[gateway_refund_id].hidden = hidden

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as a provider does after a day."""
        self._ledger.keys.clear()

    def settle(self, gateway_refund_id: str, kind: AnswerKind, code: str = "") -> None:
        """Let a refund end as `kind`, as a bank would hours later."""
        with self._ledger.lock:
            refund = self._ledger.refunds[gateway_refund_id]
            refund.answer = replace(refund.answer, kind=kind, code=code)

    def add_sale(self, sale: Sale) -> None:
        """Let a sale and its payments exist."""
        self._ledger.sales[sale.source_id] = sale
        for payment in sale.payments:
            self.add_payment(payment.gateway_payment_id, payment.captured, is_captured=payment.is_captured)

    def add_subscription(self, state: SubscriptionState) -> None:
        """Let a subscription exist."""
        self._ledger.subscriptions[state.subscription_id] = state

    @property
    def sent(self) -> list[RefundCommand]:
        """The commands that became refunds, in order."""
        return [refund.command for refund in self._ledger.refunds.values() if refund.command is not None]

    # What every gateway does.

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """See `Gateway.refund`."""
        refuse_inside_transaction()
        misbehaviour = self._script.pop(0) if self._script else None
        if misbehaviour in _NOT_EXECUTING:
            return _NOT_EXECUTING[misbehaviour]
        with self._ledger.lock:
            answer = self._once(command, misbehaviour)
        return _NO_ANSWER if misbehaviour == "timeout_after_commit" else answer

    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """See `Gateway.retrieve`."""
        refuse_inside_transaction()
        if name := payment_of_canceled(gateway_refund_id):
            payment = self._ledger.payments.get(name)
            if payment is None:
                return _MISSING
            return _canceled(name, payment) if payment.is_canceled else replace(_MISSING, code="not_canceled")
        refund = self._ledger.refunds.get(gateway_refund_id)
        return refund.answer if refund else _MISSING

    def find(self, *, gateway_payment_id: str, refund_id: UUID, operation: Operation = "refund") -> GatewayAnswer | None:
        """See `Gateway.find`."""
        refuse_inside_transaction()
        if self._listing_script:
            return self._listing_script.pop(0)
        if operation == "cancel_payment":
            payment = self._ledger.payments.get(gateway_payment_id)
            return _canceled(gateway_payment_id, payment) if payment and payment.is_canceled else None
        for refund in self._listed(gateway_payment_id):
            if refund.command is not None and refund.command.refund_id == refund_id:
                return refund.answer
        return None

    def burn(self, command: RefundCommand, captured: Money) -> GatewayAnswer:
        """See `Gateway.burn`."""
        refuse_inside_transaction()
        payment = self._ledger.payments.get(command.gateway_payment_id)
        if payment is None:
            return _MISSING
        return burn_key(command, captured=captured, told=payment.captured, step=self.step(captured.currency), send=self.refund)

    def list_refunds(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = "", limit: int = 100
    ) -> RefundPage | GatewayAnswer:
        """See `Gateway.list_refunds`."""
        refuse_inside_transaction()
        if self._listing_script:
            return self._listing_script.pop(0)
        since = created_after.replace(microsecond=0) if created_after else None
        found = [refund for refund in self._listed(gateway_payment_id) if since is None or refund.created >= since]
        # a cursor names a refund, whether or not it is listed any more
        ids = list(reversed(self._ledger.refunds))
        behind = set(ids[ids.index(cursor) + 1 :]) if cursor in ids else set(ids)
        items = [_as_listed(refund) for refund in found if refund.answer.gateway_refund_id in behind]
        return RefundPage(tuple(items[:limit]), items[limit - 1].gateway_refund_id if len(items) > limit else "")

    def payment_state(self, gateway_payment_id: str) -> PaymentState | GatewayAnswer:
        """See `Gateway.payment_state`."""
        refuse_inside_transaction()
        payment = self._ledger.payments.get(gateway_payment_id)
        if payment is None:
            return _MISSING
        return PaymentState(
            gateway_payment_id=gateway_payment_id,
            captured=Money.zero(payment.captured.currency) if payment.is_canceled else payment.captured,
            refunded=self._gone(gateway_payment_id, payment.captured.currency),
            is_captured=payment.is_captured,
            is_canceled=payment.is_canceled,
            disputed=payment.disputed,
            method="card",
            brand="visa",
            last4="4242",
            paid_at=payment.created,
            settlement=payment.captured if payment.is_captured else None,
            fee=Money.zero(payment.captured.currency) if payment.is_captured else None,
        )

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = ""
    ) -> DisputePage | GatewayAnswer:
        """See `Gateway.list_disputes`; all on one page, and a payment has one at most."""
        refuse_inside_transaction()
        found = [
            _dispute(name, payment)
            for name, payment in self._ledger.payments.items()
            if payment.disputed and gateway_payment_id in ("", name) and (created_after is None or payment.created >= created_after)
        ]
        return DisputePage(tuple(reversed(found)))

    def ping(self) -> GatewayAnswer:
        """See `Gateway.ping`."""
        refuse_inside_transaction()
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED)

    def read_sale(self, source_id: str, kind: SaleKind) -> Sale | GatewayAnswer:
        """See `Gateway.read_sale`."""
        refuse_inside_transaction()
        sale = self._ledger.sales.get(source_id)
        return sale if sale and sale.kind == kind else _MISSING

    def list_sales(self, *, kind: SaleKind, created_after: datetime | None = None, cursor: str = "") -> SalePage | GatewayAnswer:
        """See `Gateway.list_sales`; all on one page."""
        refuse_inside_transaction()
        found = [sale for sale in self._ledger.sales.values() if sale.kind == kind]
        return SalePage(tuple(sale.source_id for sale in reversed(found) if created_after is None or sale.purchased_at >= created_after))

    def subscription_state(self, subscription_id: str) -> SubscriptionState | GatewayAnswer:
        """See `Gateway.subscription_state`."""
        refuse_inside_transaction()
        return self._ledger.subscriptions.get(subscription_id, _MISSING)

    def end_subscription(self, subscription_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """See `Gateway.end_subscription`."""
        refuse_inside_transaction()
        with self._ledger.lock:
            state = self._ledger.subscriptions.get(subscription_id)
            if state is None:
                return _refusal("resource_missing")
            if not state.is_ended:
                self._ledger.subscriptions[subscription_id] = replace(state, status="canceled", is_ended=True, canceled_at=clock.now())
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED)

    def record_credit_note(
        self, *, invoice_id: str, gateway_refund_id: str, amount: Money, idempotency_key: str
    ) -> CreditNote | GatewayAnswer:
        """See `Gateway.record_credit_note`."""
        refuse_inside_transaction()
        with self._ledger.lock:
            self._ledger.credit_notes.setdefault(idempotency_key, (invoice_id, gateway_refund_id, amount))
            number = list(self._ledger.credit_notes).index(idempotency_key) + 1
        return CreditNote(credit_note_id=f"memory_credit_note_{number}", number=f"CN-{number}")

    def void_credit_note(self, credit_note_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """See `Gateway.void_credit_note`."""
        refuse_inside_transaction()
        with self._ledger.lock:
            if credit_note_id not in {f"memory_credit_note_{number}" for number in range(1, len(self._ledger.credit_notes) + 1)}:
                return _refusal("resource_missing")
            self._ledger.voided_notes.add(credit_note_id)
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED)

    def make_test_payment(self, amount: Money, *, key: str) -> str | GatewayAnswer:
        """See `Gateway.make_test_payment`; nothing here is live."""
        refuse_inside_transaction()
        self._ledger.payments.setdefault(f"memory_payment_{key}", MemoryPayment(amount, True, clock.now()))
        return f"memory_payment_{key}"

    def _once(self, command: RefundCommand, misbehaviour: Misbehaviour | None) -> GatewayAnswer:
        """Execute the first command with a key, and repeat its answer to the others."""
        if command.idempotency_key in self._ledger.keys:
            first, answer = self._ledger.keys[command.idempotency_key]
            if first == command:
                return replace(answer, idempotent_replayed=True)
            return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="idempotency_error")
        answer = _SERVER_ERROR if misbehaviour == "stored_error" else self._execute(command, pending=misbehaviour == "pending")
        if misbehaviour == "stored_error_after_commit":
            answer = _SERVER_ERROR
        if answer.code != "parameter_invalid":  # what is not valid was not executed, and does not use up its key
            self._ledger.keys[command.idempotency_key] = (command, answer)
        return answer

    def _execute(self, command: RefundCommand, *, pending: bool) -> GatewayAnswer:
        payment = self._ledger.payments.get(command.gateway_payment_id)
        if payment is None:
            return _refusal("resource_missing")
        if command.operation == "cancel_payment":
            payment.is_canceled = not payment.is_captured
            return _canceled(command.gateway_payment_id, payment) if payment.is_canceled else _refusal("payment_intent_unexpected_state")
        if command.amount.currency != payment.captured.currency or command.amount.minor <= 0:
            return _refusal("parameter_invalid")
        if not payment.is_captured:
            return _refusal("payment_intent_unexpected_state")
        if payment.dispute_stops:
            return _refusal("charge_disputed")
        left = payment.captured - self._gone(command.gateway_payment_id, payment.captured.currency)
        if left.minor <= 0:
            return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="charge_already_refunded")
        if command.amount > left:
            return _refusal("amount_too_large")
        kind = AnswerKind.PENDING if pending else AnswerKind.SUCCEEDED
        return self._book(command.gateway_payment_id, command, command.amount, kind)

    def _book(self, gateway_payment_id: str, command: RefundCommand | None, amount: Money, kind: AnswerKind) -> GatewayAnswer:
        answer = GatewayAnswer(kind=kind, gateway_refund_id=f"memory_{len(self._ledger.refunds) + 1}", amount=amount)
        self._ledger.refunds[answer.gateway_refund_id] = MemoryRefund(gateway_payment_id, command, answer, amount, clock.now())
        return answer

    def _listed(self, gateway_payment_id: str) -> list[MemoryRefund]:
        """Return what a listing shows now, newest first."""
        until = clock.now() - self._ledger.lag
        with self._ledger.lock:
            refunds = list(self._ledger.refunds.values())
        return [
            refund
            for refund in reversed(refunds)
            if not refund.hidden and refund.created <= until and gateway_payment_id in ("", refund.gateway_payment_id)
        ]

    def _gone(self, gateway_payment_id: str, currency: str) -> Money:
        gone = (
            refund.amount.minor
            for refund in self._ledger.refunds.values()
            if refund.gateway_payment_id == gateway_payment_id and refund.answer.kind in _TAKES_MONEY
        )
        return Money(sum(gone), currency)


def _refusal(code: str) -> GatewayAnswer:
    return GatewayAnswer(kind=AnswerKind.DEFINITIVE_NO, code=code)


def _canceled(gateway_payment_id: str, payment: MemoryPayment) -> GatewayAnswer:
    return GatewayAnswer(kind=AnswerKind.SUCCEEDED, gateway_refund_id=canceled_id(gateway_payment_id), amount=payment.captured)


def _dispute(gateway_payment_id: str, payment: MemoryPayment) -> WebhookDispute:
    return WebhookDispute(
        event_id="",
        event_type="",
        livemode=False,
        created=payment.created,
        dispute_id=f"memory_dispute_{gateway_payment_id}",
        gateway_payment_id=gateway_payment_id,
        status="needs_response" if payment.dispute_stops else "won",
        amount=payment.captured,
        reason="general",
        is_inquiry=False,
        is_open=payment.dispute_stops,
        is_won=not payment.dispute_stops,
        is_lost=False,
        evidence_due=None,
        opened_at=payment.created,
    )


def _as_listed(refund: MemoryRefund) -> ListedRefund:
    command = refund.command
    return ListedRefund(
        gateway_refund_id=refund.answer.gateway_refund_id,
        gateway_payment_id=refund.gateway_payment_id,
        refund_id=command.refund_id if command else None,
        installation=command.metadata.get("installation", "") if command else "",
        created=refund.created,
        answer=refund.answer,
    )
