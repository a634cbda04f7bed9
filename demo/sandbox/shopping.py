"""What people do in Checkout and Billing, for the sandbox's own endpoints: pay in a session, renew, cancel in the portal.

Every function runs inside a store transaction of its caller.
"""

from __future__ import annotations

from typing import Any

from demo.sandbox import sales_objects
from demo.sandbox.bank import Cause
from demo.sandbox.clock import Clock
from demo.sandbox.currencies import check_currency
from demo.sandbox.errors import ApiError, missing_object
from demo.sandbox.objects import Object
from demo.sandbox.sales import Sales
from demo.sandbox.sales_objects import Line
from demo.sandbox.store import Store
from demo.sandbox.wishes import Wish, number

_BUYER = ("email", "name", "country", "tax_ids", "payment_method", "brand", "last4")
_MODES = ("payment", "subscription", "invoice")


class Shopping:
    """A customer."""

    def __init__(self, account: str, store: Store, clock: Clock, sales: Sales) -> None:
        self._account = account
        self._store = store
        self._clock = clock
        self._sales = sales
        self._cause = Cause(account)

    def complete(self, session_id: str, wish: Wish) -> Object:
        """Pay in a session that a shop has opened."""
        buyer, discount = _buyer(wish), number(wish, "discount", default=0)
        return self._sales.complete(session_id, cause=self._cause, buyer=buyer, discount=discount, later=bool(wish.get("later")))

    def pay_late(self, session_id: str) -> Object:
        """Let the payment of a completed session arrive."""
        return self._sales.pay_late(session_id, cause=self._cause)

    def buy(self, wish: Wish) -> Object:
        """Make products, prices and a paid sale in one go; returns the session, or the invoice."""
        mode, currency = wish.get("mode", "payment"), str(wish.get("currency", "eur")).lower()
        check_currency(currency)
        if mode not in _MODES:
            raise ApiError(400, f"mode is one of {', '.join(_MODES)}.", param="mode")
        entries = wish.get("lines")
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            raise ApiError(400, "lines is a list of objects.", param="lines")
        rhythm = {"interval": wish.get("interval", "month"), "interval_count": number(wish, "interval_count", default=1, minimum=1)}
        lines = [self._line(entry, currency, rhythm if mode == "subscription" else None) for entry in entries]
        if mode == "invoice":
            buyer = {"email": "customer@shop.example", "name": "Ada Customer", "country": "DE", **_buyer(wish)}
            customer = self._sales.customer(
                cause=self._cause, email=buyer["email"], name=buyer["name"], address=sales_objects.address(buyer["country"])
            )
            return self._sales.bill(customer=customer, lines=lines, buyer=buyer, cause=self._cause)
        given: dict[str, Any] = {name: wish[name] for name in ("client_reference_id", "locale", "metadata") if name in wish}
        session = self._sales.open_session(mode=mode, lines=lines, plan=wish.get("plan", {}), cause=self._cause, **given)
        return self.complete(session["id"], wish)

    def buy_many(self, wish: Wish) -> Wish:
        """Do the same `count` times."""
        common = dict(wish)
        count = number({"count": common.pop("count", None)}, "count", minimum=1)
        return {"ids": [self.buy(common)["id"] for _ in range(count)]}

    def renew(self, subscription_id: str) -> Object:
        """Begin the next period of a subscription; returns its invoice."""
        return self._sales.renew(subscription_id, cause=self._cause)

    def cancel(self, subscription_id: str, wish: Wish) -> Object:
        """Cancel in the portal: now, or with the end of the period."""
        if not wish.get("at_period_end"):
            return self._sales.end(subscription_id, cause=self._cause)
        running = self._store.get(self._account, "subscription", subscription_id)
        if running is None:
            raise missing_object("subscription", subscription_id, param="id")
        return self._sales.change(running, {"cancel_at_period_end": True}, self._cause)

    def _line(self, entry: Wish, currency: str, recurring: Object | None) -> Line:
        now = int(self._clock.now())
        name = str(entry.get("name", "A product"))
        product = sales_objects.product(name=name, created=now, metadata=entry.get("metadata", {}))
        unit_amount = number(entry, "amount")
        price = sales_objects.price(of=product["id"], unit_amount=unit_amount, currency=currency, created=now, recurring=recurring)
        rate = None
        if "tax_percent" in entry:
            rate = sales_objects.tax_rate(
                display_name="VAT", percentage=entry["tax_percent"], inclusive=bool(entry.get("tax_inclusive", True)), created=now
            )
            self._store.insert(self._account, rate)
        self._store.insert(self._account, product)
        self._store.insert(self._account, price)
        quantity, discount = number(entry, "quantity", default=1, minimum=1), number(entry, "discount", default=0)
        return Line(name, quantity, unit_amount, currency, price=price, discount=discount, rate=rate)


def _buyer(wish: Wish) -> Wish:
    return {name: wish[name] for name in _BUYER if name in wish}
