"""Sending: Saleor's headers, its signature, its retries, and what it makes of a payment app's answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import requests

from tests.saleor.standin.payloads import Happening, webhook_body
from tests.saleor.standin.transactions import (
    SAME_REFERENCE_OTHER_AMOUNT,
    add_event,
    existing_event,
    failure_event,
    quantized,
    settle,
    update_grant_status,
)
from tests.saleor.standin.world import TransactionEvent, Webhook, World

MAX_RETRIES = 5
RETRY_BACKOFF_SECONDS = 10
TIMEOUT_SECONDS = (2, 18)


class NoAnswer(Exception):
    """Nobody answered: no connection, or too late."""


@dataclass(frozen=True)
class Answer:
    """What an app answered."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class Transport(Protocol):
    """How the stand-in reaches apps: over HTTP, or through Django's test client."""

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """Read; raises NoAnswer."""
        ...

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send; redirects are not followed; raises NoAnswer."""
        ...


class HttpTransport:
    """Real requests, with Saleor's time limits."""

    def get(self, url: str, headers: dict[str, str]) -> Answer:
        """Read over HTTP."""
        return self._call("GET", url, None, headers)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """Send over HTTP."""
        return self._call("POST", url, body, headers)

    def _call(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        try:
            answer = requests.request(method, url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise NoAnswer(str(error)) from error
        return Answer(answer.status_code, answer.content, dict(answer.headers))


@dataclass(eq=False, kw_only=True)
class Delivery:
    """One webhook on its way, or arrived, or given up."""

    webhook: Webhook
    event: str
    body: bytes
    due_at: datetime
    request: TransactionEvent | None = None  # for synchronous ones: what is asked for
    retries: int = 0
    answers: list[Answer | None] = field(default_factory=list)  # None: nobody answered
    state: str = "PENDING"  # SUCCESS, FAILED
    crash: str = ""


class Post:
    """The queue of webhooks. Nothing leaves before `run`, as with Saleor's own workers."""

    def __init__(
        self,
        world: World,
        *,
        transport: Transport,
        sign: Callable[[bytes], str],
        api_url: str,
        domain: str,
        sync_fault: Callable[[], str | None],
        inside: Callable[[Delivery], Answer],
        on_order_events: Callable[[TransactionEvent, list[str]], None],
    ) -> None:
        self.world = world
        self.transport = transport
        self.sign = sign
        self.api_url = api_url
        self.domain = domain
        self.sync_fault = sync_fault
        self.inside = inside
        self.on_order_events = on_order_events
        self.queue: list[Delivery] = []
        self.sent: list[Delivery] = []
        self.arrived = threading.Condition()
        # Runs between an app's answer and the moment Saleor has written it down: an app that reports in between is too early.
        self.before_taking_in: Callable[[], None] = lambda: None

    def enqueue(self, delivery: Delivery) -> None:
        """Put a webhook into the queue."""
        with self.arrived:
            self.queue.append(delivery)
            self.sent.append(delivery)
            self.arrived.notify_all()

    def announce(self, happening: Happening, *, version: str, api_version: str) -> None:
        """Tell every app that asked for the event."""
        for app in list(self.world.apps.values()):
            about_an_app = happening.name.startswith("APP_")  # told to that app alone, even when it is removed or switched off
            if app is not happening.subject if about_an_app else not app.is_active:
                continue
            for webhook in app.webhooks:
                if happening.name not in webhook.events or not webhook.is_active:
                    continue
                body = webhook_body(self.world, version=version, api_version=api_version, app=app, query=webhook.query, happening=happening)
                if body is not None:
                    self.enqueue(Delivery(webhook=webhook, event=happening.name, body=body, due_at=self.world.clock.now()))

    def headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        """Write Saleor's headers, each with its old twin."""
        signature, event = self.sign(body), delivery.event.lower()
        return {
            "Content-Type": "application/json",
            "X-Saleor-Event": event,
            "X-Saleor-Domain": self.domain,
            "X-Saleor-Signature": signature,
            "Saleor-Event": event,
            "Saleor-Domain": self.domain,
            "Saleor-Signature": signature,
            "Saleor-Api-Url": self.api_url,
            **delivery.webhook.custom_headers,
        }

    def run(self, choose: Callable[[list[Delivery]], Delivery] | None = None) -> int:
        """Send what is due, and what becomes due by that, until nothing is.

        Args:
            choose: picks the next of those that are due; the oldest when omitted. Saleor promises no order.

        Returns:
            How many requests were sent.
        """
        count = 0
        while True:
            with self.arrived:
                due = [delivery for delivery in self.queue if delivery.due_at <= self.world.clock.now()]
                if not due:
                    return count
                delivery = choose(due) if choose else min(due, key=lambda each: each.due_at)
                self.queue.remove(delivery)
            self._send(delivery)
            count += 1

    def _send(self, delivery: Delivery) -> None:
        # Saleor has dropped the payload by the time it retries a synchronous webhook, and signs the empty body as well.
        body = b"" if delivery.request is not None and delivery.retries else delivery.body
        answer = self._answer(delivery, body)
        delivery.answers.append(answer)
        if delivery.request is not None:
            self._take_in(delivery, answer)
        elif answer is not None and 200 <= answer.status < 300:
            delivery.state = "SUCCESS"
        elif not self._retry(delivery, answer):
            delivery.state = "FAILED"

    def _answer(self, delivery: Delivery, body: bytes) -> Answer | None:
        fault = self.sync_fault() if delivery.request is not None else None
        if fault == "502_before":
            return Answer(502, b"Bad gateway")
        try:
            if delivery.webhook.target_url.startswith("inside:"):
                answer = self.inside(delivery)
            else:
                answer = self.transport.post(delivery.webhook.target_url, body, self.headers(delivery, body))
        except NoAnswer:
            return None
        if fault == "timeout":
            return None
        return {"502": Answer(502, b"Bad gateway"), "garbage": Answer(200, b"<html>")}.get(fault or "", answer)

    def _retry(self, delivery: Delivery, answer: Answer | None) -> bool:
        if answer is not None and 300 <= answer.status < 500 or delivery.retries >= MAX_RETRIES:
            return False
        delivery.due_at = self.world.clock.now() + timedelta(seconds=RETRY_BACKOFF_SECONDS * 2**delivery.retries)
        delivery.retries += 1
        with self.arrived:
            self.queue.append(delivery)
            self.arrived.notify_all()
        return True

    def _take_in(self, delivery: Delivery, answer: Answer | None) -> None:
        """Judge a payment app's answer. Only a status from 500 on is looked at; a 400 that says it paid is believed."""
        if answer is not None and answer.status >= 500 and self._retry(delivery, answer):
            return
        data: Any = None
        if answer is not None and answer.status < 500:
            try:
                data = json.loads(answer.body, parse_float=Decimal)
            except ValueError:
                data = None
        delivery.state = "SUCCESS" if answer is not None and answer.status < 300 else "FAILED"
        self.before_taking_in()
        assert delivery.request is not None
        with self.world.lock:
            try:
                events = take_answer(self.world, delivery.request, data, delivery.webhook.app.identifier)
            except AttributeError as error:  # Saleor's worker dies of an answer that is no object; the request stays pending
                delivery.crash = str(error)
                return
        self.on_order_events(delivery.request, events)


def take_answer(world: World, request: TransactionEvent, data: Any, app_identifier: str) -> list[str]:
    """Write down what a payment app answered to a request.

    Returns:
        The names of the webhooks that follow.
    """
    response, problem = (None, "Failed to delivery request.") if data is None else _parse(data, request)
    if response is None:
        failure_event(world, request, problem)
        update_grant_status(request.granted_refund)
        return []
    if response["pspReference"] is not None:
        request.psp_reference = response["pspReference"]
        request.include_in_calculations = True
    if response["result"]:
        known = existing_event(request.transaction, response["pspReference"] or "", response["result"])
        if known is not None and known.amount_value != response["amount"]:
            failure_event(world, request, SAME_REFERENCE_OTHER_AMOUNT)
            update_grant_status(request.granted_refund)
            return []
        if known is None:
            add_event(
                world,
                request.transaction,
                response["result"],
                response["amount"],
                created_at=response["time"],
                psp_reference=response["pspReference"] or "",
                message=response["message"],
                external_url=response["externalUrl"],
                include_in_calculations=True,
                app_identifier=app_identifier,
                granted_refund=request.granted_refund,
                created_by=request.transaction.app,
            )
    if response["actions"] is not None:
        request.transaction.actions = sorted(set(response["actions"]))
    events = settle(world, request.transaction)
    update_grant_status(request.granted_refund)
    return events


def _parse(data: Any, request: TransactionEvent) -> tuple[dict[str, Any] | None, str]:
    """Read an answer as Saleor's response schema does."""
    action = request.type.removesuffix("_REQUEST")
    result = data.get("result")  # an answer that is no object ends here, as it does at Saleor's
    reference = data.get("pspReference")
    if result not in (None, f"{action}_SUCCESS", f"{action}_FAILURE"):
        return None, f"Missing or invalid value for `result`: {result}. Possible values: {action}_SUCCESS, {action}_FAILURE."
    if not isinstance(reference, str) and not (reference is None and result == f"{action}_FAILURE"):
        return None, f"Missing value for field: pspReference. Input: {data}."
    actions = data.get("actions")
    if actions is not None and not isinstance(actions, list):
        return None, "Incorrect value for field: actions in response of transaction action webhook."
    known_actions = None if actions is None else [each for each in actions if each in ("CHARGE", "REFUND", "CANCEL")]
    try:
        amount = Decimal(str(data["amount"])) if data.get("amount") else request.amount_value
        moment = datetime.fromisoformat(data["time"]) if data.get("time") else None
    except (InvalidOperation, ValueError, TypeError) as error:
        return None, f"Incorrect value in response of transaction action webhook: {error}"
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return {
        "pspReference": reference,
        "result": result,
        "amount": quantized(amount, request.transaction.currency),
        "time": moment,
        "message": str(data.get("message") or "")[:512],
        "externalUrl": str(data.get("externalUrl") or ""),
        "actions": known_actions,
    }, ""
