"""What happens in Checkout and Billing: sessions are completed, subscriptions begin, renew and end, invoices are paid.

Every function runs inside a store transaction of its caller.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.sandbox import invoice_objects, objects, sales_objects
from demo.sandbox.bank import Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.errors import ApiError, missing_object
from demo.sandbox.objects import PAYMENT_METHODS, Object
from demo.sandbox.sales_objects import Line
from demo.sandbox.store import Store

_DAYS = {"day": 1, "week": 7}


class Sales:
    """The order book."""

    def __init__(self, store: Store, clock: Clock, bank: Bank) -> None:
        self._store = store
        self._clock = clock
        self._bank = bank

    def open_session(self, *, mode: str, lines: Sequence[Line], plan: Object, cause: Cause, **given: Any) -> Object:
        """Open a Checkout session.

        Args:
            plan: what is to be given to the payment or subscription that it makes (metadata, capture_method, description).
        """
        session = sales_objects.checkout_session(mode=mode, lines=lines, created=self._now(), **given)
        self._store.insert(cause.account, session)
        self._keep(cause.account, session["id"], plan=plan, lines=[_as_json(line) for line in lines])
        self._keep_items(cause.account, session["id"], [sales_objects.checkout_item(line) for line in lines])
        return session

    def complete(self, session_id: str, *, cause: Cause, buyer: Object, discount: int = 0, later: bool = False) -> Object:
        """Let a customer pay in a session.

        Args:
            buyer: what the customer types: email, name, country, tax_ids, payment_method, brand, last4.
            discount: by a code that the customer typed, off the whole.
            later: the payment takes days, as by bank debit; see `pay_late`.
        """
        session = self._session(cause.account, session_id)
        if session["status"] != "open":
            raise ApiError(400, f"This session is {session['status']}.")
        kept = self._kept(cause.account, session_id)
        lines = _with_discount([self._line(entry) for entry in kept["lines"]], discount)
        session |= sales_objects.session_totals(lines)
        self._keep_items(cause.account, session_id, [sales_objects.checkout_item(line) for line in lines])
        buyer = self._known_buyer(cause.account, session, buyer)
        details = {name: buyer.get(name) for name in ("email", "name", "phone", "business_name", "individual_name")}
        session["customer_details"] = {
            **details,
            "address": sales_objects.address(buyer.get("country")),
            "tax_exempt": "none",
            "tax_ids": buyer.get("tax_ids") or [],
        }
        session["status"] = "complete"
        if later:
            self._keep(cause.account, session_id, **kept | {"buyer": buyer, "lines": [_as_json(line) for line in lines]})
        else:
            self._pay_session(session, lines, kept["plan"], buyer, cause)
        self._store.update(cause.account, session)
        self._bank.tell("checkout.session.completed", session, cause)
        return session

    def pay_late(self, session_id: str, *, cause: Cause) -> Object:
        """Let the payment of a completed session arrive."""
        session = self._session(cause.account, session_id)
        if (session["status"], session["payment_status"]) != ("complete", "unpaid"):
            raise ApiError(400, "This session does not wait for its payment.")
        kept = self._kept(cause.account, session_id)
        self._pay_session(session, [self._line(entry) for entry in kept["lines"]], kept["plan"], kept["buyer"], cause)
        self._store.update(cause.account, session)
        self._bank.tell("checkout.session.async_payment_succeeded", session, cause)
        return session

    def customer(self, *, cause: Cause, **given: Any) -> Object:
        """Create a customer."""
        made = sales_objects.customer(created=self._now(), **given)
        self._store.insert(cause.account, made)
        self._bank.tell("customer.created", made, cause)
        return made

    def subscribe(
        self, *, customer: Object, lines: Sequence[Line], buyer: Object, cause: Cause, since: int | None = None, **given: Any
    ) -> tuple[Object, Object]:
        """Begin a subscription and pay its first period; return it and the invoice."""
        start = self._now() if since is None else since
        period = (start, end_of_period(start, _rhythm(lines)))
        made = sales_objects.subscription(of=customer["id"], lines=lines, created=start, period=period, **given)
        self._store.insert(cause.account, made)
        self._keep(cause.account, made["id"], lines=[_as_json(replace(line, discount=0)) for line in lines], buyer=buyer)
        self._bank.tell("customer.subscription.created", made, cause)
        return made, self._bill(made, customer, lines, period, buyer, "subscription_create", cause, created=start)

    def renew(self, subscription_id: str, *, cause: Cause) -> Object:
        """Begin the next period of a subscription and return its invoice."""
        running = self._running(cause.account, subscription_id)
        kept = self._kept(cause.account, subscription_id)
        lines = [self._line(entry) for entry in kept["lines"]]
        items = running["items"]["data"]
        previous = {name: items[0][name] for name in ("current_period_start", "current_period_end")}
        period = (items[0]["current_period_end"], end_of_period(items[0]["current_period_end"], _rhythm(lines)))
        for item in items:
            item |= {"current_period_start": period[0], "current_period_end": period[1]}
        self._store.update(cause.account, running)
        self._bank.tell("customer.subscription.updated", running, cause, previous={"items": {"data": [previous]}})
        customer = self._the("customer", cause.account, running["customer"])
        return self._bill(running, customer, lines, period, kept["buyer"], "subscription_cycle", cause, created=max(period[0], self._now()))

    def change(self, running: Object, change: Object, cause: Cause) -> Object:
        """Change a subscription, such as to end with its period."""
        previous = {name: running[name] for name in change}
        running |= change
        if "cancel_at_period_end" in change:
            ends = change["cancel_at_period_end"]
            running["cancel_at"] = running["items"]["data"][0]["current_period_end"] if ends else None
            running["canceled_at"] = self._now() if ends else None
        self._store.update(cause.account, running)
        self._bank.tell("customer.subscription.updated", running, cause, previous=previous)
        return running

    def end(self, subscription_id: str, *, cause: Cause) -> Object:
        """End a subscription now, without giving anything back.

        Raises:
            ApiError: 404, it does not exist or has ended before, which Stripe does not tell apart either.
        """
        running = self._running(cause.account, subscription_id)
        running |= {"status": "canceled", "canceled_at": self._now(), "ended_at": self._now(), "cancel_at_period_end": False}
        running["cancellation_details"]["reason"] = "cancellation_requested"
        self._store.update(cause.account, running)
        self._bank.tell("customer.subscription.deleted", running, cause)
        return running

    def bill(self, *, customer: Object, lines: Sequence[Line], buyer: Object, cause: Cause) -> Object:
        """Send a single invoice that the customer pays at once."""
        return self._bill(None, customer, lines, (self._now(), self._now()), buyer, "manual", cause, created=self._now())

    def _pay_session(self, session: Object, lines: Sequence[Line], plan: Object, buyer: Object, cause: Cause) -> None:
        if session["mode"] == "subscription":
            customer = self._customer_of(session, buyer, cause)
            metadata = plan.get("metadata", {})
            made, invoice = self.subscribe(customer=customer, lines=lines, buyer=buyer, cause=cause, metadata=metadata)
            session |= {"customer": customer["id"], "subscription": made["id"], "invoice": invoice["id"]}
        elif session["amount_total"]:
            intent = self._pay(session["amount_total"], session["currency"], buyer, cause, customer=session["customer"], **plan)
            session["payment_intent"] = intent["id"]
        session["payment_status"] = "paid" if session["amount_total"] else "no_payment_required"

    def _customer_of(self, session: Object, buyer: Object, cause: Cause) -> Object:
        if session["customer"]:
            return self._the("customer", cause.account, session["customer"])
        return self.customer(
            cause=cause, email=buyer.get("email"), name=buyer.get("name"), address=sales_objects.address(buyer.get("country"))
        )

    def _known_buyer(self, account: str, session: Object, buyer: Object) -> Object:
        """Add what the session knew before the customer typed anything."""
        known: Object = {"email": session["customer_email"] or "customer@shop.example", "name": "Ada Customer", "country": "DE"}
        if session["customer"]:
            customer = self._the("customer", account, session["customer"])
            known |= {name: customer[name] for name in ("email", "name") if customer[name]}
        return known | buyer

    def _bill(
        self,
        running: Object | None,
        customer: Object,
        lines: Sequence[Line],
        period: tuple[int, int],
        buyer: Object,
        why: str,
        cause: Cause,
        *,
        created: int,
    ) -> Object:
        number = f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04}"
        customer["next_invoice_sequence"] += 1
        self._store.update(cause.account, customer)
        invoice, made = invoice_objects.invoice(
            of=customer,
            lines=lines,
            created=created,
            period=period,
            subscription=running,
            billing_reason=why,
            number=number,
            customer_tax_ids=buyer.get("tax_ids") or [],
        )
        self._keep_items(cause.account, invoice["id"], made)
        self._store.insert(cause.account, invoice)
        if invoice["total"] > 0:
            intent = self._pay(invoice["total"], invoice["currency"], buyer, cause, customer=customer["id"], created=created)
            payment = invoice_objects.invoice_payment(of=invoice, payment_intent=intent["id"])
            self._store.insert(cause.account, payment)
        if running is not None:
            running["latest_invoice"] = invoice["id"]
            self._store.update(cause.account, running)
        for event_type in ("invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"):
            self._bank.tell(event_type, invoice, cause)
        return invoice

    def _pay(self, amount: int, currency: str, buyer: Object, cause: Cause, *, created: int | None = None, **given: Any) -> Object:
        name = buyer.get("payment_method", "pm_card_visa")
        if name not in PAYMENT_METHODS or PAYMENT_METHODS[name].declined:
            raise ApiError(400, f"payment_method is one of {', '.join(PAYMENT_METHODS)}.", param="payment_method")
        method = PAYMENT_METHODS[name]
        method = replace(method, brand=buyer.get("brand", method.brand), last4=buyer.get("last4", method.last4))
        created = self._now() if created is None else created
        intent = objects.payment_intent(id=objects.new_id("pi"), amount=amount, currency=currency, created=created, **given)
        self._store.insert(cause.account, intent)
        charge = self._bank.pay(intent, name, method, cause)
        charge["customer"] = intent["customer"]
        charge["billing_details"] |= {"email": buyer.get("email"), "name": buyer.get("name")}
        charge["billing_details"]["address"]["country"] = buyer.get("country")
        self._store.update(cause.account, charge)
        self._bank.tell_paid(intent, charge, cause)
        return intent

    def _running(self, account: str, subscription_id: str) -> Object:
        found = self._store.get(account, "subscription", subscription_id)
        if found is None or found["status"] == "canceled":
            raise missing_object("subscription", subscription_id, param="id")
        return found

    def _session(self, account: str, session_id: str) -> Object:
        found = self._store.get(account, "checkout.session", session_id)
        if found is None:
            raise missing_object("checkout.session", session_id, param="session")
        return found

    def _line(self, entry: Object) -> Line:
        return Line(**entry)

    def _the(self, kind: str, account: str, object_id: str) -> Object:
        found = self._store.get(account, kind, object_id)
        assert found is not None, "what an object refers to is never deleted"
        return found

    def _keep(self, account: str, owner: str, **what: Any) -> None:
        """Remember what the API does not show."""
        self._store.put(account, {"object": "kept", "id": f"kept_{owner}", "created": self._now(), **what})

    def _kept(self, account: str, owner: str) -> Object:
        return self._the("kept", account, f"kept_{owner}")

    def _keep_items(self, account: str, owner: str, items: Sequence[Object]) -> None:
        """Remember all lines of a session or an invoice, which shows the first few only."""
        self._store.put(account, {"object": "lines", "id": f"lines_{owner}", "created": self._now(), "data": list(items)})

    def _now(self) -> int:
        return int(self._clock.now())


def _as_json(line: Line) -> Object:
    return {name: getattr(line, name) for name in Line.__dataclass_fields__}


def _with_discount(lines: Sequence[Line], discount: int) -> list[Line]:
    """Take a discount off the lines by their size; the last one bears what rounding leaves."""
    total = sum(line.subtotal for line in lines)
    if not 0 <= discount <= total:
        raise ApiError(400, f"discount is at most {total}.", param="discount")
    left, discounted = discount, []
    for number, line in enumerate(lines):
        part = left if number == len(lines) - 1 else min(left, discount * line.subtotal // total if total else 0)
        discounted.append(replace(line, discount=part))
        left -= part
    return discounted


def _rhythm(lines: Sequence[Line]) -> Object:
    return (lines[0].price or {})["recurring"]


def end_of_period(start: int, recurring: Object) -> int:
    """Return the end of a period that starts then (Unix seconds); a month that is too short ends it on its last day."""
    count, interval = recurring["interval_count"], recurring["interval"]
    moment = datetime.fromtimestamp(start, UTC)
    if interval in _DAYS:
        return int((moment + timedelta(days=_DAYS[interval] * count)).timestamp())
    months = moment.month - 1 + count * (12 if interval == "year" else 1)
    year, month = moment.year + months // 12, months % 12 + 1
    return int(moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1])).timestamp())
