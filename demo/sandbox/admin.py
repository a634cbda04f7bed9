"""The sandbox's own endpoints, under /_sandbox/, and the page for people at /. None of this exists at Stripe.

Bodies are JSON, which no web page of another origin can send without being asked. Amounts are counted as Stripe counts them.
`process.SandboxServer` has `get(path)` and `post(path, **body)` for all of it.

Looking:
    GET  health                         {"status": "ok"}
    GET  state                          counts, payments, charges, refunds, faults, and how webhooks, limits and listings are set
    GET  counters                       {"requests": {"POST /v1/refunds": {"200": 7, "429": 1, "dropped": 2, "cut": 0, "replayed": 1}},
                                        "refunds": {"made", "amount", "by_status": {status: n}, "by_payment": {pi_…: {"count", "amount"}},
                                        "by_refund_id": {metadata.refund_id: {"count", "amount"}}, "more_than_once": [refund_id …]}};
                                        "by_…" and "amount" leave out what failed or was canceled
    POST counters/reset                 {} forgets the requests
    POST reset                          {} forgets everything, ends faults and limits, and sets the clock right

Money:
    POST payments                       {"amount", "currency"} and optionally "id" (pi_…), "payment_method", "brand", "last4", "created",
                                        "description", "metadata", "customer", "capture_method": "manual", "settlement_currency",
                                        "exchange_rate"; a payment made earlier, without events; the same id again changes nothing
    POST payments/bulk                  the same for many: {"amount", "currency", …} with "ids": [pi_…] or "count": n -> {"ids": [pi_…]}
    POST refunds                        {"payment_intent", "amount", "reason"} made in the dashboard: no metadata, no key
    POST refunds/re_…/settle            {} a waiting refund succeeds; a succeeded one gets its trace number
    POST refunds/re_…/fail              {"failure_reason"} a waiting or succeeded refund fails
    POST balance                        {"currency", "available": n | null}: what there is to refund from; a refund beyond it is pending
                                        with insufficient_funds until there is more

Checkout and Billing (products, prices, customers, sessions and subscriptions are made by the API; here is what people do):
    POST checkout/sessions/cs_…/complete  {"email", "name", "country", "tax_ids": [{"type", "value"}], "payment_method", "discount": n,
                                        "later": false} pays in it; with "later" the payment takes days
    POST checkout/sessions/cs_…/pay     {} lets that payment arrive (checkout.session.async_payment_succeeded)
    POST subscriptions/sub_…/renew      {} begins the next period -> its invoice
    POST subscriptions/sub_…/cancel     {"at_period_end": false} as by the customer in the portal
    POST sales                          {"mode": "payment" | "subscription" | "invoice", "currency", "lines": [{"name", "amount",
                                        "quantity", "metadata", "tax_percent", "tax_inclusive": true, "discount"}], "interval": "month",
                                        "interval_count", "client_reference_id", "locale", "metadata", "plan"} and what `complete`
                                        takes: a whole paid sale in one go -> the session or the invoice
    POST sales/bulk                     the same "count" times -> {"ids": [cs_… | in_…]}

What a bank says:
    POST disputes                       {"payment_intent", "amount", "reason", "status": "needs_response" | "warning_needs_response",
                                        "due_in_days": 7} opens one; without an amount for all that was not refunded
    POST disputes/dp_…/<step>           {}: review, escalate (an inquiry becomes formal), win, lose, withdraw
    POST early_fraud_warnings           {"payment_intent", "fraud_type", "actionable": true}
    POST early_fraud_warnings/issfr_…   {"actionable": false}

Misbehaving:
    POST faults                         {"kind", "times": n | null, "probability": 0..1, "seed", "method": "POST", "path": prefix}; without
                                        `times` one call is hit, or with a probability all that chance picks. The kinds:
                                        drop_before_send   closed before anything is executed
                                        drop_after_commit  executed, then closed without an answer
                                        cut_mid_body       executed, then closed after the headers and half of the body
                                        slow_before        "milliseconds" while the key is held, before anything is executed
                                        slow_after         executed, then answered after "milliseconds"
                                        status             "status": 409, 429, 500, 503 …; "stored": true, false (default: a 500 is)
                                        error_after_commit executed, but answered and replayed with a 500
                                        outcome            of a refund: "outcome": "succeeded", "pending", "pending_then_succeeded",
                                                           "pending_then_failed", "fail_after_success", "requires_action"; "after_ms",
                                                           "failure_reason"
    POST faults/clear                   {} ends all of them
    POST limits                         {"rate": 25 | null, "burst": 25} requests per second for every endpoint of every account
    POST listings                       {"lag_ms": n}: a refund is absent from lists until it is that old
    POST keys/forget                    {"older_than_seconds": 0} forgets idempotency keys -> {"forgotten": n}
    POST clock                          {"advance_seconds": n} moves the sandbox's time (keys, schedules, retries)

Webhooks:
    POST webhooks                       {"copies": 1, "delay_ms": 0, "hold": false, "shuffle": 0, "seed": 0, "never": false,
                                        "parallel": 1}; what is left out is as here. "hold" keeps all until released, "shuffle": k
                                        keeps them until k wait and sends those in an order that the seed decides
    POST webhooks/release               {"seed": n | null} sends all that waits now, shuffled if there is a seed -> {"released": n}
    POST webhooks/replay                {"seed": n | null, "copies": 1, "types": []} sends past events again -> {"queued": n}
    POST webhooks/endpoint              {"url", "secret"} sends to another place from now on
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.counters import Counters
from demo.sandbox.disputes import STEPS, Disputes
from demo.sandbox.errors import ApiError
from demo.sandbox.faults import Faults
from demo.sandbox.idempotency import Keys
from demo.sandbox.limits import Limits
from demo.sandbox.listings import Listings
from demo.sandbox.messages import Request, Response
from demo.sandbox.objects import Object
from demo.sandbox.page import render
from demo.sandbox.sales import Sales
from demo.sandbox.seeding import Seeding
from demo.sandbox.shopping import Shopping
from demo.sandbox.store import Store
from demo.sandbox.webhooks import Endpoint, Manner, Webhooks
from demo.sandbox.wishes import Wish, captured_charge, number


class Admin:
    """Looks into a sandbox and steers it."""

    def __init__(
        self,
        *,
        account: str,
        store: Store,
        clock: Clock,
        bank: Bank,
        webhooks: Webhooks,
        faults: Faults,
        keys: Keys,
        limits: Limits,
        listings: Listings,
        counters: Counters,
        sales: Sales,
    ) -> None:
        self._account = account
        self._token = secrets.token_urlsafe(16)
        self._store = store
        self._clock = clock
        self._bank = bank
        self._webhooks = webhooks
        self._faults = faults
        self._keys = keys
        self._limits = limits
        self._listings = listings
        self._counters = counters
        self._disputes = Disputes(account, store, clock, bank)
        self._shopping = Shopping(account, store, clock, sales)
        seeding = Seeding(account, store, clock, bank)
        self._actions: dict[tuple[str, ...], Callable[[Wish], Any]] = {
            ("payments",): seeding.pay,
            ("payments", "bulk"): seeding.pay_many,
            ("sales",): self._shopping.buy,
            ("sales", "bulk"): self._shopping.buy_many,
            ("refunds",): self._refund,
            ("balance",): self._top_up,
            ("disputes",): self._disputes.open,
            ("early_fraud_warnings",): self._disputes.warn,
            ("faults",): self._fault,
            ("faults", "clear"): self._behave,
            ("limits",): self._limit,
            ("listings",): self._lag,
            ("keys", "forget"): self._forget_keys,
            ("clock",): self._advance,
            ("webhooks",): self._deliver_so,
            ("webhooks", "release"): self._release,
            ("webhooks", "replay"): self._replay,
            ("webhooks", "endpoint"): self._point_webhooks,
            ("counters", "reset"): self._reset_counters,
            ("reset",): self._reset,
        }

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        path = tuple(request.path.strip("/").split("/"))
        try:
            match (request.method, *path):
                case ("GET", ""):
                    return Response(200, render(self._state(), self._token).encode(), "text/html; charset=utf-8")
                case ("POST", "_sandbox", "form"):
                    return self._do_form(request)
                case ("GET", "_sandbox", "health"):
                    return Response.json({"status": "ok"})
                case ("GET", "_sandbox", "state"):
                    return Response.json(self._state())
                case ("GET", "_sandbox", "counters"):
                    return Response.json(self._counters.as_json())
                case ("POST", "_sandbox", "refunds", refund_id, "settle"):
                    return self._do(lambda wish: self._settle(refund_id, wish), request)
                case ("POST", "_sandbox", "refunds", refund_id, "fail"):
                    return self._do(lambda wish: self._fail(refund_id, wish), request)
                case ("POST", "_sandbox", "disputes", dispute_id, step) if step in STEPS:
                    return self._do(lambda wish: self._disputes.go_on(dispute_id, step), request)
                case ("POST", "_sandbox", "early_fraud_warnings", warning_id):
                    return self._do(lambda wish: self._disputes.change_warning(warning_id, wish), request)
                case ("POST", "_sandbox", "checkout", "sessions", session_id, "complete"):
                    return self._do(lambda wish: self._shopping.complete(session_id, wish), request)
                case ("POST", "_sandbox", "checkout", "sessions", session_id, "pay"):
                    return self._do(lambda wish: self._shopping.pay_late(session_id), request)
                case ("POST", "_sandbox", "subscriptions", subscription_id, "renew"):
                    return self._do(lambda wish: self._shopping.renew(subscription_id), request)
                case ("POST", "_sandbox", "subscriptions", subscription_id, "cancel"):
                    return self._do(lambda wish: self._shopping.cancel(subscription_id, wish), request)
                case ("POST", "_sandbox", *name) if tuple(name) in self._actions:
                    return self._do(self._actions[tuple(name)], request)
        except ApiError as error:
            return error.response()
        return ApiError(404, f"Nothing answers {request.method} {request.path}.").response()

    def _do_form(self, request: Request) -> Response:
        """Do what a form of the page asks for; its token shows that it is the page that asks."""
        form = dict(parse_qsl(request.body.decode(errors="replace")))
        if not hmac.compare_digest(form.pop("token", "").encode(), self._token.encode()):
            raise ApiError(403, "Reload the page and try again.")
        path = form.pop("path", "")
        wish = {name: int(value) if value.isdecimal() else value for name, value in form.items()}
        done = self.handle(Request("POST", f"/_sandbox/{path}", "", {"content-type": "application/json"}, json.dumps(wish).encode()))
        return done if done.status != 200 else Response(303, b"", headers={"Location": "/"})

    def _do(self, action: Callable[[Wish], Any], request: Request) -> Response:
        wish = _wish(request)
        with self._store.transaction():
            return Response.json(action(wish))

    def _state(self) -> Wish:
        payments, charges, refunds = (self._store.all(kind) for kind in ("payment_intent", "charge", "refund"))
        return {
            "counts": {
                "payments": len(payments),
                "refunds": len(refunds),
                "events": self._store.count("event"),
                "webhooks_waiting": self._webhooks.waiting(),
            },
            "payments": payments,
            "charges": charges,
            "refunds": refunds,
            "disputes": self._store.all("dispute"),
            "faults": self._faults.planned(),
            "webhooks": self._webhooks.as_json(),
            "limits": self._limits.as_json(),
            "listings": {"lag_ms": round(self._listings.lag_seconds * 1000)},
        }

    def _settle(self, refund_id: str, wish: Wish) -> Object:
        return self._bank.settle(wish.get("account", self._account), refund_id)

    def _fail(self, refund_id: str, wish: Wish) -> Object:
        return self._bank.fail(wish.get("account", self._account), refund_id, wish.get("failure_reason", "unknown"))

    def _refund(self, wish: Wish) -> Object:
        charge = captured_charge(self._store, self._account, wish)
        amount = None if wish.get("amount") is None else number(wish, "amount", minimum=1)
        return self._bank.refund(charge, amount=amount, reason=wish.get("reason"), metadata={}, cause=Cause(self._account))

    def _top_up(self, wish: Wish) -> Wish:
        available = None if wish.get("available") is None else number(wish, "available")
        self._bank.top_up(self._account, str(wish.get("currency", "")).lower(), available)
        return {"available": available}

    def _fault(self, wish: Wish) -> Wish:
        return self._faults.add(wish).as_json()

    def _behave(self, wish: Wish) -> Wish:
        self._faults.clear()
        return {"faults": []}

    def _limit(self, wish: Wish) -> Wish:
        self._limits.set(wish.get("rate"), wish.get("burst"))
        return self._limits.as_json()

    def _lag(self, wish: Wish) -> Wish:
        self._listings.lag_seconds = number(wish, "lag_ms") / 1000
        return {"lag_ms": wish["lag_ms"]}

    def _forget_keys(self, wish: Wish) -> Wish:
        return {"forgotten": self._keys.forget(number(wish, "older_than_seconds", default=0))}

    def _advance(self, wish: Wish) -> Wish:
        self._clock.advance(number(wish, "advance_seconds"))
        self._bank.worker.wake()
        self._webhooks.worker.wake()
        return {"now": self._clock.now()}

    def _deliver_so(self, wish: Wish) -> Wish:
        self._webhooks.behave(Manner.of(wish))
        return self._webhooks.as_json()

    def _release(self, wish: Wish) -> Wish:
        return {"released": self._webhooks.release(wish.get("seed"))}

    def _replay(self, wish: Wish) -> Wish:
        copies = number(wish, "copies", default=1, minimum=1)
        return {"queued": self._webhooks.replay(seed=wish.get("seed"), copies=copies, types=wish.get("types", []))}

    def _point_webhooks(self, wish: Wish) -> Wish:
        present = self._webhooks.endpoint
        self._webhooks.point_to(Endpoint(str(wish.get("url", present.url)), str(wish.get("secret", present.secret))))
        return self._webhooks.as_json()

    def _reset_counters(self, wish: Wish) -> Wish:
        self._counters.reset()
        return self._counters.as_json()

    def _reset(self, wish: Wish) -> Wish:
        self._store.clear()
        self._faults.clear()
        self._clock.reset()
        self._limits.set(None)
        self._listings.lag_seconds = 0
        self._bank.balances.reset()
        self._webhooks.reset()
        self._counters.reset()
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
