"""Another payment app, built in: it owns transactions, is asked for refunds, and answers as tests want it to."""

from __future__ import annotations

import json
import uuid
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from tests.saleor.standin.webhooks import Answer, Delivery, NoAnswer
from tests.saleor.standin.world import App, TransactionEvent, Webhook, World

Behaviour = Literal["success", "async", "failure", "lost", "never", "lost_unpaid", "500_then_success", "by_key"]
IDENTIFIER = "other.payment.app"


@dataclass
class Payout:
    """Money that really left."""

    transaction_id: str
    amount: Decimal
    psp_reference: str


@dataclass
class OtherApp:
    """It pays whatever it is asked for: nothing here is capped, as trap 6 observed it.

    success: pays and says so. async: takes the request and tells later (`settle`). failure: refuses. lost: pays, but its answer
    never arrives. never: takes the request and is not heard of again. lost_unpaid: neither pays nor answers. by_key: pays once for
    each idempotency key of the newest event, as Saleor's documentation advises; two requests of one moment show the same one.
    """

    world: World
    app: App
    default: Behaviour = "success"
    script: deque[Behaviour] = field(default_factory=deque)
    paid: list[Payout] = field(default_factory=list)
    open: list[tuple[TransactionEvent, str]] = field(default_factory=list)
    asked: list[TransactionEvent] = field(default_factory=list)

    @classmethod
    def installed(cls, world: World) -> OtherApp:
        """Install it without a manifest."""
        app = App(id=world.next_id("App"), identifier=IDENTIFIER, name="Other Payments", permissions=["HANDLE_PAYMENTS"])
        events = ["TRANSACTION_REFUND_REQUESTED", "TRANSACTION_CHARGE_REQUESTED", "TRANSACTION_CANCELATION_REQUESTED"]
        query = """
            subscription {
              event { ... on TransactionRefundRequested { action { amount } transaction { events { idempotencyKey } } } }
            }
        """
        hook = Webhook(id=world.next_id("Webhook"), app=app, name="refunds", target_url="inside:other", query=query, events=events)
        app.webhooks.append(hook)
        world.apps[app.id] = app
        return cls(world=world, app=app)

    def answer(self, delivery: Delivery) -> Answer:
        """Answer a request for a refund."""
        request = delivery.request
        assert request is not None
        self.asked.append(request)
        behaviour = self.script.popleft() if self.script else self.default
        reference = f"other_{uuid.uuid4().hex[:12]}"
        if behaviour == "by_key":
            reference = f"other_{json.loads(delivery.body)['transaction']['events'][0]['idempotencyKey']}"
        is_new = reference not in {payout.psp_reference for payout in self.paid}
        if behaviour in ("success", "lost", "by_key") and is_new:
            self.pay_out(request.transaction.id, request.amount_value, reference)
        if behaviour in ("lost", "lost_unpaid"):
            raise NoAnswer("timed out")
        if behaviour == "500_then_success":
            self.script.appendleft("success")
            return Answer(500, b"")
        if behaviour in ("async", "never"):
            if behaviour == "async":
                self.open.append((request, reference))
            return _json({"pspReference": reference})
        if behaviour == "failure":
            return _json({"pspReference": reference, "result": "REFUND_FAILURE", "message": "The bank said no."})
        return _json({"pspReference": reference, "result": "REFUND_SUCCESS", "amount": str(request.amount_value)})

    def pay_out(self, transaction_id: str, amount: Decimal, psp_reference: str) -> None:
        """Let money leave."""
        self.paid.append(Payout(transaction_id, amount, psp_reference))

    def paid_for(self, transaction_id: str) -> Decimal:
        """How much really left for a transaction."""
        return sum((each.amount for each in self.paid if each.transaction_id == transaction_id), Decimal(0))


def _json(values: dict[str, object]) -> Answer:
    return Answer(200, json.dumps(values).encode())
