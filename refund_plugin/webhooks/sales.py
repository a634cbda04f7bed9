"""What webhooks tell of sales and subscriptions. An event only names a sale: the rest is read here, where no transaction is open."""

from __future__ import annotations

import time
from datetime import datetime

from refund_plugin import clock, duties
from refund_plugin.gateways.answers import AnswerKind, GatewayAnswer
from refund_plugin.gateways.facts import WebhookSale, WebhookSubscription
from refund_plugin.gateways.limiter import take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.gateways.sales import Sale
from refund_plugin.gateways.services import gateway_for
from refund_plugin.orders import taking_over
from refund_plugin.orders.sales import order_book_of, record_sale
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.subscriptions.renewals import refund_renewals
from refund_plugin.refunds.subscriptions.services import confirm_ended
from refund_plugin.webhooks.handlers import Handled, register_handler

# nothing was paid that could be refunded, or not yet: another event comes with the money
NO_SALE = frozenset({AnswerKind.DEFINITIVE_NO, AnswerKind.PENDING})


class SaleNotRead(Exception):
    """The gateway did not tell what was sold; the event is applied again later."""


def register() -> None:
    """Register the handlers, and the reading of older sales; called from `AppConfig.ready()`."""
    register_handler(WebhookSale, apply_sale)
    register_handler(WebhookSubscription, apply_subscription)
    duties.register_duty("older_sales", taking_over.advance_backfills)


def apply_sale(account: GatewayAccount, fact: WebhookSale, now: datetime) -> Handled:
    """Something was sold, or changed at the shop: record it, and what was refunded of it, when the account is an order book.

    Raises:
        SaleNotRead: see there.
        InvalidInput, NotFound: as in `record_sale` and `order_book_of`.
    """
    store = order_book_of(account)
    if store is None:
        return Handled.DONE
    [delay] = take_slots(account, SlotKind.READ, 1)
    time.sleep(delay)
    asked_at = clock.now()
    sale = gateway_for(account).read_sale(fact.source_id, fact.kind)
    if isinstance(sale, GatewayAnswer):
        if sale.kind in NO_SALE:
            return Handled.DONE
        raise SaleNotRead(f"{fact.source_id}: {sale.message or sale.code}")
    record_sale(store=store, account=account, sale=sale, now=now)
    record_refunds(account=account, sale=sale, told_at=asked_at, now=now)
    if sale.subscription_id:
        refund_renewals(now, subscription_id=sale.subscription_id)
    return Handled.DONE


def record_refunds(*, account: GatewayAccount, sale: Sale, told_at: datetime, now: datetime) -> None:
    """Record what the order book told of refunds along with a sale, ours and those made past us.

    Args:
        told_at: UTC; before the sale was asked for.
        now: UTC.
    """
    seen = [
        Seen(
            gateway_payment_id=item.gateway_payment_id,
            refund_id=item.refund_id,
            installation=item.installation,
            answer=item.answer,
            told_at=told_at,
        )
        for payment in sale.payments
        for item in payment.refunds
    ]
    if seen:
        record_seen(account=account, seen=seen, now=now)


def apply_subscription(account: GatewayAccount, fact: WebhookSubscription, now: datetime) -> Handled:
    """A subscription changed; that it ended lets refunds go that waited for it."""
    if fact.subscription.is_ended:
        confirm_ended(account=account, subscription_id=fact.subscription.subscription_id, now=now)
    return Handled.DONE
