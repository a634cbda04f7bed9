"""What a payment gateway must offer. Adapters return plain data and never raise for what a gateway may answer.

Every adapter must pass the shared conformance test (`tests/gateways/conformance.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections

from refund_plugin.errors import GatewayInTransaction, WebhookRejected
from refund_plugin.gateways.answers import (
    AnswerKind,
    BookPage,
    Capabilities,
    GatewayAnswer,
    ListedRefund,
    Operation,
    PaymentState,
    RefundCommand,
    RefundPage,
)
from refund_plugin.gateways.facts import DisputePage, WebhookFact, WebhookRefund
from refund_plugin.gateways.sales import CreditNote, Sale, SaleKind, SalePage, SubscriptionState
from refund_plugin.money import Money

__all__ = [
    "NOT_SUPPORTED",
    "AnswerKind",
    "Capabilities",
    "Gateway",
    "GatewayAnswer",
    "ListedRefund",
    "PaymentState",
    "RefundCommand",
    "RefundPage",
    "WebhookFact",
    "WebhookRefund",
    "refuse_inside_transaction",
]

# Proves nothing about money, so it never ends a refund.
NOT_SUPPORTED = GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="not_supported")


class Gateway(ABC):
    """One account at one payment provider."""

    kind: str
    capabilities = Capabilities()
    keeps_books = False  # whether it also has books of payments that were made at other accounts
    sale_kinds: tuple[SaleKind, ...] = ()  # of a gateway that also keeps the order book, in the order in which they are read

    @abstractmethod
    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """Send a refund; safe to call again with the same command while the gateway knows the key.

        The operation "cancel_payment" answers SUCCEEDED once the payment is canceled, whoever did it, and names itself
        `canceled_id(payment)`.
        """

    @abstractmethod
    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """Ask for the present state of a refund the gateway has named."""

    @abstractmethod
    def find(self, *, gateway_payment_id: str, refund_id: UUID, operation: Operation = "refund") -> GatewayAnswer | None:
        """Look for our refund in a complete listing; None only when every page was read and it is absent.

        A listing that could not be completed answers MAYBE_EXECUTED or NOT_EXECUTED, never None. For "cancel_payment" the
        payment itself is asked: None while it is not canceled.
        """

    @abstractmethod
    def burn(self, command: RefundCommand, captured: Money) -> GatewayAnswer:
        """Make the command's key unusable without paying anything, so that a late sender of the command cannot pay either.

        The key is spent on an amount that no gateway can pay: more than `captured` and more than the gateway itself says was
        captured, because a figure of ours that is too low must not make this a refund.

        Args:
            captured: of the payment, as we know it.
        Returns:
            DEFINITIVE_NO with code `burning.KEY_BURNT`: the key can never pay. MAYBE_EXECUTED with `KEY_KNOWN`: the gateway
            knows the key with the command's own parameters, so the original may have run; with `KEY_IN_USE`: it is running
            now; with `KEY_NOT_BURNT`: the refusal was not kept under the key; with `KEY_NOT_BURNABLE`: `captured` is in another
            currency than the command or below its amount, so it cannot be true. Others as for `refund`, never another "no".
        """

    @abstractmethod
    def list_refunds(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = "", limit: int = 100
    ) -> RefundPage | GatewayAnswer:
        """Read one page of all refunds of the account, or of one payment; an answer when the page could not be read.

        Args:
            created_after: leave out older ones (to the second; those of that second are in).
            cursor: of the page before; "" for the first.
            limit: per page, at most 100.
        """

    @abstractmethod
    def payment_state(self, gateway_payment_id: str) -> PaymentState | GatewayAnswer:
        """Ask for a payment; an answer when it could not be read."""

    @abstractmethod
    def ping(self) -> GatewayAnswer:
        """Make the cheapest authenticated read; SUCCEEDED when the account answers."""

    def step(self, currency: str) -> int:
        """Return the smallest amount, in minor units, that amounts in `currency` must be multiples of."""
        return 1

    def verify_webhook(self, *, body: bytes, signature: str, now: datetime) -> Mapping[str, Any]:
        """Return the event that a webhook delivers, as the gateway wrote it, once its signature and time are proven.

        Raises:
            WebhookRejected: signature wrong, too old, or from the future.
        """
        raise WebhookRejected  # a gateway that sends none

    def read_event(self, event: Mapping[str, Any]) -> WebhookFact | None:
        """Return what a verified event tells; None for one that tells nothing we use. Reads nothing but the event."""
        return None

    def kept_of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of an event may be kept for good: no personal data, and all that `read_event` reads."""
        return {}

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = ""
    ) -> DisputePage | GatewayAnswer:
        """Read one page of all disputes and inquiries of the account, or of one payment; arguments as of `list_refunds`."""
        return NOT_SUPPORTED

    def list_books(self, *, changed_after: datetime | None = None, cursor: str = "") -> BookPage | GatewayAnswer:
        """Read one page of what a store's own books say of payments at other accounts; an answer when it could not be read."""
        return NOT_SUPPORTED

    # What only a gateway that also keeps the order book can do; for the others there is nothing to read.

    def read_sale(self, source_id: str, kind: SaleKind) -> Sale | GatewayAnswer:
        """Read one sale whole.

        An answer PENDING with code "not_paid_yet" says that the money may still come, DEFINITIVE_NO with "not_a_sale" that
        there is nothing to refund (nothing was charged, or another sale tells of it); any other, that it could not be read.
        """
        return NOT_SUPPORTED

    def list_sales(self, *, kind: SaleKind, created_after: datetime | None = None, cursor: str = "") -> SalePage | GatewayAnswer:
        """Read one page of the ids of all sales; arguments as of `list_refunds`."""
        return NOT_SUPPORTED

    def subscription_state(self, subscription_id: str) -> SubscriptionState | GatewayAnswer:
        """Ask for a subscription; an answer when it could not be read."""
        return NOT_SUPPORTED

    def end_subscription(self, subscription_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """End a subscription now, without a proration and without a last invoice; SUCCEEDED also when it had ended before."""
        return NOT_SUPPORTED

    def record_credit_note(
        self, *, invoice_id: str, gateway_refund_id: str, amount: Money, idempotency_key: str
    ) -> CreditNote | GatewayAnswer:
        """Record a credit note for a refund that was already made; moves no money."""
        return NOT_SUPPORTED

    def void_credit_note(self, credit_note_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """Take a credit note back; SUCCEEDED also when it was void before, DEFINITIVE_NO when the gateway lets it stand."""
        return NOT_SUPPORTED

    def make_test_payment(self, amount: Money, *, key: str) -> str | GatewayAnswer:
        """Pay `amount` with a test card and return the payment's id; for the self-test.

        Raises:
            ValueError: the account is in live mode.
        """
        return NOT_SUPPORTED


def refuse_inside_transaction() -> None:
    """Raise GatewayInTransaction when any connection has a transaction open (a test case's own is not counted)."""
    for connection in connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise GatewayInTransaction
