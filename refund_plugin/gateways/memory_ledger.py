"""What the provider behind the gateway in memory knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from refund_plugin.gateways.answers import GatewayAnswer, RefundCommand
from refund_plugin.gateways.sales import Sale, SubscriptionState
from refund_plugin.money import Money


@dataclass(slots=True)
class MemoryPayment:
    """A payment; `dispute_stops` while a dispute of it is open."""

    captured: Money
    is_captured: bool
    created: datetime
    is_canceled: bool = False
    disputed: bool = False
    dispute_stops: bool = False


@dataclass(slots=True)
class MemoryRefund:
    """`command` is None for a refund that was made past us."""

    gateway_payment_id: str
    command: RefundCommand | None
    answer: GatewayAnswer
    amount: Money
    created: datetime
    hidden: bool = False


@dataclass(slots=True)
class Ledger:
    """What the provider would know; refunds by their id, and the first answer to every idempotency key."""

    payments: dict[str, MemoryPayment] = field(default_factory=dict)
    refunds: dict[str, MemoryRefund] = field(default_factory=dict)
    keys: dict[str, tuple[RefundCommand, GatewayAnswer]] = field(default_factory=dict)
    sales: dict[str, Sale] = field(default_factory=dict)
    subscriptions: dict[str, SubscriptionState] = field(default_factory=dict)
    voided_notes: set[str] = field(default_factory=set)
    credit_notes: dict[str, tuple[str, str, Money]] = field(default_factory=dict)
    lag: timedelta = timedelta()
    lock: Lock = field(default_factory=Lock)
