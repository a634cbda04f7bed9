"""A Saleor (the stand-in) whose orders were paid through our App, and the same orders here, paid at a gateway in memory."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.test import Client

from refund_plugin import clock, documents
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.money import Money
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.models import Payment, Purchase
from refund_plugin.orders.services import record_purchase
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.telling.services import tell_stores
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import encrypt
from refund_plugin.stores.models import Store
from tests.saleor.standin.control import Standin
from tests.saleor.standin.webhooks import Answer
from tests.saleor.standin.world import Order, OrderGrantedRefund, TransactionEvent, TransactionItem, Webhook

TOKEN = "token-of-the-app"
TRANSACTION_EVENTS = ["TRANSACTION_REFUND_REQUESTED", "TRANSACTION_CHARGE_REQUESTED", "TRANSACTION_CANCELATION_REQUESTED"]
_numbers = itertools.count(1)


class Inside:
    """Saleor's way to our doors, without a network: Django's own client. Errors of ours come out, unless they are told apart."""

    def __init__(self) -> None:
        self.client = Client(raise_request_exception=False)

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """Read a page."""
        answer = self.client.get(url, headers=headers)
        return Answer(answer.status_code, answer.content)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Post a body."""
        answer = self.client.generic("POST", url, body, content_type="application/json", headers=headers)
        return Answer(answer.status_code, answer.content)


class Sold:
    """One order, on both sides."""

    def __init__(self, order: Order, transaction: TransactionItem, purchase: Purchase) -> None:
        self.order, self.transaction, self.purchase = order, transaction, purchase

    @property
    def payment(self) -> Payment:
        """Our record of the payment, as it stands."""
        return Payment.objects.get(purchase=self.purchase)

    @property
    def refunds(self) -> list[Refund]:
        """Our refunds of it, oldest first."""
        return list(Refund.objects.filter(payment__purchase=self.purchase).order_by("created_at", "reserved_at"))


class Shop:
    """Both sides, and the clocks that make them go on."""

    def __init__(self, standin: Standin) -> None:
        self.standin = standin
        self.app = standin.add_app(permissions=["MANAGE_ORDERS", "HANDLE_PAYMENTS"], identifier="wagtail.refund-plugin", token=TOKEN)
        self.app.webhooks.append(
            Webhook(
                id="V2ViaG9vazox",
                app=self.app,
                name="Money",
                target_url="/refunds/saleor/transactions/",
                query=documents.document("saleor/subscriptions/TransactionRequested"),
                events=TRANSACTION_EVENTS,
            )
        )
        self.store = Store.objects.create(slug="saleor-shop", name="Saleor", adapter="saleor", timezone="UTC")
        GatewayAccount.objects.create(slug="saleor-shop", kind="saleor", livemode=True)
        self.installation = SaleorInstallation.objects.create(
            slug="saleor-shop",
            api_url=standin.api_url,
            app_id=self.app.id,
            token_encrypted=encrypt(TOKEN),
            version=standin.api_version,
            permissions=self.app.permissions,
            keys=standin.jwks(),
            keys_read_at=clock.now(),
            installed_at=clock.now(),
        )

    @property
    def gateway(self) -> MemoryGateway:
        """Who pays."""
        gateway = gateway_for(default_account())
        assert isinstance(gateway, MemoryGateway)
        return gateway

    def sell(self, *prices: str, at_gateway: bool = True, recorded: bool = True) -> Sold:
        """Sell one thing for each price, paid at the gateway through our App."""
        number = f"S{next(_numbers)}"
        names = [f"Book {place}" for place, _price in enumerate(prices or ["30.00"])]
        lines = [{"name": name, "sku": name, "price": price} for name, price in zip(names, prices or ["30.00"], strict=True)]
        order = self.standin.add_order(lines=lines, number=number)
        charge = f"pi_{number}"
        transaction = self.standin.pay(order, app=self.app, psp_reference=charge)
        purchase = self.record(order, transaction) if recorded else Purchase()
        if at_gateway:
            self.gateway.add_payment(charge, Money.from_decimal(order.total_gross, "EUR"))
        return Sold(order, transaction, purchase)

    def record(self, order: Order, transaction: TransactionItem) -> Purchase:
        """Record an order as the order book does."""
        data = PurchaseData(
            number=order.number,
            email=order.user_email,
            currency="EUR",
            purchased_at=clock.now() - timedelta(days=2),
            metadata={"saleor_order": order.id},
            lines=tuple(
                LineData(
                    sku=line.product_sku,
                    name=line.product_name,
                    product_type="ebook",
                    paid_minor=minor(line.unit_gross) * line.quantity,
                    quantity=line.quantity,
                    metadata={"saleor_line": line.id},
                )
                for line in order.lines
            ),
            payments=(
                PaymentData(
                    gateway_payment_id=transaction.psp_reference,
                    captured_minor=minor(order.total_gross),
                    account="main",
                    metadata={"saleor_transaction": transaction.id},
                    captured_at=clock.now(),
                    has_history=False,
                ),
            ),
        )
        purchase, _recorded = record_purchase(store=self.store, data=data, now=clock.now())
        return purchase

    def press(self, sold: Sold, amount: str | None = None) -> TransactionEvent:
        """Press "refund" on the transaction in the dashboard, and let Saleor ask us; return Saleor's request."""
        event = self.standin.refund_at_once(sold.transaction, amount)
        self.standin.work()
        return event

    def grant(self, sold: Sold, amount: str, **more: Any) -> OrderGrantedRefund:
        """Grant a refund in the dashboard and press "send refund"."""
        grant = self.standin.grant(sold.order, sold.transaction, amount, **more)
        self.send(grant)
        return grant

    def send(self, grant: OrderGrantedRefund) -> None:
        """Press "send refund" on a granted refund."""
        self.standin.send_refund(grant)
        self.standin.work()

    def hear(self, refund: Refund, kind: AnswerKind, *, follow: bool = True) -> Refund:
        """Hear from the gateway how a refund stands."""
        refund.refresh_from_db()
        known = refund.gateway_refund_id or f"re_{refund.pk.hex[:12]}"
        if refund.gateway_refund_id:
            self.gateway.settle(refund.gateway_refund_id, kind)
        heard = GatewayAnswer(
            kind=kind, gateway_refund_id=known, amount=refund.amount, message="The card was closed" if kind == "failed" else ""
        )
        told = record_answer(refund_id=refund.pk, answer=heard, now=clock.now())
        assert told is not None
        if follow:
            self.follow()
        return told

    def later(self, seconds: float) -> None:
        """Let time pass on both sides, and everybody do what is due by then."""
        self.standin.clock.advance(seconds)
        with clock.travel(timedelta(seconds=seconds)):
            self.standin.work()
            self.follow()

    def post(self, body: bytes, **changes: str) -> Answer:
        """Post a body to our door, signed by this Saleor."""
        headers = {"Saleor-Api-Url": self.standin.api_url, "Saleor-Signature": self.standin.keys[-1].sign_webhook(body)}
        return self.standin.post.transport.post("/refunds/saleor/transactions/", body, {**headers, **changes})

    def pay(self) -> None:
        """Let our worker send what is due, and everybody who follows hear of it."""
        drive_refunds()
        self.follow()

    def follow(self) -> None:
        """Let the followers of what happened do their part, and Saleor send what follows from that."""
        while deliver_due():
            pass
        tell_stores(clock.now())
        self.standin.work()


def minor(amount: Decimal) -> int:
    """Return euros as cents."""
    return Money.from_decimal(amount, "EUR").minor


def references(sold: Sold) -> dict[tuple[str, str], set[Decimal]]:
    """Return by (reference, type) the amounts that Saleor was told about refunds of an order."""
    found: dict[tuple[str, str], set[Decimal]] = {}
    for event in sold.transaction.events:
        if event.type.startswith("REFUND_") and event.psp_reference:
            found.setdefault((event.psp_reference, event.type), set()).add(event.amount_value)
    return found


def told(sold: Sold) -> Sequence[str]:
    """Return the types of the refund events that an order's transaction has, in their order."""
    return [event.type for event in sold.transaction.events if event.type.startswith("REFUND_")]


def books_agree(sold: Sold) -> bool:
    """Tell whether Saleor's totals of an order are ours, the gateway paid no more than was captured, and our own books are right."""
    payment = sold.payment
    assert minor(sold.transaction.refunded) == payment.gone_minor, (sold.transaction.refunded, payment.gone_minor)
    assert payment.held_minor + payment.gone_minor <= payment.captured_minor
    assert all(len(amounts) == 1 for amounts in references(sold).values()), references(sold)
    report = verify()
    assert report.fine, report.differences
    return True
