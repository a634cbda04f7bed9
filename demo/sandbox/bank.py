"""What happens to money: payments succeed, refunds are made, settle, fail late, and get a trace number.

Every function runs inside a store transaction of its caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.sandbox import objects
from demo.sandbox.clock import Clock
from demo.sandbox.currencies import check_step, display
from demo.sandbox.errors import ApiError
from demo.sandbox.faults import Faults, Outcome
from demo.sandbox.objects import PAYMENT_METHODS, Object, PaymentMethod
from demo.sandbox.store import Store
from demo.sandbox.webhooks import Webhooks
from demo.sandbox.worker import Worker

API_VERSION = "2026-10-28.endive"
FAILURE_REASONS = (
    "charge_for_pending_refund_disputed",
    "declined",
    "expired_or_canceled_card",
    "insufficient_funds",
    "lost_or_stolen_card",
    "merchant_request",
    "unknown",
)
_FIRST_STATUS = {"requires_action": "requires_action"} | dict.fromkeys(("succeeded", "fail_after_success"), "succeeded")
_FIRST_STATUS |= dict.fromkeys(("pending", "pending_then_succeeded", "pending_then_failed"), "pending")


class Balances:
    """How much the merchant has to refund from, by currency; where nothing was said, there always is enough."""

    def __init__(self) -> None:
        self._available: dict[str, int] = {}

    def set(self, currency: str, available: int | None) -> None:
        """Say how much there is; None means always enough."""
        if available is None:
            self._available.pop(currency, None)
        else:
            self._available[currency] = available

    def cover(self, currency: str, amount: int) -> bool:
        """Take an amount if it is there."""
        if currency not in self._available:
            return True
        is_covered = self._available[currency] >= amount
        if is_covered:
            self._available[currency] -= amount
        return is_covered

    def give_back(self, currency: str, amount: int) -> None:
        """Put an amount back."""
        if currency in self._available:
            self._available[currency] += amount

    def reset(self) -> None:
        """Have enough of everything."""
        self._available.clear()


@dataclass(frozen=True, slots=True)
class Cause:
    """On whose behalf something happens: an account, and the request behind it if there is one."""

    account: str
    request_id: str | None = None
    key: str | None = None


class Bank:
    """Moves the sandbox's money.

    Args:
        settle_after_ms: how long a pending refund stays pending, and a card's trace number stays unknown; None means until
            somebody settles it by hand.
    """

    def __init__(self, store: Store, clock: Clock, webhooks: Webhooks, faults: Faults, settle_after_ms: int | None) -> None:
        self._store = store
        self._clock = clock
        self._webhooks = webhooks
        self._faults = faults
        self._settle_after_ms = settle_after_ms
        self.balances = Balances()
        self.worker = Worker("bank", self._do_scheduled)

    def pay(
        self, intent: Object, payment_method: str, method: PaymentMethod, cause: Cause, rate: float = 1, settles_in: str = ""
    ) -> Object:
        """Let a stored payment intent succeed, or be authorised where it is captured by hand, and return its charge.

        Args:
            rate, settles_in: the exchange rate and the currency in which the merchant gets the money; empty for the payment's own.
        """
        by_hand = intent["capture_method"] == "manual"
        charge = objects.charge(intent=intent, method=method, payment_method=payment_method, created=intent["created"])
        intent |= {"latest_charge": charge["id"], "payment_method": payment_method, "payment_method_types": [method.type]}
        self._store.insert(cause.account, charge)
        if by_hand:
            intent |= {"amount_capturable": intent["amount"], "status": "requires_capture"}
            self._store.update(cause.account, intent)
        else:
            self._take(intent, charge, intent["amount"], cause, rate, settles_in)
        return charge

    def tell_paid(self, intent: Object, charge: Object, cause: Cause) -> None:
        """Tell that a payment succeeded, or was authorised."""
        self.tell("charge.succeeded", charge, cause)
        is_paid = intent["status"] == "succeeded"
        self.tell("payment_intent.succeeded" if is_paid else "payment_intent.amount_capturable_updated", intent, cause)

    def capture(self, intent: Object, charge: Object, amount: int, cause: Cause) -> None:
        """Take what was authorised, or less; the rest is released."""
        self._take(intent, charge, amount, cause)
        self.tell("charge.captured", charge, cause)
        self.tell("payment_intent.succeeded", intent, cause)

    def release(self, intent: Object, reason: str | None, cause: Cause) -> None:
        """Cancel a payment that was not captured."""
        if intent["latest_charge"]:
            charge = self._the("charge", cause.account, intent["latest_charge"])
            charge |= {"amount_refunded": charge["amount"], "refunded": True}
            self._store.update(cause.account, charge)
            self.tell("charge.refunded", charge, cause, previous={"amount_refunded": 0, "refunded": False})
        now = int(self._clock.now())
        intent |= {"status": "canceled", "canceled_at": now, "cancellation_reason": reason, "amount_capturable": 0}
        self._store.update(cause.account, intent)
        self.tell("payment_intent.canceled", intent, cause)

    def refund(self, charge: Object, *, amount: int | None, reason: str | None, metadata: dict[str, str], cause: Cause) -> Object:
        """Give money back.

        Args:
            amount: None for all that is left.
        Raises:
            ApiError: nothing is left, or less than the amount; the customer's bank has taken the money back already.
        """
        if charge["disputed"] and not self._is_refundable(cause.account, charge):
            message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
            raise ApiError(400, message, code="charge_disputed", stored=True)
        left = charge["amount_captured"] - charge["amount_refunded"]
        if left == 0:
            raise ApiError(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", stored=True)
        amount = left if amount is None else amount
        check_step(amount, charge["currency"])
        if amount > left:
            whole = "charge amount" if charge["amount_refunded"] == 0 else "unrefunded amount on charge"
            message = f"Refund amount ({display(amount, charge['currency'])}) is greater than {whole} ({display(left, charge['currency'])})"
            raise ApiError(400, message, param="amount", stored=True)
        outcome = self._faults.take_outcome() or PAYMENT_METHODS[charge["payment_method"]].outcome
        status = _FIRST_STATUS[outcome.outcome]
        is_covered = self.balances.cover(charge["currency"], amount)
        if not is_covered:
            status = "pending"
        refund = objects.refund(of=charge, amount=amount, status=status, reason=reason, metadata=metadata, created=int(self._clock.now()))
        if not is_covered:
            refund["pending_reason"] = "insufficient_funds"
        refund["balance_transaction"] = self.book(cause.account, refund, type="refund", amount=-amount, like=charge["balance_transaction"])[
            "id"
        ]
        self._store.insert(cause.account, refund)
        self._change_refunded(charge, amount, cause)
        self.tell("refund.created", refund, cause)
        self.tell("charge.refunded", charge, cause, previous={"amount_refunded": charge["amount_refunded"] - amount})
        if is_covered:
            self._schedule(refund, outcome, cause)
        return refund

    def settle(self, account: str, refund_id: str) -> Object:
        """Let a refund that is not over succeed; a succeeded one gets its trace number."""
        refund = self._present(account, refund_id)
        if refund["status"] not in ("pending", "requires_action", "succeeded"):
            raise ApiError(400, f"Refund {refund_id} is {refund['status']} and cannot settle.")
        previous = {"destination_details": refund["destination_details"]}
        refund["destination_details"] = objects.with_reference(refund)
        if refund["status"] != "succeeded":
            previous["status"] = refund["status"]
            refund["status"] = "succeeded"
            _forget_waiting(refund)
        self._store.update(account, refund)
        self.tell("refund.updated", refund, Cause(account), previous=previous)
        return refund

    def fail(self, account: str, refund_id: str, failure_reason: str) -> Object:
        """Let a refund fail, also one that succeeded: the money returns to the merchant's balance."""
        refund = self._present(account, refund_id)
        if refund["status"] not in ("pending", "requires_action", "succeeded"):
            raise ApiError(400, f"Refund {refund_id} is {refund['status']} and cannot fail.")
        if failure_reason not in FAILURE_REASONS:
            raise ApiError(400, f"Unknown failure_reason: use one of {', '.join(FAILURE_REASONS)}.", param="failure_reason")
        return self._undo(refund, "failed", failure_reason, "refund.failed", Cause(account))

    def cancel(self, refund: Object, cause: Cause) -> Object:
        """Call off a refund that waits for the customer; the caller has checked that it does."""
        return self._undo(refund, "canceled", "merchant_request", "refund.updated", cause)

    def top_up(self, account: str, currency: str, available: int | None) -> None:
        """Say how much there is to refund from (None: always enough), and let refunds succeed that waited for it, oldest first."""
        self.balances.set(currency, available)
        waiting, _ = self._store.page(
            account, "refund", limit=10_000, filters={"pending_reason": "insufficient_funds", "currency": currency}, created={}
        )
        for refund in reversed(waiting):
            if not self.balances.cover(currency, refund["amount"]):
                break
            self.settle(account, refund["id"])

    def tell(self, event_type: str, about: Object, cause: Cause, previous: Object | None = None) -> None:
        """Record an event and queue its webhook."""
        event = objects.event(
            type=event_type,
            about=about,
            previous=previous,
            created=int(self._clock.now()),
            request_id=cause.request_id,
            key=cause.key,
            version=API_VERSION,
        )
        self._store.insert(cause.account, event)
        self._webhooks.queue(event, cause.account)

    def _take(self, intent: Object, charge: Object, amount: int, cause: Cause, rate: float = 1, settles_in: str = "") -> None:
        """Move the customer's money to the merchant."""
        charge |= {"amount_captured": amount, "captured": True}
        charge["balance_transaction"] = self.book(
            cause.account, charge, type="charge", amount=amount, fee=_fee_of(amount), rate=rate, currency=settles_in or charge["currency"]
        )["id"]
        intent |= {"amount_received": amount, "amount_capturable": 0, "status": "succeeded"}
        self._store.update(cause.account, charge)
        self._store.update(cause.account, intent)

    def book(self, account: str, source: Object, *, like: str | None = None, **given: Any) -> Object:
        """Record a movement on the merchant's balance and return it; `like` names one whose currency and rate it shares."""
        if like is not None:
            earlier = self._the("balance_transaction", account, like)
            given |= {"currency": earlier["currency"], "rate": earlier["exchange_rate"] or 1}
        entry = objects.balance_transaction(source=source, created=int(self._clock.now()), **given)
        self._store.insert(account, entry)
        return entry

    def _undo(self, refund: Object, status: str, why: str, event_type: str, cause: Cause) -> Object:
        previous = {"status": refund["status"]}
        charge = self._the("charge", cause.account, refund["charge"])
        entry = self.book(cause.account, refund, type="refund_failure", amount=refund["amount"], like=refund["balance_transaction"])
        refund |= {"status": status, "failure_reason": why, "failure_balance_transaction": entry["id"]}
        if refund.get("pending_reason") != "insufficient_funds":
            self.balances.give_back(refund["currency"], refund["amount"])
        _forget_waiting(refund)
        self._store.update(cause.account, refund)
        self._change_refunded(charge, -refund["amount"], cause)
        self.tell(event_type, refund, cause, previous=previous)
        return refund

    def _is_refundable(self, account: str, charge: Object) -> bool:
        disputes, _ = self._store.page(account, "dispute", limit=100, filters={"charge": charge["id"]}, created={})
        return all(dispute["is_charge_refundable"] for dispute in disputes)

    def _the(self, kind: str, account: str, object_id: str) -> Object:
        found = self._store.get(account, kind, object_id)
        assert found is not None, "what an object refers to is never deleted"
        return found

    def _present(self, account: str, refund_id: str) -> Object:
        refund = self._store.get(account, "refund", refund_id)
        if refund is None:
            raise ApiError(404, f"No such refund: '{refund_id}'", code="resource_missing", param="id")
        return refund

    def _change_refunded(self, charge: Object, by: int, cause: Cause) -> None:
        charge["amount_refunded"] += by
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self._store.update(cause.account, charge)

    def _schedule(self, refund: Object, outcome: Outcome, cause: Cause) -> None:
        after_ms = self._settle_after_ms if outcome.after_ms is None else outcome.after_ms
        if after_ms is None or outcome.outcome in ("pending", "requires_action"):
            return
        step = "fail" if outcome.outcome in ("pending_then_failed", "fail_after_success") else "settle"
        self._store.rows(
            "INSERT INTO schedule (account, refund, due, step, failure_reason) VALUES (?, ?, ?, ?, ?)",
            cause.account,
            refund["id"],
            self._clock.now() + after_ms / 1000,
            step,
            outcome.failure_reason if step == "fail" else None,
        )
        self.worker.wake()

    def _do_scheduled(self) -> float | None:
        for row in self._store.rows("SELECT * FROM schedule WHERE due <= ? ORDER BY seq", self._clock.now()):
            with self._store.transaction():
                self._store.rows("DELETE FROM schedule WHERE seq = ?", row["seq"])
                refund = self._store.get(row["account"], "refund", row["refund"])
                # somebody may have settled or failed it by hand before its time
                if refund is not None and refund["status"] in ("pending", "succeeded") and not _has_reference(refund):
                    if row["step"] == "fail":
                        self.fail(row["account"], row["refund"], row["failure_reason"])
                    else:
                        self.settle(row["account"], row["refund"])
        next_due = self._store.rows("SELECT min(due) AS due FROM schedule")[0]["due"]
        return None if next_due is None else max(0.0, next_due - self._clock.now())


def _fee_of(amount: int) -> int:
    return min(amount, amount * 29 // 1000 + 30)  # what a card costs in many countries: 2.9 % and 30 of the smallest units


def _forget_waiting(refund: Object) -> None:
    for name in ("pending_reason", "next_action", "instructions_email"):
        refund.pop(name, None)


def _has_reference(refund: dict[str, Any]) -> bool:
    details = refund["destination_details"]
    return bool(details[details["type"]]["reference"])
