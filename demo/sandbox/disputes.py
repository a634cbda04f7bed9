"""Disputes, inquiries and early fraud warnings: what a customer's bank says instead of the customer.

Every function runs inside a store transaction of its caller.
"""

from __future__ import annotations

from demo.sandbox import objects
from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.errors import ApiError, missing_object
from demo.sandbox.objects import Object
from demo.sandbox.store import Store
from demo.sandbox.wishes import Wish, captured_charge, number

FEE = 1500
REASONS = (
    *("bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized", "duplicate"),
    *("fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant", "product_not_received"),
    *("product_unacceptable", "subscription_canceled", "unrecognized"),
)
FRAUD_TYPES = (
    *("card_never_received", "fraudulent_card_application", "made_with_counterfeit_card", "made_with_lost_card"),
    *("made_with_stolen_card", "misc", "unauthorized_use_of_card"),
)
FIRST_STATUSES = ("needs_response", "warning_needs_response")
# What can happen to a dispute: from its status to the next.
STEPS = {
    "review": {"needs_response": "under_review", "warning_needs_response": "warning_under_review"},
    "escalate": {"warning_needs_response": "needs_response", "warning_under_review": "needs_response"},
    "win": {"needs_response": "won", "under_review": "won"},
    "lose": {"needs_response": "lost", "under_review": "lost"},
    "withdraw": {
        "needs_response": "won",
        "under_review": "won",
        "warning_needs_response": "warning_closed",
        "warning_under_review": "warning_closed",
    },
}


class Disputes:
    """Lets banks complain."""

    def __init__(self, account: str, store: Store, clock: Clock, bank: Bank) -> None:
        self._account = account
        self._store = store
        self._clock = clock
        self._bank = bank
        self._cause = Cause(account)

    def open(self, wish: Wish) -> Object:
        """Open a dispute; a formal one takes the money away at once, an inquiry (`warning_…`) takes none."""
        charge = captured_charge(self._store, self._account, wish)
        amount = number(wish, "amount", default=charge["amount_captured"] - charge["amount_refunded"], minimum=1)
        reason, status = wish.get("reason", "general"), wish.get("status", "needs_response")
        if reason not in REASONS or status not in FIRST_STATUSES:
            raise ApiError(400, f"reason is one of {', '.join(REASONS)}; status is {' or '.join(FIRST_STATUSES)}.")
        if amount > charge["amount_captured"]:
            raise ApiError(400, "amount is more than was paid.", param="amount")
        now = int(self._clock.now())
        due_by = now + number(wish, "due_in_days", default=7) * 24 * 3600
        dispute = objects.dispute(of=charge, amount=amount, reason=reason, status=status, due_by=due_by, created=now)
        self._store.insert(self._account, dispute)
        charge["disputed"] = True
        self._store.update(self._account, charge)
        if status == "needs_response":
            self._move(dispute, charge, -amount, FEE)
        self._bank.tell("charge.dispute.created", dispute, self._cause)
        if status == "needs_response":
            self._bank.tell("charge.dispute.funds_withdrawn", dispute, self._cause)
        return dispute

    def go_on(self, dispute_id: str, step: str) -> Object:
        """Let a dispute go one of `STEPS` further."""
        dispute = self._store.get(self._account, "dispute", dispute_id)
        if dispute is None:
            raise missing_object("dispute", dispute_id, param="dispute")
        if dispute["status"] not in STEPS[step]:
            raise ApiError(400, f"A dispute that is {dispute['status']} cannot {step}.")
        previous = {"status": dispute["status"]}
        dispute["status"] = STEPS[step][dispute["status"]]
        dispute["is_charge_refundable"] = dispute["status"].startswith("warning_") or dispute["status"] == "won"
        charge = self._store.get(self._account, "charge", dispute["charge"])
        assert charge is not None, "a charge is never deleted"
        if step == "escalate":
            dispute["payment_method_details"]["card"]["case_type"] = "chargeback"
            self._move(dispute, charge, -dispute["amount"], FEE)
        elif dispute["status"] == "won":
            self._move(dispute, charge, dispute["amount"], 0)
        self._store.update(self._account, dispute)
        is_over = dispute["status"] in ("won", "lost", "warning_closed")
        self._bank.tell("charge.dispute.closed" if is_over else "charge.dispute.updated", dispute, self._cause, previous=previous)
        if step == "escalate":
            self._bank.tell("charge.dispute.funds_withdrawn", dispute, self._cause)
        elif dispute["status"] == "won":
            self._bank.tell("charge.dispute.funds_reinstated", dispute, self._cause)
        return dispute

    def warn(self, wish: Wish) -> Object:
        """Report a suspicion of fraud before there is any dispute."""
        fraud_type = wish.get("fraud_type", "misc")
        if fraud_type not in FRAUD_TYPES:
            raise ApiError(400, f"fraud_type is one of {', '.join(FRAUD_TYPES)}.", param="fraud_type")
        charge, actionable = captured_charge(self._store, self._account, wish), bool(wish.get("actionable", True))
        warning = objects.early_fraud_warning(of=charge, fraud_type=fraud_type, actionable=actionable, created=int(self._clock.now()))
        self._store.insert(self._account, warning)
        self._bank.tell("radar.early_fraud_warning.created", warning, self._cause)
        return warning

    def change_warning(self, warning_id: str, wish: Wish) -> Object:
        """Say that something can, or can no longer, be done about a warning."""
        warning = self._store.get(self._account, "radar.early_fraud_warning", warning_id)
        if warning is None:
            raise missing_object("radar.early_fraud_warning", warning_id, param="warning")
        previous = {"actionable": warning["actionable"]}
        warning["actionable"] = bool(wish.get("actionable", False))
        self._store.update(self._account, warning)
        self._bank.tell("radar.early_fraud_warning.updated", warning, self._cause, previous=previous)
        return warning

    def _move(self, dispute: Object, charge: Object, amount: int, fee: int) -> None:
        entry = self._bank.book(self._account, dispute, type="adjustment", amount=amount, fee=fee, like=charge["balance_transaction"])
        dispute["balance_transactions"].append(entry)
        self._store.update(self._account, dispute)
