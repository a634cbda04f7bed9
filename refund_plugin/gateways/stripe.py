"""Stripe as a gateway, on Stripe's own SDK.

The SDK's retries are off: an attempt is one call, and who may repeat it is decided by the refund's state, not by the HTTP
layer. What an error proves is decided by `answer_to_error`, from the transport and the HTTP status rather than the SDK's
exception classes, because a proxy in between may answer with anything.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import stripe
from django.utils.translation import gettext as _
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from refund_plugin.errors import GatewayMisconfigured, UnknownCurrency, WebhookRejected
from refund_plugin.gateways.base import (
    AnswerKind,
    Gateway,
    GatewayAnswer,
    RefundCommand,
    WebhookRefund,
    refuse_inside_transaction,
)
from refund_plugin.money import Money, exponent

# Pinned, so that an account's default or a new SDK cannot change what an old refund's replay means.
STRIPE_VERSION = "2026-10-28.endive"
DEFAULT_API_BASE = "https://api.stripe.com"

# Stripe's decimals where they are not two. ISK and UGX have no decimals but are sent times 100, so they are "two" here.
# Source: docs.stripe.com/currencies, zero-decimal currencies, three-decimal currencies, special cases.
_NO_DECIMALS = frozenset(["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"])
_THREE_DECIMALS = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])

WEBHOOK_TOLERANCE_SECONDS = 300
WEBHOOK_FUTURE_SECONDS = 60  # the SDK accepts any future timestamp, which would let one captured event live for ever
_REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed"})

_STATUS_KINDS = {
    "pending": AnswerKind.PENDING,
    "requires_action": AnswerKind.PENDING,
    "succeeded": AnswerKind.SUCCEEDED,
    "failed": AnswerKind.FAILED,
    "canceled": AnswerKind.CANCELED,
}
# What is kept of a refund: no e-mail address, no instructions to the customer.
_KEPT_FIELDS = (
    "id",
    "object",
    "amount",
    "currency",
    "status",
    "pending_reason",
    "failure_reason",
    "reason",
    "charge",
    "payment_intent",
    "balance_transaction",
    "failure_balance_transaction",
    "created",
    "destination_details",
    "metadata",
)


def _stripe_decimals(currency: str) -> int:
    if currency in _NO_DECIMALS:
        return 0
    return 3 if currency in _THREE_DECIMALS else 2


def _shift(amount: int, decimals: int) -> int:
    return int(amount * 10**decimals) if decimals >= 0 else int(amount // 10**-decimals)


def to_stripe_amount(money: Money) -> int:
    """Return `money` in Stripe's unit for its currency.

    Raises:
        ValueError: not a multiple of the gateway's step; amounts are made in steps, so this is a defect of the caller.
    """
    if money.minor % smallest_step(money.currency):
        raise ValueError(f"{money} is not a multiple of {smallest_step(money.currency)} minor units")
    return _shift(money.minor, _stripe_decimals(money.currency) - exponent(money.currency))


def from_stripe_amount(amount: int, currency: str) -> Money | None:
    """Return Stripe's `amount` as Money; None when our minor units cannot hold it or the currency is not known."""
    try:
        shift = exponent(currency.upper()) - _stripe_decimals(currency.upper())
    except UnknownCurrency:
        return None
    if shift < 0 and amount % 10**-shift:
        return None
    return Money(_shift(amount, shift), currency.upper())


def smallest_step(currency: str) -> int:
    """Return the step, in our minor units: 10 for three-decimal currencies, whose last digit Stripe wants to be 0."""
    if currency in _THREE_DECIMALS:
        return 10
    return int(10 ** max(0, exponent(currency) - _stripe_decimals(currency)))


class StripeGateway(Gateway):
    """One Stripe account.

    Args:
        api_key: a secret or restricted key (`sk_…`, `rk_…`) that may read and write refunds.
        api_base: where the API lives; the sandbox's address in the demo.
        webhook_secret: of the endpoint (`whsec_…`).
        account: a connected account (`acct_…`) to act for; empty for the key's own.
        livemode: whether real money moves; must agree with the key.
        connect_timeout_seconds, read_timeout_seconds: for one call.
    Raises:
        GatewayMisconfigured: a missing key, a key of the other mode, or an account that is no `acct_…`.
    """

    kind = "stripe"

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

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """Send a refund; see `Gateway.refund`. The command's metadata carries the installation, ours adds the refund's id."""
        params: dict[str, Any] = {
            **_payment_param(command.gateway_payment_id),
            "amount": to_stripe_amount(command.amount),
            "metadata": {**command.metadata, "refund_id": str(command.refund_id)},
        }
        if command.reason:
            params["reason"] = command.reason
        return self._ask(lambda: self._refunds.create(params, options={"idempotency_key": command.idempotency_key}))  # type: ignore[arg-type]

    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """Ask for a refund's present state; a refusal to answer proves nothing about the money, so it is never a "no"."""
        return _as_reading(self._ask(lambda: self._refunds.retrieve(gateway_refund_id)))

    def find(self, *, gateway_payment_id: str, refund_id: UUID) -> GatewayAnswer | None:
        """Page through all refunds of the payment and match our id; see `Gateway.find`."""
        refuse_inside_transaction()
        try:
            for refund in self._pages(gateway_payment_id):
                if (refund.get("metadata") or {}).get("refund_id") == str(refund_id):
                    return answer_to_refund(refund)
        except stripe.StripeError as error:
            return _as_reading(answer_to_error(error))
        return None

    def ping(self) -> GatewayAnswer:
        """List one refund: the cheapest read that also proves the permission this package needs."""
        refuse_inside_transaction()
        try:
            self._refunds.list({"limit": 1})
        except stripe.StripeError as error:
            return _as_reading(answer_to_error(error))
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED)

    def step(self, currency: str) -> int:
        """See `Gateway.step`."""
        return smallest_step(currency)

    def parse_webhook(self, *, body: bytes, signature: str, now: datetime) -> WebhookRefund | None:
        """Verify and normalise a webhook; see `Gateway.parse_webhook`. Its answer's `raw` keeps no personal data of the event."""
        if not self._webhook_secret:
            raise WebhookRejected  # with an empty secret anybody could sign
        try:
            # the tolerance is ours to check: the SDK would read the clock itself
            stripe.WebhookSignature.verify_header(body, signature, self._webhook_secret, None)
            event = json.loads(body)
        except (stripe.SignatureVerificationError, ValueError) as error:
            raise WebhookRejected from error
        _refuse_wrong_time(signature, now)
        if event.get("type") not in _REFUND_EVENTS:
            return None
        refund = event["data"]["object"]
        return WebhookRefund(
            event_id=event["id"],
            event_type=event["type"],
            livemode=event["livemode"],
            created=datetime.fromtimestamp(event["created"], UTC),
            gateway_payment_id=refund.get("payment_intent") or refund.get("charge") or "",
            refund_id=_our_id(refund),
            answer=answer_to_refund(refund),
        )

    def _ask(self, call: Callable[[], stripe.Refund]) -> GatewayAnswer:
        refuse_inside_transaction()
        try:
            refund = call()
        except stripe.StripeError as error:
            return answer_to_error(error)
        return answer_to_refund(refund.to_dict(), headers=refund.last_response.headers if refund.last_response else {})

    def _pages(self, gateway_payment_id: str) -> Iterator[dict[str, Any]]:
        params: dict[str, Any] = {**_payment_param(gateway_payment_id), "limit": 100}
        for refund in self._refunds.list(params).auto_paging_iter():  # type: ignore[arg-type]
            yield refund.to_dict()


def answer_to_refund(refund: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> GatewayAnswer:
    """Normalise a refund object; anything that is not clearly one proves nothing."""
    raw: dict[str, object] = {name: refund[name] for name in _KEPT_FIELDS if name in refund}
    if headers and headers.get("Request-Id"):
        raw["request_id"] = headers["Request-Id"]
    kind = _STATUS_KINDS.get(str(refund.get("status")))
    if refund.get("object") != "refund" or not refund.get("id") or kind is None:
        return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code="unreadable_answer", raw=raw)
    return GatewayAnswer(
        kind=kind,
        gateway_refund_id=refund["id"],
        amount=from_stripe_amount(refund["amount"], refund["currency"]),
        code=refund.get("failure_reason") or refund.get("pending_reason") or "",
        trace_reference=_trace_reference(refund),
        raw=raw,
    )


def answer_to_error(error: stripe.StripeError) -> GatewayAnswer:
    """Decide what an error proves (the notes (1) and (2) of the refund's transition table)."""
    if isinstance(error, stripe.APIConnectionError) and error.http_status is None:
        return _answer_to_silence(error)
    said = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    said = said if isinstance(said, dict) else {}
    status, error_type = error.http_status, str(said.get("type") or "")
    code = str(said.get("code") or error_type or f"http_{status}")
    hold, retry_after = False, None
    if status in (401, 403):
        kind, hold = AnswerKind.NOT_EXECUTED, True
    elif status == 429 or code == "rate_limit":
        kind, retry_after = AnswerKind.NOT_EXECUTED, _retry_after(error)
    elif error_type == "idempotency_error" or code == "charge_already_refunded":
        kind = AnswerKind.MAYBE_EXECUTED  # perhaps by an earlier attempt of ours: look, do not conclude
    elif status in (400, 402, 404) and error_type:
        kind = AnswerKind.DEFINITIVE_NO
    else:
        kind = AnswerKind.MAYBE_EXECUTED  # 409, 5xx, and whatever did not come from Stripe itself
    return GatewayAnswer(
        kind=kind,
        code=code,
        message=str(said.get("message") or ""),
        hold=hold,
        retry_after_seconds=retry_after,
        raw={
            "http_status": status,
            "request_id": error.request_id,
            "error": {name: said[name] for name in ("type", "code", "decline_code", "message", "param") if name in said},
        },
    )


def _answer_to_silence(error: stripe.APIConnectionError) -> GatewayAnswer:
    """Tell a request that was never sent from one whose answer never came."""
    causes = list(_causes(error))
    never_sent = any(isinstance(cause, (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)) for cause in causes)
    return GatewayAnswer(
        kind=AnswerKind.NOT_EXECUTED if never_sent else AnswerKind.MAYBE_EXECUTED,
        code="connection_failed" if never_sent else "no_answer",
        message=type(causes[-1]).__name__,
        raw={"causes": [type(cause).__name__ for cause in causes]},
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk down an exception's chain; urllib3 hides its reason in an attribute or an argument."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        reason = getattr(current, "reason", None)
        argument = current.args[0] if current.args else None
        hidden = [inner for inner in (reason, argument) if isinstance(inner, BaseException)]
        current = hidden[0] if hidden else (current.__cause__ or current.__context__)


def _as_reading(answer: GatewayAnswer) -> GatewayAnswer:
    """A read that is refused says nothing about the refund."""
    if answer.kind != AnswerKind.DEFINITIVE_NO:
        return answer
    return GatewayAnswer(kind=AnswerKind.MAYBE_EXECUTED, code=answer.code, message=answer.message, raw=answer.raw)


def _payment_param(gateway_payment_id: str) -> dict[str, str]:
    # ch_ and py_ are charges of integrations older than payment intents
    return {"charge" if gateway_payment_id.startswith(("ch_", "py_")) else "payment_intent": gateway_payment_id}


def _retry_after(error: stripe.StripeError) -> float | None:
    value = (error.headers or {}).get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d+)?", value) else None


def _our_id(refund: Mapping[str, Any]) -> UUID | None:
    try:
        return UUID((refund.get("metadata") or {}).get("refund_id", ""))
    except ValueError:
        return None  # made in the dashboard, or by another program


def _trace_reference(refund: Mapping[str, Any]) -> str:
    """Return the number a bank can search for, once Stripe has it; every payment method keeps it under its own name."""
    details = refund.get("destination_details") or {}
    method = details.get(details.get("type")) or {}
    return str(method.get("reference") or "") if method.get("reference_status") == "available" else ""


def _refuse_wrong_time(signature: str, now: datetime) -> None:
    # the first t is the one that was signed; the SDK reads it leniently ("+1", " 1", "1=x"), so whatever is not plain is refused
    signed = next((item for item in signature.split(",") if item.partition("=")[0] == "t"), "")
    match = re.fullmatch(r"t=([0-9]{1,12})", signed)
    age_seconds = now.timestamp() - int(match[1]) if match else None
    if age_seconds is None or not -WEBHOOK_FUTURE_SECONDS <= age_seconds <= WEBHOOK_TOLERANCE_SECONDS:
        raise WebhookRejected
