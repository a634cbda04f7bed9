"""Payments that were made before the story begins: one at a time with every detail, or thousands at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from demo.sandbox import objects
from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.currencies import check_charge, check_currency
from demo.sandbox.errors import ApiError
from demo.sandbox.objects import PAYMENT_METHODS, Object
from demo.sandbox.store import Store
from demo.sandbox.wishes import Wish, number

MOST_AT_ONCE = 100_000


class Seeding:
    """Makes payments without events; every function runs inside a store transaction of its caller."""

    def __init__(self, account: str, store: Store, clock: Clock, bank: Bank) -> None:
        self._account = account
        self._store = store
        self._clock = clock
        self._bank = bank

    def pay(self, wish: Wish) -> Object:
        """Create a succeeded payment as if it had been made earlier; the same id again changes nothing."""
        amount, currency = wish.get("amount"), str(wish.get("currency", "")).lower()
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 1:
            raise ApiError(400, "amount is a whole number above 0.", param="amount")
        check_currency(currency)
        check_charge(amount, currency)
        name = wish.get("payment_method", "pm_card_visa")
        if name not in PAYMENT_METHODS or PAYMENT_METHODS[name].declined:
            raise ApiError(400, f"payment_method is one of {', '.join(PAYMENT_METHODS)}.", param="payment_method")
        intent_id = wish.get("id") or objects.new_id("pi")
        if not str(intent_id).startswith("pi_"):
            raise ApiError(400, "id starts with pi_.", param="id")
        present = self._store.get(self._account, "payment_intent", intent_id)
        if present is not None:
            if (present["amount"], present["currency"]) != (amount, currency):
                raise ApiError(400, f"{intent_id} exists with another amount.", param="id")
            return present
        given: dict[str, Any] = {name: wish[name] for name in ("description", "metadata", "customer", "capture_method") if name in wish}
        intent = objects.payment_intent(
            id=intent_id, amount=amount, currency=currency, created=int(wish.get("created", self._clock.now())), **given
        )
        self._store.insert(self._account, intent)
        method = PAYMENT_METHODS[name]
        method = replace(method, brand=wish.get("brand", method.brand), last4=wish.get("last4", method.last4))
        self._bank.pay(
            intent,
            name,
            method,
            Cause(self._account),
            rate=wish.get("exchange_rate", 1),
            settles_in=str(wish.get("settlement_currency", "")).lower(),
        )
        return intent

    def pay_many(self, wish: Wish) -> Wish:
        """Create payments that are alike: `count` of them, or one for each of `ids`."""
        common = dict(wish)
        count, ids = common.pop("count", None), common.pop("ids", None)
        if ids is None:
            count = number({"count": count}, "count", minimum=1)
            ids = [objects.new_id("pi") for _ in range(min(count, MOST_AT_ONCE))]
        return {"ids": [self.pay({**common, "id": intent_id})["id"] for intent_id in ids]}
