"""What a payment gateway must offer. Adapters return plain data and never raise for what a gateway may answer.

Every adapter must pass the shared conformance test (`tests/gateways/conformance.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from django.db import connections

from refund_plugin.errors import GatewayInTransaction, WebhookRejected
from refund_plugin.money import Money


class AnswerKind(StrEnum):
    """What a gateway's answer (or its silence) proves about one refund; the columns of the transition table."""

    NOT_EXECUTED = "not_executed"  # connection refused, 401/403, 429: surely nothing happened
    MAYBE_EXECUTED = "maybe_executed"  # timeout, cut connection, 5xx, 409: nobody knows
    DEFINITIVE_NO = "definitive_no"  # the gateway refuses this refund for good
    PENDING = "pending"  # includes Stripe's requires_action
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class RefundCommand:
    """Everything a gateway needs to refund; frozen at the first attempt and sent unchanged ever after."""

    refund_id: UUID
    idempotency_key: str
    gateway_payment_id: str
    amount: Money
    metadata: Mapping[str, str]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """One answer, normalised; `raw` keeps what the gateway said (JSON, without secrets).

    Attributes:
        hold: the account's credentials are refused: stop sending and tell staff, this is no outage.
        retry_after_seconds: the gateway asked to wait that long (429).
    """

    kind: AnswerKind
    gateway_refund_id: str = ""
    amount: Money | None = None
    code: str = ""
    message: str = ""
    hold: bool = False
    retry_after_seconds: float | None = None
    trace_reference: str = ""
    raw: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebhookRefund:
    """A refund as a verified webhook tells it; `refund_id` is our UUID from the metadata, if it is one of ours."""

    event_id: str
    event_type: str
    livemode: bool
    created: datetime
    gateway_payment_id: str
    refund_id: UUID | None
    answer: GatewayAnswer


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a gateway can do."""

    partial: bool = True
    several: bool = True
    pending: bool = True
    idempotency: str = "key"  # "key": replaying a key is safe; "lookup": list before sending


class Gateway(ABC):
    """One account at one payment provider."""

    kind: str
    capabilities = Capabilities()

    @abstractmethod
    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """Send a refund; safe to call again with the same command while the gateway knows the key."""

    @abstractmethod
    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """Ask for the present state of a refund the gateway has named."""

    @abstractmethod
    def find(self, *, gateway_payment_id: str, refund_id: UUID) -> GatewayAnswer | None:
        """Look for our refund in a complete listing; None only when every page was read and it is absent.

        A listing that could not be completed answers MAYBE_EXECUTED or NOT_EXECUTED, never None.
        """

    @abstractmethod
    def ping(self) -> GatewayAnswer:
        """Make the cheapest authenticated read; SUCCEEDED when the account answers."""

    def step(self, currency: str) -> int:
        """Return the smallest amount, in minor units, that amounts in `currency` must be multiples of."""
        return 1

    def parse_webhook(self, *, body: bytes, signature: str, now: datetime) -> WebhookRefund | None:
        """Verify and normalise a webhook; None for an event type we do not use.

        Raises:
            WebhookRejected: signature wrong, too old, or from the future.
        """
        raise WebhookRejected  # a gateway that sends none


def refuse_inside_transaction() -> None:
    """Raise GatewayInTransaction when any connection has a transaction open (a test case's own is not counted)."""
    for connection in connections.all(initialized_only=True):
        if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
            raise GatewayInTransaction
