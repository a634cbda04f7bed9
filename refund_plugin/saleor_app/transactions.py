"""The door for what Saleor asks of the owner of a transaction: `POST /refunds/saleor/transactions/`, answered while somebody waits.

Saleor gives up after 18 seconds, and takes silence, a server's error and what it cannot read for a refund that failed, which its
staff may then ask for again. So the answer comes at once, whatever happens: the money is held, and the engine pays it later. It is
never a server's error: Saleor would repeat the request without its body (and sign that). "Failed" is said only of what surely is not
paid, and nothing said is ever taken back: who asks again for the same refund gets the same answer.
Source: Saleor's "Transaction events" reference, and its webhook/transport/synchronous/transport.py and payment/utils.py of 3.23.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.csrf import csrf_exempt

from refund_plugin import clock
from refund_plugin.actor import Action, Actor, ActorKind, saleor_id
from refund_plugin.errors import RefundPluginError
from refund_plugin.gateways.facts import WebhookSale
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment, PurchaseLine
from refund_plugin.refunds.states import GONE, OVER
from refund_plugin.refunds.store_refunds import MAX_REFUSAL, StoreAnswer, answer_of, reference_of, refund_from_store
from refund_plugin.saleor.deliveries import verify_delivery
from refund_plugin.saleor.errors import KeysUnavailable, NotInstalled, SignatureInvalid
from refund_plugin.saleor.installations import installation_of_request
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options
from refund_plugin.saleor_app.bodies import TooLarge, read_body
from refund_plugin.stores.models import Store
from refund_plugin.webhooks.services import keep_event

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024  # with every event that a transaction ever had
LOOKS = 3
FAILURES = {
    "TransactionRefundRequested": "REFUND_FAILURE",
    "TransactionChargeRequested": "CHARGE_FAILURE",
    "TransactionCancelationRequested": "CANCEL_FAILURE",
}
Answer = dict[str, str]


class CannotRead(Exception):
    """The request says too little, or something else than our subscription asks for; nothing was done. The message is for staff."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One refund that Saleor's staff asks for, as the signed body says.

    Attributes:
        order_id: "" for a transaction of no order.
        key: names this one wish: its REFUND_REQUEST event, what it is for and how much, because two that were made at the same moment
            may both show the younger one's event first.
        grant: global id of the granted refund, "" when none was granted.
        lines: units by the order line's global id.
        known: the references that this transaction's events have.
    """

    transaction_id: str
    psp_reference: str
    order_id: str
    amount: Money
    key: str
    grant: str
    reason: str
    lines: Mapping[str, int]
    known: frozenset[str]
    by: str


# the signature is the proof, not a session; each step commits on its own, also in a host with ATOMIC_REQUESTS
@method_decorator([csrf_exempt, transaction.non_atomic_requests], name="dispatch")
class TransactionRequested(View):
    """Answer 200 with what Saleor is to believe, 4xx for what does not verify, and nothing else."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> JsonResponse:
        """Answer one request."""
        try:
            body = read_body(request, most_bytes=MAX_BODY_BYTES)
            installation = installation_of_request(request.headers)
            verify_delivery(body=body, headers=request.headers, installation=installation, now=clock.now())
            return JsonResponse(answer(installation=installation, body=body, now=clock.now()))
        except TooLarge:
            return JsonResponse({"error": "too large"}, status=413)
        except KeysUnavailable as error:
            logger.warning("a request of Saleor could not be verified: %s", error)
            return JsonResponse(
                _failure(_("The refund App could not verify this request. Nothing was sent. Please try again in a minute."))
            )
        except (NotInstalled, SignatureInvalid) as error:
            logger.warning("a request of Saleor was refused: %s", error)
            return JsonResponse({"error": "WEBHOOK_REJECTED"}, status=400)
        except Exception:  # of what may have held money `_refund` takes care: here nothing was
            logger.exception("a request of Saleor could not be answered; nothing was held")
            return JsonResponse(_failure(_("The refund App could not look at this. Nothing was sent. Please try again in a minute.")))


def answer(*, installation: SaleorInstallation, body: bytes, now: datetime) -> Answer:
    """Return the answer to a verified request.

    A request without a body is a repetition: whatever answered Saleor the first time (a proxy, perhaps) said that the server had
    failed. Nobody can tell what it was for, so nothing is begun, and Saleor is told that it failed, as it would believe anyway of
    whatever it cannot use. If the first one did reach us, the refund is paid once, and told by `refunds.telling`; pressed again,
    the button leads to that same refund.

    Args:
        body: as it was signed.
        now: UTC.
    """
    if not body.strip():
        logger.warning("%s repeated a request without saying which", installation.slug)
        return _failure(
            _("Saleor repeated a request without its contents, so nothing new was begun. Look at the order again in a minute or two.")
        )
    told = _read(body)
    kind = str(told.get("__typename", ""))
    if kind != "TransactionRefundRequested":
        return _failure(
            _("The refund App gives money back. It neither charges nor cancels payments: do that where the payment was made."),
            result=FAILURES.get(kind, "REFUND_FAILURE"),
        )
    try:
        asked = read_asked(told, installation=installation)
    except CannotRead as error:
        return _failure(str(error))
    return _refund(installation, asked, now=now)


def _refund(installation: SaleorInstallation, asked: Asked, *, now: datetime) -> Answer:
    account = _account_of(installation)
    if account is None:
        return _failure(_("The refund App was not told which account its payments are on (payment_account), so nothing was sent."))
    payment = _payment_of(installation, account, asked)
    if payment is None:
        return _failure(_ask_for_order(installation, asked, now=now))
    store = payment.purchase.store
    try:
        found = refund_from_store(
            store=store,
            payment=payment,
            amount=asked.amount,
            lines=_line_ids(payment, asked.lines),
            ask_key=asked.key,
            debt=asked.grant,
            reason=asked.reason,
            by=_actor(asked, store),
            known=asked.known,
            now=now,
        )
    except Exception:  # the commit may have arrived all the same
        logger.exception("whether a refund of %s was begun must be looked up", asked.transaction_id)
        return _look_again(store, payment, asked)
    return _told(found, asked, store)


def _look_again(store: Store, payment: Payment, asked: Asked) -> Answer:
    """Answer a request of which nobody knows whether it was committed: look until the database answers."""
    for _look in range(LOOKS):
        try:
            connection.close()
            found = answer_of(store=store, ask_key=asked.key, payment=payment)
        except Exception:  # whatever keeps it from answering
            logger.exception("the database does not tell")
            continue
        if found is None:
            return _failure(_("The refund App could not begin this refund. Nothing was sent. Please try again in a minute."))
        return _told(found, asked, store)
    reference = reference_of(store=store, ask_key=asked.key)
    logger.error("nobody knows whether refund %s of %s was begun; Saleor is told that it is under way", reference, asked.transaction_id)
    return {"pspReference": str(reference)}


def _told(found: StoreAnswer, asked: Asked, store: Store) -> Answer:
    """Return how a refund stands, or why there is none. The amount is left out: then it is the one that was asked for."""
    if found.refund is None:
        return _failure(found.refusal, reference=reference_of(store=store, ask_key=asked.key))
    name, ours = str(found.reference), found.refund.gateway_refund_id
    if found.refund.state in GONE and name in asked.known:
        # Saleor has booked it without the granted refund that this request is for, and would leave that pending for ever
        return _failure(_("This was refunded before (%(name)s), and the order shows it. Nothing more was sent.") % {"name": ours or name})
    if found.refund.state in GONE:
        return {"pspReference": name, "result": "REFUND_SUCCESS", "message": ours}
    if found.refund.state in OVER:
        why = found.refund.failure_message or _("The payment provider could not send it.")
        return _failure(why, reference=found.reference)
    return {"pspReference": name}


def _failure(message: str, *, result: str = "REFUND_FAILURE", reference: UUID | None = None) -> Answer:
    """Return a refusal, with a reference of its own: Saleor takes a second one without any for the first, and forgets the request."""
    return {"pspReference": str(reference or uuid4()), "result": result, "message": str(message)[:MAX_REFUSAL]}


def _account_of(installation: SaleorInstallation) -> GatewayAccount | None:
    """Return the account whose payments the transactions of our App are; None when the settings name none."""
    slug = (allowed_options(installation.api_url) or {}).get("payment_account", "")
    return GatewayAccount.objects.filter(slug=str(slug)).first()


def _payment_of(installation: SaleorInstallation, account: GatewayAccount, asked: Asked) -> Payment | None:
    """Return our record of a transaction, in the store of this installation only."""
    named = Payment.objects.filter(account=account, livemode=account.livemode, gateway_payment_id=asked.psp_reference)
    payment = named.select_related("purchase__store").filter(purchase__store__slug=installation.slug).first()
    if payment is None or payment.metadata.get("saleor_transaction") != asked.transaction_id:
        return None
    return payment


def _ask_for_order(installation: SaleorInstallation, asked: Asked, *, now: datetime) -> str:
    """Let a worker read the order of a transaction that we do not know; return what its staff is told meanwhile."""
    account = GatewayAccount.objects.filter(slug=installation.slug).first()
    if account is None or not asked.order_id:
        return _("The refund App does not know this payment, so nothing was sent.")
    fact = WebhookSale(
        event_id=f"asked-{asked.key}",
        event_type="transaction_asked_for",
        livemode=True,
        created=now,
        source_id=asked.order_id,
        kind="order",
    )
    kept = {"id": fact.event_id, "type": fact.event_type, "created": now.isoformat(), "livemode": True, "order": asked.order_id}
    keep_event(account=account, fact=fact, body=kept, now=now)
    return _("The refund App does not know this order yet and reads it now. Nothing was sent. Please try again in a minute.")


def _line_ids(payment: Payment, lines: Mapping[str, int]) -> dict[int, int]:
    """Return the units by our own line id; by 0 of lines that we do not keep."""
    if not lines:
        return {}
    kept = PurchaseLine.objects.filter(purchase=payment.purchase_id).values_list("pk", "metadata")
    ids = {metadata.get("saleor_line"): pk for pk, metadata in kept}
    return {ids.get(name, 0): units for name, units in lines.items()}


def _actor(asked: Asked, store: Store) -> Actor:
    """Return who is behind it: somebody whom Saleor let press the button; who that is it mostly does not say."""
    return Actor(
        kind=ActorKind.STAFF,
        id=saleor_id(asked.by),
        store_id=store.pk,
        actions=frozenset({Action.APPROVE}),
        label=_("Saleor’s dashboard"),
    )


def _read(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):  # also what is no UTF-8, and brackets nested without end
        return {}
    return told if isinstance(told, dict) else {}


def read_asked(told: Mapping[str, Any], *, installation: SaleorInstallation) -> Asked:
    """Return what a refund request says.

    Raises:
        CannotRead: it is for somebody else, or something that is needed is missing or no such thing.
    """
    recipient = _text(_part(told, "recipient"), "id")
    if installation.app_id and recipient and recipient != installation.app_id:
        raise CannotRead(_("This is for another App, so nothing was sent."))
    item, action, grant = _part(told, "transaction"), _part(told, "action"), _part(told, "grantedRefund")
    if _text(action, "actionType") != "REFUND" or not _text(item, "id"):
        raise CannotRead(_("This is no request for a refund, so nothing was sent."))
    amount = _amount(action)
    events = [event for event in item.get("events") or () if isinstance(event, dict)]
    event = _event_of(events, amount)
    name = _text(event, "idempotencyKey") or _text(event, "id")
    if not name:
        raise CannotRead(_("Saleor did not say which request this is, so nothing was sent."))
    grant_id = _text(grant, "id")
    key = hashlib.sha256("\n".join((_text(item, "id"), name, grant_id, str(amount))).encode()).hexdigest()
    return Asked(
        transaction_id=_text(item, "id"),
        psp_reference=_text(item, "pspReference"),
        order_id=_text(_part(item, "order"), "id"),
        amount=amount,
        key=key,
        grant=grant_id,
        reason=_printable(_text(grant, "reason") or _text(event, "message")) or _("Asked for in Saleor’s dashboard."),
        lines=_lines(grant),
        known=frozenset(_text(event, "pspReference") for event in events),
        by=_text(_part(told, "issuingPrincipal"), "id"),
    )


def _event_of(events: list[dict[str, Any]], amount: Money) -> dict[str, Any]:
    """Return the event that asks: the newest request of this amount without a reference. Saleor lists the newest first."""
    for event in events:
        is_open = _text(event, "type") == "REFUND_REQUEST" and not _text(event, "pspReference")
        if is_open and _number(_part(event, "amount").get("amount")) == amount.decimal:
            return event
    return {}


def _number(value: object) -> Decimal | None:
    """Return a number of the body; some versions write decimals as text."""
    try:
        return Decimal(value) if isinstance(value, Decimal | str) else None
    except InvalidOperation:
        return None


def _amount(action: Mapping[str, Any]) -> Money:
    value = _number(action.get("amount"))
    try:
        return Money.from_decimal("" if value is None else value, _text(action, "currency"))
    except RefundPluginError as error:
        raise CannotRead(_("Saleor did not say how much, so nothing was sent.")) from error


def _lines(grant: Mapping[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in grant.get("lines") or ():
        name, quantity = _text(_part(line, "orderLine"), "id"), line.get("quantity") if isinstance(line, dict) else None
        if name and isinstance(quantity, Decimal) and quantity == int(quantity) and 0 < quantity < 10**9:
            found[name] = found.get(name, 0) + int(quantity)
    return found


def _part(told: object, name: str) -> Mapping[str, Any]:
    part = told.get(name) if isinstance(told, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) and len(value) <= 4000 else ""


def _printable(text: str) -> str:
    """Return what people wrote as it can be kept: PostgreSQL stores no NUL and no half of a surrogate pair."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
