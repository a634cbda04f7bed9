"""Purchases for every case worth seeing, each with its payments in the sandbox and the traces of its use.

Days are counted back from the first run, so that there is always something inside and something outside of a window.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.contrib.auth.models import User

from demo.shop.models import ProductPage
from demo.shop.orders import ACCOUNT, Buyer, line_of, record_order
from demo.shop.seed.consents import seed_consent
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import LineData, PaymentData
from refund_plugin.orders.models import AccessKind, Purchase


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a seeded order. `uses` are (kind, days after the purchase), one fact each."""

    sku: str
    quantity: int = 1
    uses: tuple[tuple[AccessKind, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """How a part of an order was paid. `minor` None is what the other cards leave over."""

    brand: str = "visa"
    last4: str = "4242"
    minor: int | None = None
    sandbox_method: str = "pm_card_visa"
    method: str = "card"


@dataclass(frozen=True, slots=True)
class Order:
    """A seeded order; `case` says what it is there to show."""

    number: str
    case: str
    items: tuple[Item, ...]
    days_ago: float = 0
    months_ago: int = 0
    country: str = "DE"
    cards: tuple[Card, ...] = (Card(),)
    guest: bool = False
    consent: bool = True


LESSONS = tuple((AccessKind.CONSUMED, 1.0 + day / 2) for day in range(3))
DOWNLOAD = (AccessKind.DOWNLOADED, 0.1)
ACTIVATION = (AccessKind.ACTIVATED, 0.8)

ORDERS = (
    Order(
        "1042",
        "three answers in one order: unopened, half-watched, licence activated",
        (Item("EB-SLOWWEB"), Item("CR-PHOTO", uses=LESSONS), Item("PL-GRAIN", uses=(ACTIVATION,))),
        days_ago=6,
    ),
    Order("1043", "fresh and unopened", (Item("EB-MARGIN"),), days_ago=1),
    Order(
        "1044",
        "downloaded three times",
        (Item("EB-ATLAS", uses=(DOWNLOAD, (AccessKind.DOWNLOADED, 2), (AccessKind.DOWNLOADED, 3))),),
        days_ago=10,
    ),
    Order("1038", "three months into a year", (Item("SB-LIBRARY"),), months_ago=3),
    Order("1045", "final sale, opened as agreed at the checkout", (Item("EB-WINTER", uses=(DOWNLOAD,)),), days_ago=4),
    Order(
        "1046",
        "EU customer without consent, downloaded once",
        (Item("EB-SLOWWEB", uses=(DOWNLOAD,)),),
        days_ago=5,
        country="FR",
        consent=False,
    ),
    Order("1054", "downloaded once, as agreed at the checkout", (Item("EB-SLOWWEB", uses=(DOWNLOAD,)),), days_ago=5),
    Order(
        "1047",
        "two payments",
        (Item("EB-ATLAS"), Item("EB-SLOWWEB", quantity=2)),
        days_ago=8,
        cards=(Card(minor=3000), Card("mastercard", "4444", sandbox_method="pm_card_mastercard")),
    ),
    Order("1048", "a currency without minor units", (Item("EB-MA-JP"),), days_ago=2, country="JP"),
    Order(
        "1049",
        "paid from a bank account: the refund stays pending for a while",
        (Item("EB-MARGIN"),),
        days_ago=3,
        country="US",
        cards=(Card("", "6789", sandbox_method="pm_usBankAccount", method="us_bank_account"),),
    ),
    Order(
        "1053",
        "the bank sends the refund back later",
        (Item("EB-MARGIN"),),
        days_ago=4,
        cards=(Card(last4="5126", sandbox_method="pm_card_refundFail"),),
    ),
    Order("1019", "bought long before the window", (Item("EB-ATLAS"),), days_ago=75),
    Order("1051", "a large amount, which a person decides", (Item("EB-ATLAS", quantity=5),), days_ago=7),
    Order("1060", "given back already", (Item("EB-SLOWWEB"),), days_ago=9),
    Order("1061", "asked for; the amount needs a person", (Item("EB-ATLAS", quantity=4),), days_ago=3, guest=True),
    Order("1062", "asked for; declined by the rule, a person looks", (Item("PL-GRAIN", uses=(ACTIVATION,)),), days_ago=4, guest=True),
    Order("1052", "a guest without an account", (Item("PL-GRAIN"),), days_ago=2, guest=True),
)


def seed_purchases(*, customer: User, now: datetime) -> int:
    """Make the orders that are not there yet and return how many those were."""
    there = set(Purchase.objects.filter(number__in=[order.number for order in ORDERS]).values_list("number", flat=True))
    missing = [order for order in ORDERS if order.number not in there]
    products = {product.sku: product for product in ProductPage.objects.all()}
    for order in missing:
        _make(order, products=products, customer=customer, now=now)
    return len(missing)


def _make(order: Order, *, products: dict[str, ProductPage], customer: User, now: datetime) -> None:
    bought_at = now - timedelta(days=order.days_ago) - relativedelta(months=order.months_ago)
    lines = tuple(line_of(products[item.sku], bought_at=bought_at, quantity=item.quantity) for item in order.items)
    currency = products[order.items[0].sku].currency
    purchase = record_order(
        number=order.number,
        buyer=_buyer(order, customer),
        currency=currency,
        lines=lines,
        payments=_pay(order, lines=lines, currency=currency, bought_at=bought_at),
        bought_at=bought_at,
        now=now,
    )
    if order.consent:
        seed_consent(purchase, now=now)
    for line, item in zip(purchase.lines.all(), order.items, strict=True):
        for index, (kind, days) in enumerate(item.uses, start=1):
            name = f"lesson-{index}" if kind == AccessKind.CONSUMED else f"seed-{index}"
            record_access(line=line, kind=kind, source_id=name, occurred_at=bought_at + timedelta(days=days), now=now)


def _buyer(order: Order, customer: User) -> Buyer:
    if order.guest:
        return Buyer(email="mira@example.org", name="Mira Castell", country=order.country)
    return Buyer(email=customer.email, name=customer.get_full_name(), country=order.country, user_id=customer.pk)


def _pay(order: Order, *, lines: tuple[LineData, ...], currency: str, bought_at: datetime) -> tuple[PaymentData, ...]:
    total = sum(line.paid_minor for line in lines)
    rest = total - sum(card.minor or 0 for card in order.cards)
    payments = []
    for index, card in enumerate(order.cards, start=1):
        amount = card.minor if card.minor is not None else rest
        payment_id = f"pi_seed{order.number}n{index}"
        wish: dict[str, object] = {
            "id": payment_id,
            "amount": amount,
            "currency": currency.lower(),
            "payment_method": card.sandbox_method,
            "last4": card.last4,
            "created": int(bought_at.timestamp()),
            "description": f"Order {order.number}",
        }
        _ask_sandbox("payments", wish | ({"brand": card.brand} if card.brand else {}))
        payments.append(
            PaymentData(
                gateway_payment_id=payment_id,
                captured_minor=amount,
                account=ACCOUNT,
                method=card.method,
                brand=card.brand,
                last4=card.last4,
                captured_at=bought_at,
                has_history=False,
            )
        )
    return tuple(payments)


def _ask_sandbox(path: str, wish: dict[str, object]) -> None:
    base = settings.REFUND_PLUGIN["GATEWAYS"][ACCOUNT]["api_base"]
    request = urllib.request.Request(f"{base}/_sandbox/{path}", json.dumps(wish).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30):
        pass
