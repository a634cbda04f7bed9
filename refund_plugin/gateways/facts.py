"""What webhooks tell, normalised; plain data that an adapter reads from an event and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from refund_plugin.gateways.answers import GatewayAnswer
from refund_plugin.gateways.sales import SaleKind, SubscriptionState
from refund_plugin.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The head of every event; `created` is when the gateway made it, which may be long before it arrives.

    Facts about a payment also carry `charge_id`, another name that the gateway has for it: an order may have come with that one.
    """

    event_id: str
    event_type: str
    livemode: bool
    created: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRefund(Told):
    """A refund, ours or not.

    Attributes:
        refund_id: our UUID from the metadata; None for one made in the dashboard or by another program.
        installation: which installation's metadata it carries; "" for none.
        refunded_at: when the refund was made.
    """

    gateway_payment_id: str
    refund_id: UUID | None
    installation: str
    refunded_at: datetime
    answer: GatewayAnswer
    charge_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDispute(Told):
    """A dispute (chargeback) or an inquiry before one.

    Attributes:
        status: the gateway's own word.
        is_inquiry: money was not taken yet; a full refund settles it.
        is_open, is_won, is_lost: whether it still runs, ended for us, or ended for the customer.
        evidence_due: until when evidence can be handed in, UTC.
        opened_at: when it was opened, UTC; None when the gateway does not say.
        fee: charged for it in all; None when the gateway does not say.
        moved: on the merchant's balance in all, without the fee, in the same currency; below zero while the money is away.
        came_back: whether `moved` has it that money came back; "won" may be said before it does.
    """

    dispute_id: str
    gateway_payment_id: str
    status: str
    amount: Money
    reason: str
    is_inquiry: bool
    is_open: bool
    is_won: bool
    is_lost: bool
    evidence_due: datetime | None
    opened_at: datetime | None = None
    fee: Money | None = None
    moved: Money | None = None
    came_back: bool = False
    charge_id: str = ""


@dataclass(frozen=True, slots=True)
class DisputePage:
    """One page of a listing of disputes, newest first, as events would tell them now; `cursor` as of `RefundPage`.

    A listed one has no event: `event_id` is "", and `created` is when it was opened, not when the gateway said this.
    """

    items: tuple[WebhookDispute, ...]
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookWarning(Told):
    """The card's bank suspects fraud; `actionable` while a full refund may still avoid the dispute."""

    warning_id: str
    gateway_payment_id: str
    fraud_type: str
    actionable: bool
    charge_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPayment(Told):
    """A payment was captured or canceled; `captured` as in `PaymentState`."""

    gateway_payment_id: str
    captured: Money
    is_captured: bool
    is_canceled: bool
    charge_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSale(Told):
    """Something was sold: `Gateway.read_sale` has the rest, which the event does not carry."""

    source_id: str
    kind: SaleKind


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSubscription(Told):
    """A subscription changed or ended."""

    subscription: SubscriptionState


WebhookFact = WebhookRefund | WebhookDispute | WebhookWarning | WebhookPayment | WebhookSale | WebhookSubscription
