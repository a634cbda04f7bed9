"""What goes to a payment gateway and what comes back, normalised; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from refund_plugin.money import Money

Operation = Literal["refund", "cancel_payment"]


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
    """Everything a gateway needs to refund; frozen at the first attempt and sent unchanged ever after.

    Attributes:
        operation: "cancel_payment" lets go of a payment that was authorised but never captured, as a whole.
        lines: the store's own names of the order's lines, with the units that go back: told to gateways that note them for people, and
            never what decides how much is paid.
    """

    refund_id: UUID
    idempotency_key: str
    gateway_payment_id: str
    amount: Money
    metadata: Mapping[str, str]
    reason: str | None = None
    operation: Operation = "refund"
    lines: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """One answer, normalised; `raw` keeps what the gateway said (JSON, without secrets).

    Attributes:
        hold: the account's credentials are refused: stop sending and tell staff, this is no outage.
        retry_after_seconds: the gateway asked to wait that long (429).
        idempotent_replayed: the gateway did nothing now but repeated the answer it had stored under the key.
    """

    kind: AnswerKind
    gateway_refund_id: str = ""
    amount: Money | None = None
    code: str = ""
    message: str = ""
    hold: bool = False
    retry_after_seconds: float | None = None
    trace_reference: str = ""
    idempotent_replayed: bool = False
    raw: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListedRefund:
    """A refund as a listing shows it, ours or not.

    Attributes:
        refund_id: our UUID from the metadata; None for one made in the dashboard or by another program.
        installation: which installation's metadata it carries; "" for none.
        charge_id: another name of the payment, if the gateway has one.
    """

    gateway_refund_id: str
    gateway_payment_id: str
    refund_id: UUID | None
    installation: str
    created: datetime
    answer: GatewayAnswer
    charge_id: str = ""


@dataclass(frozen=True, slots=True)
class RefundPage:
    """One page of a listing, newest first; `cursor` asks for the next one and is "" on the last."""

    items: tuple[ListedRefund, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """What a store's own books say of a payment that was made at another account.

    Attributes:
        name: the store's name of the payment.
        account, gateway_payment_id: where the money is.
        refunded: that went back, or is on its way, as the store believes.
    """

    name: str
    account: str
    gateway_payment_id: str
    refunded: Money


@dataclass(frozen=True, slots=True)
class BookPage:
    """One page of a store's books, what changed last first; `cursor` as of `RefundPage`."""

    items: tuple[BookEntry, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class PaymentState:
    """A payment as its gateway has it now.

    Attributes:
        captured: what can be refunded in all; the authorised amount while `is_captured` is false, 0 once canceled.
        refunded: what refunds took, those on their way included.
        disputed: whether it was ever disputed, formally or by an inquiry, however that ended.
        settlement, fee: in the currency that the account is paid out in; None until the gateway tells.
        charge_id: another name of the payment, if the gateway has one.
    """

    gateway_payment_id: str
    captured: Money
    refunded: Money
    is_captured: bool
    is_canceled: bool = False
    disputed: bool = False
    method: str = ""
    brand: str = ""
    last4: str = ""
    paid_at: datetime | None = None
    settlement: Money | None = None
    fee: Money | None = None
    charge_id: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a gateway can do.

    Attributes:
        partial: refund a part of a payment.
        several: refund a payment more than once.
        cancel_before_capture: let go of an authorised payment.
        pending: a refund may stay pending before it ends.
        idempotency: "key": replaying a key is safe; "lookup": list before sending.
        events: sends webhooks.
        notes_lines: shows people which lines a refund is for.
    """

    partial: bool = True
    several: bool = True
    cancel_before_capture: bool = False
    pending: bool = True
    idempotency: Literal["key", "lookup"] = "key"
    events: bool = False
    notes_lines: bool = False


def canceled_id(gateway_payment_id: str) -> str:
    """Return the name under which the cancellation of a payment is recorded, where a refund has its own id."""
    return f"cancel:{gateway_payment_id}"


def payment_of_canceled(gateway_refund_id: str) -> str:
    """Return the payment that `canceled_id` named; "" for the id of a refund."""
    name, _, payment = gateway_refund_id.partition(":")
    return payment if name == "cancel" else ""
