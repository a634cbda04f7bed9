"""The stand-in as tests hold it: start it, fill its world, install apps, press buttons in its dashboard, let things fail."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.saleor.standin import money_mutations as money
from tests.saleor.standin.api import answer_operation
from tests.saleor.standin.clock import Clock
from tests.saleor.standin.context import Context
from tests.saleor.standin.filling import Filling
from tests.saleor.standin.install import InstallRefused, check_manifest, hand_over_token, make_app, read_manifest
from tests.saleor.standin.other_app import OtherApp
from tests.saleor.standin.payloads import Happening, refund_happening, webhook_body
from tests.saleor.standin.permissions import Caller
from tests.saleor.standin.schema import VERSIONS
from tests.saleor.standin.server import ApiServer
from tests.saleor.standin.signing import SigningKey, borrow_key, customer_claims, dashboard_claims, give_back
from tests.saleor.standin.transactions import failure_event, owner_of, update_grant_status, webhook_for
from tests.saleor.standin.traps import Fault, Traps
from tests.saleor.standin.webhooks import Delivery, HttpTransport, Post, Transport
from tests.saleor.standin.world import (
    App,
    Order,
    OrderGrantedRefund,
    Thing,
    TransactionEvent,
    TransactionItem,
    User,
    World,
)

__all__ = ["Fault", "InstallRefused", "Standin"]


class Standin(Filling):
    """One Saleor of one version at `api_url`. Its API answers at once; webhooks wait in a queue until `work()` sends them."""

    def __init__(self, version: str = "3.23", *, transport: Transport | None = None, port: int = 0, api_version: str = "") -> None:
        self.version = version
        self.api_version = api_version or VERSIONS[version]
        self.clock = Clock()
        self.world = World(self.clock)
        self._first_key = borrow_key()
        self.keys = [self._first_key]  # the last one signs; all are published
        self.traps = Traps()
        self.maximum_cost = 50_000
        self.calls: list[str] = []  # names of the operations that came in
        self.server = ApiServer(self, port)
        self.api_url = f"http://127.0.0.1:{self.server.port}/graphql/"
        self.domain = urlsplit(self.api_url).netloc
        self.other = OtherApp.installed(self.world)
        self.post = Post(
            self.world,
            transport=transport or HttpTransport(),
            sign=lambda body: self.keys[-1].sign_webhook(body),
            api_url=self.api_url,
            domain=self.domain,
            sync_fault=self.traps.take_sync,
            inside=self.other.answer,
            on_order_events=lambda request, events: self._announce([(name, request.transaction.order) for name in events]),
        )
        self._worker: threading.Thread | None = None
        self._stopping = False
        self.add_channel("default-channel", "EUR")

    # ---- running

    def start(self) -> Standin:
        """Serve the API."""
        self.server.start()
        return self

    def stop(self) -> None:
        """Stop serving, and let go every call that hangs."""
        self.traps.clear()
        self._stopping = True
        with self.post.arrived:
            self.post.arrived.notify_all()
        if self._worker is not None:
            self._worker.join()
        self.server.stop()
        give_back(self._first_key)

    def work(self, choose: Callable[[list[Delivery]], Delivery] | None = None) -> int:
        """Send the webhooks that are due, in the calling thread, and what follows from them; returns how many were sent."""
        return self.post.run(choose)

    def work_in_background(self) -> None:
        """Send webhooks as they become due, from a thread, as a running Saleor does."""

        def loop() -> None:
            while not self._stopping:
                self.post.run()
                with self.post.arrived:
                    self.post.arrived.wait(timeout=0.1)

        self._worker = threading.Thread(target=loop, daemon=True)
        self._worker.start()

    # ---- orders

    def pay(
        self, order: Order, *, app: App | None = None, psp_reference: str = "", amount: Decimal | str | None = None, name: str = "Card"
    ) -> TransactionItem:
        """Pay an order through an app, the built-in one when omitted. The app owns the transaction."""
        owner = app or self.other.app
        value = Decimal(amount) if amount is not None else order.total_gross
        with self.world.lock:
            context = self._context(Caller(app=owner))
            made = money.create_transaction(None, context, id=order.id, transaction={"name": name, "availableActions": ["REFUND"]})
            item: TransactionItem = made["transaction"]
            reference = psp_reference or f"pay_{uuid.uuid4().hex[:12]}"
            money.report_event(None, context, psp_reference=reference, type="CHARGE_SUCCESS", amount=value, id=item.id)
        self._announce(context.happened)
        return item

    def cancel(self, order: Order) -> None:
        """Cancel an order in the dashboard. Its money stays where it is."""
        with self.world.lock:
            order.status = "CANCELED"
            order.updated_at = self.clock.now()
        self._announce([("ORDER_CANCELLED", order), ("ORDER_UPDATED", order)])

    def tell(self, event: str, subject: Any) -> None:
        """Let an event happen once more, or out of turn."""
        self._announce([(event, subject)])

    # ---- apps

    def install(self, manifest_url: str) -> App:
        """Install an app as the dashboard does: look at the manifest, look again, hand the token over.

        Raises:
            InstallRefused: the manifest or the app's answer is not accepted; the app is gone again.
        """
        for _ in range(2):
            manifest = read_manifest(self.post.transport, manifest_url, self.version)
            check_manifest(manifest, version=self.version, api_version=self.api_version, world=self.world)
        app = make_app(manifest, manifest_url, self.world)
        self.world.apps[app.id] = app
        headers = {"X-Saleor-Domain": self.domain, "Saleor-Domain": self.domain, "Saleor-Api-Url": self.api_url}
        try:
            if target := manifest.get("tokenTargetUrl"):
                headers["Saleor-Schema-Version"] = self.version
                hand_over_token(self.post.transport, target, next(iter(app.tokens)), headers)
        except InstallRefused:
            del self.world.apps[app.id]
            raise
        self._announce([("APP_INSTALLED", app)])
        return app

    def add_app(self, *, permissions: list[str], identifier: str = "our.app", token: str = "") -> App:
        """Add an app without a manifest; `app.tokens` holds what it may call the API with."""
        app = App(id=self.world.next_id("App"), identifier=identifier, name=identifier, permissions=permissions)
        app.tokens.add(token or uuid.uuid4().hex)
        self.world.apps[app.id] = app
        return app

    def uninstall(self, app: App) -> None:
        """Remove an app. Its token is nobody's from now on; its transactions stay."""
        self._announce([("APP_DELETED", app)])
        with self.world.lock:
            app.is_active = False
            del self.world.apps[app.id]

    def rotate_keys(self, *, keep_old: bool = False) -> None:
        """Sign with a new key; the old one is published on only when kept."""
        self.keys = [*(self.keys if keep_old else []), SigningKey()]

    # ---- the storefront

    def customer_token(
        self, user: User, *, lifetime_seconds: int = 300, issuer: str = "", key: SigningKey | None = None, **claims: Any
    ) -> str:
        """Make the access token that a person gets who signs in with `tokenCreate`, at the storefront or at the dashboard."""
        values = customer_claims(
            issuer=issuer or self.api_url,
            user_id=user.id,
            email=user.email,
            is_staff=user.is_staff,
            now=self.clock.now(),
            lifetime_seconds=lifetime_seconds,
        )
        return (key or self.keys[-1]).token({**values, **claims})

    # ---- the dashboard

    def dashboard_token(
        self,
        user: User,
        app: App,
        *,
        lifetime_seconds: int = 300,
        issuer: str = "",
        key: SigningKey | None = None,
        extension: bool = True,
        **claims: Any,
    ) -> str:
        """Make the token that the dashboard hands to a page of the app on behalf of a member of the staff."""
        values = dashboard_claims(
            issuer=issuer or self.api_url,
            app_id=app.id,
            user_id=user.id,
            email=user.email,
            app_permissions=app.permissions,
            user_permissions=user.permissions,
            audience=app.audience,
            extension_id=app.extensions[0].id if extension and app.extensions else "",
            now=self.clock.now(),
            lifetime_seconds=lifetime_seconds,
        )
        return (key or self.keys[-1]).token({**values, **claims})

    def widget_form(self, user: User, app: App, **parameters: str) -> dict[str, str]:
        """Fill the form that the dashboard posts into a widget's frame; `orderId` or `customerId` come as parameters."""
        return {"saleorApiUrl": self.api_url, "accessToken": self.dashboard_token(user, app), "appId": app.id, **parameters}

    def dashboard_post(self, widget: str, user: User, app: App, **parameters: str) -> Any:
        """Post a widget's form to the extension of that mount (ORDER_DETAILS_WIDGETS …), through the stand-in's transport."""
        extension = next(each for each in app.extensions if each.mount == widget)
        url = app.app_url.rstrip("/") + extension.url if extension.url.startswith("/") else extension.url
        body = urlencode(self.widget_form(user, app, **parameters)).encode()
        return self.post.transport.post(url, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def grant(
        self,
        order: Order,
        transaction: TransactionItem,
        amount: Decimal | str,
        *,
        user: User | None = None,
        lines: dict[str, int] | None = None,
        reason: str = "",
    ) -> OrderGrantedRefund:
        """Grant a refund in the dashboard; raises Refusal."""
        values = {"amount": Decimal(amount), "transactionId": transaction.id, "reason": reason}
        values["lines"] = [{"id": key, "quantity": quantity} for key, quantity in (lines or {}).items()]
        made: OrderGrantedRefund = self._act(money.grant_refund, user, id=order.id, input=values)["grantedRefund"]
        return made

    def send_refund(self, grant: OrderGrantedRefund, *, user: User | None = None) -> None:
        """Press "send refund" on a granted refund; raises Refusal. The owner is asked by `work()`."""
        self._act(money.request_granted, user, granted_refund_id=grant.id)

    def send_refunds_together(self, grants: list[OrderGrantedRefund], *, user: User | None = None) -> None:
        """Press "send refund" on several grants, or twice on one, in the same moment.

        Every press is checked against what was there before all of them, and every payload is made when all requests exist, so each
        shows the newest request first, whichever grant it is for.
        """
        before = {id(grant): grant.status for grant in grants}
        with self.world.lock:
            context = self._context(Caller(user=user))
            for grant in grants:
                grant.status = before[id(grant)]
                money.request_granted(None, context, granted_refund_id=grant.id)
            self._ask(context.requests)
        self._announce(context.happened)

    def refund_at_once(
        self, transaction: TransactionItem, amount: Decimal | str | None = None, *, user: User | None = None
    ) -> TransactionEvent:
        """Press "refund" on a transaction, without a grant; the amount is cut to what is charged. Returns the request."""
        value = Decimal(amount) if amount is not None else None
        self._act(money.request_action, user, action_type="REFUND", amount=value, id=transaction.id)
        return next(event for event in reversed(transaction.events) if event.type == "REFUND_REQUEST")

    def double_click(self, transaction: TransactionItem, amount: Decimal | str, *, user: User | None = None) -> None:
        """Press "refund" on a transaction twice in the same moment, without a grant: both payloads show the same request first."""
        with self.world.lock:
            context = self._context(Caller(user=user))
            for _ in range(2):
                money.request_action(None, context, action_type="REFUND", amount=Decimal(amount), id=transaction.id)
            self._ask(context.requests)
        self._announce(context.happened)

    def _act(self, run: Callable[..., dict[str, Any]], user: User | None, **arguments: Any) -> dict[str, Any]:
        with self.world.lock:
            context = self._context(Caller(user=user))
            try:
                result = run(None, context, **arguments)
            finally:
                self._ask(context.requests)
        self._announce(context.happened)
        return result

    # ---- the other payment app

    def settle_other(self, *, success: bool = True) -> int:
        """Let the other payment app tell how the refunds ended that it took asynchronously; returns how many."""
        todo, self.other.open = self.other.open, []
        for request, reference in todo:
            amount = request.amount_value
            if success:
                self.other.pay_out(request.transaction.id, amount, reference)
            self.report_as(self.other.app, request.transaction, "REFUND_SUCCESS" if success else "REFUND_FAILURE", reference, amount)
        return len(todo)

    def report_as(self, app: App, transaction: TransactionItem, type: str, psp_reference: str, amount: Decimal | None, **more: Any) -> None:
        """Report an event in an app's name; raises Refusal."""
        with self.world.lock:
            context = self._context(Caller(app=app))
            money.report_event(None, context, psp_reference=psp_reference, type=type, amount=amount, id=transaction.id, **more)
        self._announce(context.happened)

    # ---- inside

    def handle(self, payload: dict[str, Any], authorization: str) -> tuple[int, dict[str, Any]]:
        """Answer one request of the API."""
        token = authorization.removeprefix("Bearer ").strip()
        caller = Caller(app=self.world.app_of_token(token))
        with self.world.lock:
            context = self._context(caller)
            status, body = answer_operation(payload, context=context, maximum_cost=self.maximum_cost, caller=caller)
            self._ask(context.requests)
        self._announce(context.happened)
        return status, body

    def jwks(self) -> dict[str, Any]:
        """The published keys."""
        return {"keys": [key.jwk for key in self.keys]}

    def _context(self, caller: Caller) -> Context:
        return Context(world=self.world, caller=caller, version=self.version, api_version=self.api_version, host=self.domain)

    def _announce(self, happened: list[tuple[str, Thing]]) -> None:
        for name, subject in happened:
            happening = Happening(name=name, subject=subject, extra={})
            with self.world.lock:
                self.post.announce(happening, version=self.version, api_version=self.api_version)

    def _ask(self, requests: list[TransactionEvent]) -> None:
        for request in requests:
            owner = owner_of(self.world, request.transaction)
            happening = refund_happening(request)
            webhook = webhook_for(owner, happening.name) if owner else None
            assert owner is not None and webhook is not None
            body = webhook_body(
                self.world, version=self.version, api_version=self.api_version, app=owner, query=webhook.query, happening=happening
            )
            if body is None:
                failure_event(self.world, request, "Cannot generate a payload for the action.")
                update_grant_status(request.granted_refund)
                continue
            update_grant_status(request.granted_refund)
            self.post.enqueue(Delivery(webhook=webhook, event=happening.name, body=body, due_at=self.clock.now(), request=request))
