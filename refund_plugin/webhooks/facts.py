"""What webhooks tell of refunds, disputes and payments, handed to the services of the money's room."""

from __future__ import annotations

from datetime import datetime

from refund_plugin import duties
from refund_plugin.gateways.facts import WebhookDispute, WebhookPayment, WebhookRefund, WebhookWarning
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.refunds.captures import record_capture
from refund_plugin.refunds.disputes import record_dispute, record_warning
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.webhooks.handlers import Handled, register_handler


def register() -> None:
    """Register the handlers, and the periodic work that does not depend on the broker; called from `AppConfig.ready()`."""
    from refund_plugin.webhooks import apply

    register_handler(WebhookRefund, apply_refund)
    register_handler(WebhookDispute, apply_dispute)
    register_handler(WebhookWarning, apply_warning)
    register_handler(WebhookPayment, apply_payment)
    duties.register_duty("apply_webhooks", apply.apply_waiting, before_money=True)
    duties.register_duty("find_webhooks", apply.apply_found, every_seconds=apply.FOUND_SECONDS)


def seen_of(fact: WebhookRefund) -> Seen:
    """Return a refund as the service takes it."""
    return Seen(
        gateway_payment_id=fact.gateway_payment_id,
        refund_id=fact.refund_id,
        installation=fact.installation,
        answer=fact.answer,
        told_at=fact.created,
        charge_id=fact.charge_id,
    )


def apply_refund(account: GatewayAccount, fact: WebhookRefund, now: datetime) -> Handled:
    """A refund, ours or not."""
    (known,) = record_seen(account=account, seen=[seen_of(fact)], now=now)
    return _handled(known)


def apply_dispute(account: GatewayAccount, fact: WebhookDispute, now: datetime) -> Handled:
    """A dispute, or an inquiry before one."""
    return _handled(record_dispute(account=account, told=fact, now=now) is not None)


def apply_warning(account: GatewayAccount, fact: WebhookWarning, now: datetime) -> Handled:
    """The card's bank suspects fraud."""
    return _handled(record_warning(account=account, told=fact, now=now) is not None)


def apply_payment(account: GatewayAccount, fact: WebhookPayment, now: datetime) -> Handled:
    """A payment was captured or canceled."""
    return _handled(record_capture(account=account, told=fact, now=now) is not None)


def _handled(known: object) -> Handled:
    return Handled.DONE if known else Handled.FOREIGN
