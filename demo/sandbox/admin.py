"""The sandbox's own endpoints, under /_sandbox/, and the page for people at /. None of this exists at Stripe.

Bodies are JSON, which no web page of another origin can send without being asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from demo.sandbox import objects
from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.currencies import check_charge, check_currency
from demo.sandbox.errors import ApiError
from demo.sandbox.faults import Faults
from demo.sandbox.messages import Request, Response
from demo.sandbox.objects import PAYMENT_METHODS, Object
from demo.sandbox.page import render
from demo.sandbox.store import Store
from demo.sandbox.webhooks import Webhooks

Wish = dict[str, Any]


class Admin:
    """Looks into a sandbox and steers it."""

    def __init__(self, store: Store, clock: Clock, bank: Bank, webhooks: Webhooks, faults: Faults, account: str) -> None:
        self._store = store
        self._clock = clock
        self._bank = bank
        self._webhooks = webhooks
        self._faults = faults
        self._account = account

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        actions: dict[tuple[str, ...], Callable[[Wish], Any]] = {
            ("payments",): self._pay,
            ("faults",): self._fault,
            ("faults", "clear"): self._behave,
            ("clock",): self._advance,
            ("reset",): self._reset,
        }
        path = tuple(request.path.strip("/").split("/"))
        try:
            match (request.method, *path):
                case ("GET", ""):
                    return Response(200, render(self._state()).encode(), "text/html; charset=utf-8")
                case ("GET", "_sandbox", "health"):
                    return Response.json({"status": "ok"})
                case ("GET", "_sandbox", "state"):
                    return Response.json(self._state())
                case ("POST", "_sandbox", "refunds", refund_id, "settle"):
                    return Response.json(self._settle(refund_id, _wish(request)))
                case ("POST", "_sandbox", "refunds", refund_id, "fail"):
                    return Response.json(self._fail(refund_id, _wish(request)))
                case ("POST", "_sandbox", *name) if tuple(name) in actions:
                    return Response.json(actions[tuple(name)](_wish(request)))
        except ApiError as error:
            return Response.json(error.body(), error.status)
        return Response.json(ApiError(404, f"Nothing answers {request.method} {request.path}.").body(), 404)

    def _state(self) -> Wish:
        payments, charges, refunds = (self._store.all(kind) for kind in ("payment_intent", "charge", "refund"))
        return {
            "counts": {
                "payments": len(payments),
                "refunds": len(refunds),
                "events": len(self._store.all("event")),
                "webhooks_waiting": self._webhooks.waiting(),
            },
            "payments": payments,
            "charges": charges,
            "refunds": refunds,
            "faults": self._faults.planned(),
        }

    def _settle(self, refund_id: str, wish: Wish) -> Object:
        with self._store.transaction():
            return self._bank.settle(wish.get("account", self._account), refund_id)

    def _fail(self, refund_id: str, wish: Wish) -> Object:
        with self._store.transaction():
            return self._bank.fail(wish.get("account", self._account), refund_id, wish.get("failure_reason", "unknown"))

    def _pay(self, wish: Wish) -> Object:
        """Create a succeeded payment as if it had been made earlier; the same id again changes nothing.

        Args:
            wish: `amount` and `currency` as Stripe counts them; optionally `id` (pi_…), `payment_method` (one of Stripe's test
                methods), `brand` and `last4` to show, `created` (Unix seconds), `description`, `metadata`.
        """
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
        with self._store.transaction():
            present = self._store.get(self._account, "payment_intent", intent_id)
            if present is not None:
                if (present["amount"], present["currency"]) != (amount, currency):
                    raise ApiError(400, f"{intent_id} exists with another amount.", param="id")
                return present
            intent = objects.payment_intent(
                id=intent_id,
                amount=amount,
                currency=currency,
                created=int(wish.get("created", self._clock.now())),
                description=wish.get("description"),
                metadata=wish.get("metadata", {}),
            )
            self._store.insert(self._account, intent)
            method = PAYMENT_METHODS[name]
            method = replace(method, brand=wish.get("brand", method.brand), last4=wish.get("last4", method.last4))
            self._bank.pay(intent, name, method, Cause(self._account))
        return intent

    def _fault(self, wish: Wish) -> Wish:
        return self._faults.add(wish).as_json()

    def _behave(self, wish: Wish) -> Wish:
        self._faults.clear()
        return {"faults": []}

    def _advance(self, wish: Wish) -> Wish:
        seconds = wish.get("advance_seconds")
        if not isinstance(seconds, (int, float)) or seconds < 0:
            raise ApiError(400, "advance_seconds is a number, not below 0.", param="advance_seconds")
        self._clock.advance(seconds)
        self._bank.worker.wake()
        self._webhooks.worker.wake()
        return {"now": self._clock.now()}

    def _reset(self, wish: Wish) -> Wish:
        self._store.clear()
        self._faults.clear()
        self._clock.reset()
        return self._state()


def _wish(request: Request) -> Wish:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ApiError(415, "Send JSON with Content-Type: application/json.")
    try:
        wish = json.loads(request.body or b"{}")
    except ValueError:
        raise ApiError(400, "The body is not JSON.") from None
    if not isinstance(wish, dict):
        raise ApiError(400, "The body is a JSON object.")
    return wish
