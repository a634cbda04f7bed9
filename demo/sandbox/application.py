"""The sandbox as a function from request to answer: authentication, faults, idempotency, endpoints."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from demo.sandbox.admin import Admin
from demo.sandbox.api.call import Call
from demo.sandbox.api.routes import Route, resolve
from demo.sandbox.bank import API_VERSION, Bank, Cause
from demo.sandbox.clock import Clock
from demo.sandbox.counters import Counters
from demo.sandbox.errors import ApiError, CutConnection, DropConnection
from demo.sandbox.faults import Fault, Faults
from demo.sandbox.idempotency import Keys
from demo.sandbox.limits import Limits
from demo.sandbox.listings import Listings
from demo.sandbox.messages import Request, Response
from demo.sandbox.objects import new_id
from demo.sandbox.params import Form, Params, parse_form
from demo.sandbox.sales import Sales
from demo.sandbox.store import Store
from demo.sandbox.webhooks import Endpoint, Webhooks

OWN_ACCOUNT = "acct_sandbox"

Result = TypeVar("Result")


class Application:
    """One sandbox.

    Args:
        api_key: the only key it accepts.
        folder: where its state lives; None keeps it in memory.
        endpoint: where webhooks go.
        settle_after_ms: see `Bank`.
    """

    def __init__(self, *, api_key: str, folder: Path | None, endpoint: Endpoint, settle_after_ms: int | None) -> None:
        self._api_key = api_key
        self._clock = Clock()
        self._store = Store(folder)
        self._webhooks = Webhooks(self._store, self._clock, endpoint)
        self._faults = Faults()
        self._bank = Bank(self._store, self._clock, self._webhooks, self._faults, settle_after_ms)
        self._keys = Keys(self._store, self._clock)
        self._limits = Limits()
        self._listings = Listings(self._store)
        self._counters = Counters(self._store)
        self._sales = Sales(self._store, self._clock, self._bank)
        self._admin = Admin(
            account=OWN_ACCOUNT,
            store=self._store,
            clock=self._clock,
            bank=self._bank,
            webhooks=self._webhooks,
            faults=self._faults,
            keys=self._keys,
            limits=self._limits,
            listings=self._listings,
            counters=self._counters,
            sales=self._sales,
        )

    def start(self) -> None:
        """Start settling refunds and sending webhooks, also those left over from before a restart."""
        self._bank.worker.start()
        self._webhooks.worker.start()

    def stop(self) -> None:
        """End the threads and close the file."""
        self._bank.worker.stop()
        self._webhooks.stop()
        self._store.close()

    def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            DropConnection, CutConnection: a fault wants the connection to break.
        """
        if not request.path.startswith("/v1/"):
            return self._admin.handle(request)
        route = resolve(request.method, request.path)
        try:
            response = self._respond(request, route)
        except (DropConnection, CutConnection) as broken:
            self._counters.count(route.name, "dropped" if isinstance(broken, DropConnection) else "cut")
            raise
        self._counters.count(route.name, str(response.status))
        if "Idempotent-Replayed" in response.headers:
            self._counters.count(route.name, "replayed")
        return response

    def _respond(self, request: Request, route: Route) -> Response:
        request_id = new_id("req")
        fault = self._faults.take(request)
        try:
            fault.arrived()
            response = self._answer(request, route, request_id, fault)
        except (DropConnection, CutConnection):
            raise
        except ApiError as error:
            response = error.response()
        except Exception:
            traceback.print_exc()
            response = ApiError(500, "The sandbox has a defect; see its log.", type="api_error").response()
        response.headers |= {"Request-Id": request_id, "Stripe-Version": request.headers.get("stripe-version", API_VERSION)}
        fault.answering(response)
        return response

    def _answer(self, request: Request, route: Route, request_id: str, fault: Fault) -> Response:
        account = self._authenticate(request)
        endpoint = route.endpoint
        if endpoint is None:
            raise ApiError(404, f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs.")
        self._limits.take(account, route.name)
        form = _form(request)
        key = request.headers.get("idempotency-key") if request.method == "POST" else None
        cause = Cause(account, request_id, key)

        def execute() -> Response:
            call = Call(cause, Params(form), self._store, self._bank, self._clock, self._listings, self._sales, request.path)
            return fault.executed(_or_stored_error(lambda: Response.json(endpoint(call, *route.ids))))

        if key is None:
            fault.executing()
            with self._store.transaction():
                return execute()
        return self._once(cause, key, request.path, form, fault, execute)

    def _once(self, cause: Cause, key: str, path: str, form: Form, fault: Fault, execute: Callable[[], Response]) -> Response:
        """Execute the first request with a key, and replay its answer to the others."""
        replayed = self._keys.replay(cause.account, key, path, form)
        if replayed is not None:
            return replayed
        with self._keys.claim(cause.account, key):
            replayed = self._keys.replay(cause.account, key, path, form)  # another may have finished in between
            if replayed is not None:
                return replayed
            refused = _or_stored_error(fault.executing)  # outside the transaction: it may take its time
            with self._store.transaction():
                response = refused or execute()
                self._keys.save(cause.account, key, path, form, cause.request_id or "", response)
        return response

    def _authenticate(self, request: Request) -> str:
        """Return the account that calls: the key's own, or the connected one that a header names."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                value = ""
        if scheme.lower() not in ("basic", "bearer") or not value:
            raise ApiError(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth "
                "(e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        if not hmac.compare_digest(value.encode(), self._api_key.encode()):
            shown = f"{value[:8]}{'*' * max(0, len(value) - 12)}{value[-4:]}" if len(value) > 16 else "*" * len(value)
            raise ApiError(401, f"Invalid API Key provided: {shown}")
        account = request.headers.get("stripe-account", OWN_ACCOUNT)
        if not re.fullmatch(r"acct_[A-Za-z0-9]{1,64}", account):
            raise ApiError(403, f"The provided key does not have access to account '{account}'.", code="account_invalid")
        return account


def _form(request: Request) -> Form:
    if request.method in ("GET", "DELETE") and not request.body:
        return parse_form(request.query)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.body and content_type != "application/x-www-form-urlencoded":
        message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded)."
        raise ApiError(400, message)
    try:
        return parse_form(request.body.decode())
    except ValueError:
        raise ApiError(400, "The body must be a form in UTF-8 with at most 1000 fields.") from None


def _or_stored_error(run: Callable[[], Result]) -> Result | Response:
    """Run; an error that belongs to the idempotency key becomes the answer, others go on."""
    try:
        return run()
    except ApiError as error:
        if not error.stored:
            raise
        return error.response()
