"""Stripe as a gateway, on Stripe's own SDK.

The SDK's retries are off: an attempt is one call, and who may repeat it is decided by the refund's state, not by the HTTP
layer. What an answer or an error proves is decided in `stripe_reading`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import stripe
from django.utils.translation import gettext as _

from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.answers import Operation, canceled_id, payment_of_canceled
from refund_plugin.gateways.base import (
    AnswerKind,
    Capabilities,
    Gateway,
    GatewayAnswer,
    PaymentState,
    RefundCommand,
    RefundPage,
    WebhookFact,
)
from refund_plugin.gateways.burning import burn_key
from refund_plugin.gateways.facts import DisputePage
from refund_plugin.gateways.sales import CreditNote, Sale, SaleKind, SalePage, SubscriptionState
from refund_plugin.gateways.stripe_amounts import from_stripe_amount, smallest_step, to_stripe_amount
from refund_plugin.gateways.stripe_events import kept_of, listed_dispute, read_event, verified_event
from refund_plugin.gateways.stripe_reading import (
    CHARGE_PREFIXES,
    answer_to_refund,
    ask,
    is_replayed,
    listed_refund,
    look,
    most_captured,
    our_id,
    payment_param,
    payment_state,
    unreadable,
)
from refund_plugin.gateways.stripe_sales import StripeSales
from refund_plugin.money import Money

# Pinned, so that an account's default or a new SDK cannot change what an old refund's replay means.
STRIPE_VERSION = "2026-10-28.endive"
DEFAULT_API_BASE = "https://api.stripe.com"

_NOT_CANCELED = "not_canceled"


class StripeGateway(Gateway):
    """One Stripe account.

    Args:
        api_key: a secret key, or a restricted one (`rk_…`) with the permissions that docs/stripe.md lists.
        api_base: where the API lives; the sandbox's address in the demo.
        webhook_secret: of the endpoint (`whsec_…`).
        account: a connected account (`acct_…`) to act for; empty for the key's own.
        livemode: whether real money moves; must agree with the key.
        connect_timeout_seconds, read_timeout_seconds: for one call.
    Raises:
        GatewayMisconfigured: a missing key, a key of the other mode, or an account that is no `acct_…`.
    """

    kind = "stripe"
    capabilities = Capabilities(cancel_before_capture=True, events=True)
    # sessions first: a session counts before the invoice that it made
    sale_kinds = ("checkout_session", "invoice")

    def __init__(
        self,
        api_key: str,
        api_base: str = DEFAULT_API_BASE,
        webhook_secret: str = "",
        account: str = "",
        livemode: bool = False,
        *,
        connect_timeout_seconds: float = 3,
        read_timeout_seconds: float = 10,
    ) -> None:
        if not api_key:
            raise GatewayMisconfigured(_("Stripe needs an api_key: copy the secret key from the Stripe dashboard."))
        if livemode != ("_live_" in api_key):
            raise GatewayMisconfigured(
                _("The Stripe key is of the other mode: a live account needs a live key, a test account a test one.")
            )
        if account and not account.startswith("acct_"):
            raise GatewayMisconfigured(_("A connected Stripe account is named by its id, which starts with acct_."))
        self.livemode = livemode
        self._webhook_secret = webhook_secret
        client = stripe.StripeClient(
            api_key,
            stripe_account=account or None,
            stripe_version=STRIPE_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=(connect_timeout_seconds, read_timeout_seconds)),
        )
        self._refunds = client.v1.refunds
        self._intents = client.v1.payment_intents
        self._charges = client.v1.charges
        self._disputes = client.v1.disputes
        self._sales = StripeSales(client, lambda payment: self._intent_or_charge(payment, with_money=True))

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """Send a refund; see `Gateway.refund`. The command's metadata carries the installation, ours adds the refund's id."""
        return self._cancel_payment(command) if command.operation == "cancel_payment" else self._send(command)

    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """Ask for a refund's present state; a refusal to answer proves nothing about the money, so it is never a "no"."""
        if payment := payment_of_canceled(gateway_refund_id):
            return look(lambda: self._intents.retrieve(payment), _answer_to_cancellation)
        return look(lambda: self._refunds.retrieve(gateway_refund_id), _answer)

    def find(self, *, gateway_payment_id: str, refund_id: UUID, operation: Operation = "refund") -> GatewayAnswer | None:
        """Page through all refunds of the payment and match our id; see `Gateway.find`."""
        if operation == "cancel_payment":
            answer = self.retrieve(canceled_id(gateway_payment_id))
            return None if answer.code == _NOT_CANCELED else answer
        return look(lambda: self._listed(gateway_payment_id, refund_id), lambda refund: answer_to_refund(refund) if refund else None)

    def burn(self, command: RefundCommand, captured: Money) -> GatewayAnswer:
        """Spend the key on more than was ever captured; see `Gateway.burn`.

        Source: docs.stripe.com/api/idempotent_requests: a key keeps its first answer once execution has begun, whether it
        succeeded or failed, and refuses other parameters. Only a replay proves that the refusal was kept.
        """
        told = look(lambda: self._intent_or_charge(command.gateway_payment_id), most_captured)
        if isinstance(told, GatewayAnswer):
            return told
        return burn_key(command, captured=captured, told=told, step=smallest_step(command.amount.currency), send=self._send)

    def list_refunds(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = "", limit: int = 100
    ) -> RefundPage | GatewayAnswer:
        """Read one page of refunds; see `Gateway.list_refunds`."""
        params = _listing(limit, created_after, cursor, gateway_payment_id)
        return look(lambda: self._refunds.list(params), _page)  # type: ignore[arg-type]

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = ""
    ) -> DisputePage | GatewayAnswer:
        """Read one page of disputes; see `Gateway.list_disputes`."""
        params = _listing(100, created_after, cursor, gateway_payment_id)
        return look(lambda: self._disputes.list(params), _dispute_page)  # type: ignore[arg-type]

    def payment_state(self, gateway_payment_id: str) -> PaymentState | GatewayAnswer:
        """Ask for a payment; see `Gateway.payment_state`."""
        return look(lambda: self._intent_or_charge(gateway_payment_id, with_money=True), payment_state)

    def ping(self) -> GatewayAnswer:
        """List one refund: the cheapest read that also proves the permission this package needs."""
        return look(lambda: self._refunds.list({"limit": 1}), lambda page: GatewayAnswer(kind=AnswerKind.SUCCEEDED))

    def step(self, currency: str) -> int:
        """See `Gateway.step`."""
        return smallest_step(currency)

    def verify_webhook(self, *, body: bytes, signature: str, now: datetime) -> Mapping[str, Any]:
        """Return a webhook's event once it is proven to be Stripe's; see `Gateway.verify_webhook`."""
        return verified_event(body=body, signature=signature, secret=self._webhook_secret, now=now)

    def read_event(self, event: Mapping[str, Any]) -> WebhookFact | None:
        """See `Gateway.read_event`."""
        return read_event(event)

    def kept_of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """See `Gateway.kept_of`."""
        return kept_of(event)

    def read_sale(self, source_id: str, kind: SaleKind) -> Sale | GatewayAnswer:
        """See `Gateway.read_sale`."""
        return self._sales.read(source_id, kind)

    def list_sales(self, *, kind: SaleKind, created_after: datetime | None = None, cursor: str = "") -> SalePage | GatewayAnswer:
        """See `Gateway.list_sales`."""
        return self._sales.page(kind=kind, created_after=created_after, cursor=cursor)

    def subscription_state(self, subscription_id: str) -> SubscriptionState | GatewayAnswer:
        """See `Gateway.subscription_state`."""
        return self._sales.subscription(subscription_id)

    def end_subscription(self, subscription_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """See `Gateway.end_subscription`."""
        return self._sales.end_subscription(subscription_id, idempotency_key=idempotency_key)

    def record_credit_note(
        self, *, invoice_id: str, gateway_refund_id: str, amount: Money, idempotency_key: str
    ) -> CreditNote | GatewayAnswer:
        """See `Gateway.record_credit_note`."""
        return self._sales.record_credit_note(
            invoice_id=invoice_id, gateway_refund_id=gateway_refund_id, amount=amount, idempotency_key=idempotency_key
        )

    def void_credit_note(self, credit_note_id: str, *, idempotency_key: str) -> GatewayAnswer:
        """See `Gateway.void_credit_note`."""
        return self._sales.void_credit_note(credit_note_id, idempotency_key=idempotency_key)

    def make_test_payment(self, amount: Money, *, key: str) -> str | GatewayAnswer:
        """Pay with Stripe's test card; see `Gateway.make_test_payment`."""
        if self.livemode:
            raise ValueError("a test payment cannot be made with a live account")
        params: dict[str, Any] = {
            "amount": to_stripe_amount(amount),
            "currency": amount.currency.lower(),
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
            "confirm": True,
        }
        return ask(
            lambda: self._intents.create(params, options={"idempotency_key": key}),  # type: ignore[arg-type]
            lambda intent: intent.id if intent.status == "succeeded" else unreadable(f"the payment is {intent.status}"),
        )

    def _send(self, command: RefundCommand) -> GatewayAnswer:
        params: dict[str, Any] = {
            **payment_param(command.gateway_payment_id),
            "amount": to_stripe_amount(command.amount),
            "metadata": {**command.metadata, "refund_id": str(command.refund_id)},
        }
        if command.reason:
            params["reason"] = command.reason
        return ask(lambda: self._refunds.create(params, options={"idempotency_key": command.idempotency_key}), _answer)  # type: ignore[arg-type]

    def _cancel_payment(self, command: RefundCommand) -> GatewayAnswer:
        params: dict[str, Any] = {"cancellation_reason": command.reason} if command.reason else {}
        payment, options = command.gateway_payment_id, stripe.RequestOptions(idempotency_key=command.idempotency_key)
        answer = ask(lambda: self._intents.cancel(payment, params, options=options), _answer_to_cancellation)  # type: ignore[arg-type]
        if answer.kind != AnswerKind.DEFINITIVE_NO:
            return answer
        # refused: perhaps because somebody has canceled it before, which is what was wanted
        now = self.retrieve(canceled_id(payment))
        return answer if now.code == _NOT_CANCELED else now

    def _listed(self, gateway_payment_id: str, refund_id: UUID) -> dict[str, Any] | None:
        params: dict[str, Any] = {**payment_param(gateway_payment_id), "limit": 100}
        pages = (refund.to_dict() for refund in self._refunds.list(params).auto_paging_iter())  # type: ignore[arg-type]
        return next((refund for refund in pages if our_id(refund) == refund_id), None)

    def _intent_or_charge(self, gateway_payment_id: str, *, with_money: bool = False) -> dict[str, Any]:
        if gateway_payment_id.startswith(CHARGE_PREFIXES):
            return self._charges.retrieve(gateway_payment_id, {"expand": ["balance_transaction"]} if with_money else {}).to_dict()
        expand = ["latest_charge.balance_transaction"]
        return self._intents.retrieve(gateway_payment_id, {"expand": expand} if with_money else {}).to_dict()


def _answer(refund: stripe.Refund) -> GatewayAnswer:
    return answer_to_refund(refund.to_dict(), headers=_headers(refund))


def _headers(said: stripe.StripeObject) -> Mapping[str, str]:
    return said.last_response.headers if said.last_response else {}


def _answer_to_cancellation(intent: stripe.PaymentIntent) -> GatewayAnswer:
    """Only a canceled payment is a cancellation; any other proves nothing about a call that may still be on its way."""
    if intent.object != "payment_intent":
        return unreadable()
    if intent.status != "canceled":
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code=_NOT_CANCELED)
    return GatewayAnswer(
        kind=AnswerKind.SUCCEEDED,
        gateway_refund_id=canceled_id(intent.id),
        amount=from_stripe_amount(intent.amount, intent.currency),
        idempotent_replayed=is_replayed(_headers(intent)),
        raw={"id": intent.id, "object": intent.object, "status": intent.status, "canceled_at": intent.canceled_at},
    )


def _page(page: stripe.ListObject[stripe.Refund]) -> RefundPage:
    items = tuple(listed_refund(refund.to_dict()) for refund in page.data)
    return RefundPage(items=items, cursor=items[-1].gateway_refund_id if page.has_more else "")


def _dispute_page(page: stripe.ListObject[stripe.Dispute]) -> DisputePage:
    return DisputePage(tuple(listed_dispute(dispute.to_dict()) for dispute in page.data), page.data[-1].id if page.has_more else "")


def _listing(limit: int, created_after: datetime | None, cursor: str, gateway_payment_id: str) -> dict[str, Any]:
    """Return a listing's parameters."""
    params: dict[str, Any] = {"limit": limit, **(payment_param(gateway_payment_id) if gateway_payment_id else {})}
    if created_after is not None:
        params["created"] = {"gte": int(created_after.timestamp())}
    if cursor:
        params["starting_after"] = cursor
    return params
