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

    def __init__(self, store: Store, clock: Clock, webhooks: Webhooks, settle_after_ms: int | None) -> None:
        self._store = store
        self._clock = clock
        self._webhooks = webhooks
        self._settle_after_ms = settle_after_ms
        self.worker = Worker("bank", self._do_scheduled)

    def pay(self, intent: Object, payment_method: str, method: PaymentMethod, cause: Cause) -> Object:
        """Let a stored payment intent succeed and return it."""
        charge = objects.charge(intent=intent, method=method, payment_method=payment_method, created=intent["created"])
        self._store.insert(cause.account, charge)
        intent |= {
            "amount_received": intent["amount"],
            "latest_charge": charge["id"],
            "payment_method": payment_method,
            "payment_method_types": [method.type],
            "status": "succeeded",
        }
        self._store.update(cause.account, intent)
        return charge

    def refund(self, charge: Object, *, amount: int | None, reason: str | None, metadata: dict[str, str], cause: Cause) -> Object:
        """Give money back.

        Args:
            amount: None for all that is left.
        Raises:
            ApiError: nothing is left, or less than the amount.
        """
        left = charge["amount_captured"] - charge["amount_refunded"]
        if left == 0:
            raise ApiError(400, f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded", stored=True)
        amount = left if amount is None else amount
        check_step(amount, charge["currency"])
        if amount > left:
            whole = "charge amount" if charge["amount_refunded"] == 0 else "unrefunded amount on charge"
            message = f"Refund amount ({display(amount, charge['currency'])}) is greater than {whole} ({display(left, charge['currency'])})"
            raise ApiError(400, message, param="amount", stored=True)
        behaviour = PAYMENT_METHODS[charge["payment_method"]].refunds
        status = "pending" if behaviour == "pend" else "succeeded"
        refund = objects.refund(of=charge, amount=amount, status=status, reason=reason, metadata=metadata, created=int(self._clock.now()))
        self._store.insert(cause.account, refund)
        self._change_refunded(charge, amount, cause)
        self.tell("refund.created", refund, cause)
        self.tell("charge.refunded", charge, cause, previous={"amount_refunded": charge["amount_refunded"] - amount})
        self._schedule(refund, behaviour, cause)
        return refund

    def settle(self, account: str, refund_id: str) -> Object:
        """Let a pending refund succeed; a succeeded one gets its trace number."""
        refund = self._present(account, refund_id)
        if refund["status"] not in ("pending", "succeeded"):
            raise ApiError(400, f"Refund {refund_id} is {refund['status']} and cannot settle.")
        previous = {"destination_details": refund["destination_details"]}
        refund["destination_details"] = objects.with_reference(refund)
        if refund["status"] == "pending":
            previous["status"] = "pending"
            refund["status"] = "succeeded"
            del refund["pending_reason"]
        self._store.update(account, refund)
        self.tell("refund.updated", refund, Cause(account), previous=previous)
        return refund

    def fail(self, account: str, refund_id: str, failure_reason: str) -> Object:
        """Let a pending or succeeded refund fail: the money returns to the merchant's balance."""
        refund = self._present(account, refund_id)
        if refund["status"] not in ("pending", "succeeded"):
            raise ApiError(400, f"Refund {refund_id} is {refund['status']} and cannot fail.")
        if failure_reason not in FAILURE_REASONS:
            raise ApiError(400, f"Unknown failure_reason: use one of {', '.join(FAILURE_REASONS)}.", param="failure_reason")
        previous = {"status": refund["status"]}
        refund |= {"status": "failed", "failure_reason": failure_reason, "failure_balance_transaction": objects.new_id("txn")}
        refund.pop("pending_reason", None)
        self._store.update(account, refund)
        charge = self._store.get(account, "charge", refund["charge"])
        assert charge is not None, "a refund's charge is never deleted"
        self._change_refunded(charge, -refund["amount"], Cause(account))
        self.tell("refund.failed", refund, Cause(account), previous=previous)
        return refund

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
        self._webhooks.queue(event)

    def _present(self, account: str, refund_id: str) -> Object:
        refund = self._store.get(account, "refund", refund_id)
        if refund is None:
            raise ApiError(404, f"No such refund: '{refund_id}'", code="resource_missing", param="id")
        return refund

    def _change_refunded(self, charge: Object, by: int, cause: Cause) -> None:
        charge["amount_refunded"] += by
        charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
        self._store.update(cause.account, charge)

    def _schedule(self, refund: Object, behaviour: str, cause: Cause) -> None:
        if self._settle_after_ms is None:
            return
        step, reason = ("fail", "expired_or_canceled_card") if behaviour == "fail_later" else ("settle", None)
        self._store.rows(
            "INSERT INTO schedule (account, refund, due, step, failure_reason) VALUES (?, ?, ?, ?, ?)",
            cause.account,
            refund["id"],
            self._clock.now() + self._settle_after_ms / 1000,
            step,
            reason,
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


def _has_reference(refund: dict[str, Any]) -> bool:
    details = refund["destination_details"]
    return bool(details[details["type"]]["reference"])
