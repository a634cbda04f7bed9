"""A Saleor and the plugin together, and what makes them go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.stores.models import Store
from refund_plugin.webhooks.apply import apply_waiting
from refund_plugin.webhooks.models import WebhookEvent
from tests.saleor.standin import Standin
from tests.saleor.standin.webhooks import Delivery
from tests.saleor.standin.world import App, Order, TransactionItem


class Shop:
    """`app` is our App there; payments are another app's unless they say `ours`."""

    def __init__(self, saleor: Standin, app: App, store: Store, account: GatewayAccount) -> None:
        self.saleor, self.app, self.store, self.account = saleor, app, store, account

    def sell(self, *lines: dict[str, Any], ours: str = "", **order: Any) -> tuple[Order, TransactionItem]:
        """Sell lines, one e-book of 30.00 when none are given, and pay for them; `ours` is the payment's name at our gateway."""
        placed = self.saleor.add_order(lines=list(lines) or None, **order)
        return placed, self.saleor.pay(placed, app=self.app if ours else None, psp_reference=ours)

    def hear(self, choose: Callable[[list[Delivery]], Delivery] | None = None) -> None:
        """Let Saleor send its webhooks, and a worker apply them."""
        self.saleor.work(choose)
        apply_waiting(clock.now())

    def purchase(self, order: Order) -> Purchase:
        """Return what was recorded of an order."""
        return Purchase.objects.get(store=self.store, metadata__saleor_order=order.id)

    def payment(self, order: Order) -> Payment:
        """Return the one payment of an order."""
        return Payment.objects.get(purchase=self.purchase(order))

    def waiting(self) -> list[str]:
        """Return what could not be applied."""
        return list(WebhookEvent.objects.exclude(state__in=["applied", "done", "foreign"]).values_list("last_error", flat=True))
