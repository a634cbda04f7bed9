"""A Saleor as a gateway: the order book of its store, and the refunds of payments that another payment app owns there.

Saleor knows no idempotency keys, asks an app a second time without a second thought, and lets two granted refunds pass together that
exceed the charge. So nothing is sent without looking first: our refund's id stands in the reason of the granted refund, what is on its
way counts although Saleor's totals do not have it yet, and only one document, the last one, can move money. Mutations are never
repeated by the client; whether an earlier one was executed is read from Saleor.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from refund_plugin.gateways import saleor_orders
from refund_plugin.gateways.answers import BookPage, Operation, payment_of_canceled
from refund_plugin.gateways.base import (
    AnswerKind,
    Capabilities,
    Gateway,
    GatewayAnswer,
    PaymentState,
    RefundCommand,
    RefundPage,
    WebhookFact,
    refuse_inside_transaction,
)
from refund_plugin.gateways.burning import KEY_BURNT, KEY_KNOWN, KEY_NOT_BURNABLE, KEY_NOT_BURNT
from refund_plugin.gateways.facts import DisputePage, WebhookSale
from refund_plugin.gateways.saleor_errors import answer_to, doubt, not_sent, refusal
from refund_plugin.gateways.saleor_judging import NOT_CANCELED, Looked, cancellation, known_answer, why_unfit
from refund_plugin.gateways.saleor_listing import SaleorListing, of_payment
from refund_plugin.gateways.saleor_refunds import (
    answer_of,
    burnt_key,
    disputes_of,
    grants_on,
    is_burnt,
    is_transaction_id,
    marked_reason,
    movements_of,
    payment_state_of,
    refund_name,
)
from refund_plugin.gateways.sales import Sale, SaleKind, SalePage, UnreadableSale
from refund_plugin.money import Money
from refund_plugin.saleor import api
from refund_plugin.saleor.client import SaleorClient
from refund_plugin.saleor.data import GrantedRefundData
from refund_plugin.saleor.errors import SaleorError, SaleorRefused

logger = logging.getLogger(__name__)

NEEDED = ("MANAGE_ORDERS", "HANDLE_PAYMENTS")
# after so long the money is not asked for any more: somebody else may have been told by then that it never will be
PATIENCE_SECONDS = 12.0
_ASKED_BEFORE = frozenset({"REFUND_IS_PENDING", "REFUND_ALREADY_PROCESSED"})
_MISSING = "resource_missing"


class SaleorGateway(Gateway):
    """One Saleor that installed the App.

    Args:
        client: for single questions and for what changes something; it does not repeat reads, because a lease runs meanwhile.
        reader: for pages of orders, which take longer.
        rules: how orders are read, and which payments are not this gateway's.
        clock: seconds of a monotonic clock.
        reason_page: the id of the page that stands for a reason of ours there; "" for none.
    """

    kind = "saleor"
    capabilities = Capabilities(cancel_before_capture=True, idempotency="lookup", events=True, notes_lines=True)
    sale_kinds = ("order",)
    keeps_books = True

    def __init__(
        self,
        *,
        client: SaleorClient,
        reader: SaleorClient,
        rules: saleor_orders.Rules,
        clock: Callable[[], float] = time.monotonic,
        reason_page: Callable[[str], str] = lambda _reason: "",
    ) -> None:
        self._client, self._rules, self._clock, self._reason_page = client, rules, clock, reason_page
        self._listing = SaleorListing(reader, rules)

    def refund(self, command: RefundCommand) -> GatewayAnswer:
        """Grant and request a refund, unless it was requested before; see `Gateway.refund`."""
        refuse_inside_transaction()
        start = self._clock()
        looked = self._look(command.gateway_payment_id, command.refund_id)
        if isinstance(looked, GatewayAnswer):
            return looked if looked.kind == AnswerKind.DEFINITIVE_NO else not_sent(looked)
        if command.operation == "cancel_payment":
            return self._cancel(looked)
        known = known_answer(looked, command) or why_unfit(looked, command)
        if known is not None:
            return known
        if not looked.ours:
            granted = self._grant(looked, command)
            if granted is not None:
                return granted
            looked = self._look(command.gateway_payment_id, command.refund_id)  # what others began meanwhile counts too
            if isinstance(looked, GatewayAnswer):
                return not_sent(looked)
            known = known_answer(looked, command) or why_unfit(looked, command)
            if known is not None:
                return known
            if not looked.ours:
                return not_sent(doubt("grant_not_listed"))
        if self._clock() - start > PATIENCE_SECONDS:
            return not_sent(doubt("too_slow"))
        return self._request(looked, looked.ours[0], command)

    def retrieve(self, gateway_refund_id: str) -> GatewayAnswer:
        """See `Gateway.retrieve`; the id names the transaction too."""
        refuse_inside_transaction()
        if payment := payment_of_canceled(gateway_refund_id):
            looked = self._look(payment)
            return looked if isinstance(looked, GatewayAnswer) else cancellation(looked)
        looked = self._look(gateway_refund_id.partition(":")[0])
        if isinstance(looked, GatewayAnswer):
            return doubt(_MISSING) if looked.code == _MISSING else looked
        found = next((movement for movement in looked.movements if movement.name == gateway_refund_id), None)
        return looked.answer(found) if found is not None else doubt(_MISSING)

    def find(self, *, gateway_payment_id: str, refund_id: UUID, operation: Operation = "refund") -> GatewayAnswer | None:
        """See `Gateway.find`; what was granted and never requested is absent, because no money moves by it."""
        refuse_inside_transaction()
        looked = self._look(gateway_payment_id, refund_id)
        if isinstance(looked, GatewayAnswer):
            return doubt(_MISSING) if looked.code == _MISSING else looked
        if operation == "cancel_payment":
            answer = cancellation(looked)
            return None if answer.code == NOT_CANCELED else answer
        return looked.answer(looked.sent[0]) if looked.sent else None

    def burn(self, command: RefundCommand, captured: Money) -> GatewayAnswer:
        """Write down at the order that the refund must never be sent, which every sender looks for first; see `Gateway.burn`."""
        refuse_inside_transaction()
        if captured.currency != command.amount.currency or captured.minor < command.amount.minor:
            why = f"a payment of {captured} cannot have had a refund of {command.amount}"
            return doubt(KEY_NOT_BURNABLE, why)
        looked = self._look(command.gateway_payment_id, command.refund_id)
        if isinstance(looked, GatewayAnswer):
            return doubt(_MISSING) if looked.code == _MISSING else looked
        if looked.transaction.currency != captured.currency:
            return doubt(KEY_NOT_BURNT, f"the payment is in {looked.transaction.currency}")
        if looked.sent:
            return replace(doubt(KEY_KNOWN), gateway_refund_id=looked.sent[0].name)
        try:
            api.update_metadata(self._client, object_id=looked.order.id, values={burnt_key(command.refund_id): "yes"}, private=True)
        except SaleorError as error:
            return answer_to(error, is_read=True)
        looked = self._look(command.gateway_payment_id, command.refund_id)
        if isinstance(looked, GatewayAnswer):
            return looked
        if looked.sent:
            return replace(doubt(KEY_KNOWN), gateway_refund_id=looked.sent[0].name)
        return refusal(KEY_BURNT) if looked.is_burnt else doubt(KEY_NOT_BURNT)

    def list_refunds(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = "", limit: int = 100
    ) -> RefundPage | GatewayAnswer:
        """See `Gateway.list_refunds`; payments that our App owns are left out, because their money is elsewhere."""
        refuse_inside_transaction()
        if gateway_payment_id:
            looked = self._look(gateway_payment_id)
            if isinstance(looked, GatewayAnswer):
                return doubt(_MISSING) if looked.code == _MISSING else looked
            return of_payment(looked.transaction, looked.order, created_after=created_after, cursor=cursor, limit=limit)
        try:
            return self._listing.refunds(created_after=created_after, cursor=cursor, limit=limit)
        except SaleorError as error:
            return answer_to(error, is_read=True)

    def list_disputes(
        self, *, created_after: datetime | None = None, cursor: str = "", gateway_payment_id: str = ""
    ) -> DisputePage | GatewayAnswer:
        """See `Gateway.list_disputes`; Saleor tells that a bank took money back, and never how that ended."""
        refuse_inside_transaction()
        if gateway_payment_id:
            looked = self._look(gateway_payment_id)
            return looked if isinstance(looked, GatewayAnswer) else DisputePage(disputes_of(looked.transaction))
        try:
            return self._listing.disputes(created_after=created_after, cursor=cursor)
        except SaleorError as error:
            return answer_to(error, is_read=True)

    def list_books(self, *, changed_after: datetime | None = None, cursor: str = "") -> BookPage | GatewayAnswer:
        """See `Gateway.list_books`."""
        refuse_inside_transaction()
        try:
            return self._listing.books(changed_after=changed_after, cursor=cursor)
        except SaleorError as error:
            return answer_to(error, is_read=True)

    def payment_state(self, gateway_payment_id: str) -> PaymentState | GatewayAnswer:
        """See `Gateway.payment_state`."""
        refuse_inside_transaction()
        looked = self._look(gateway_payment_id)
        if isinstance(looked, GatewayAnswer):
            return doubt(_MISSING) if looked.code == _MISSING else looked
        return payment_state_of(looked.transaction, looked.movements)

    def ping(self) -> GatewayAnswer:
        """Ask who we are there; a permission that is missing holds the account and is named."""
        refuse_inside_transaction()
        try:
            app = api.read_app(self._client)
        except SaleorError as error:
            return answer_to(error, is_read=True)
        missing = [name for name in NEEDED if name not in app.permissions]
        if missing:
            why = f"the App lacks {', '.join(missing)} in Saleor"
            return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="permission_missing", message=why, hold=True)
        return GatewayAnswer(kind=AnswerKind.SUCCEEDED)

    def read_event(self, event: Mapping[str, Any]) -> WebhookFact | None:
        """Return which order an event that the App kept is about; the rest is read anew."""
        return WebhookSale(
            event_id=str(event["id"]),
            event_type=str(event["type"]),
            livemode=bool(event["livemode"]),
            created=datetime.fromisoformat(str(event["created"])),
            source_id=str(event["order"]),
            kind="order",
        )

    def kept_of(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event as it is: ids alone."""
        return dict(event)

    def read_sale(self, source_id: str, kind: SaleKind) -> Sale | GatewayAnswer:
        """See `Gateway.read_sale`."""
        refuse_inside_transaction()
        try:
            order = api.read_order(self._client, source_id, metadata_keys=self._rules.keys)
        except SaleorError as error:
            return answer_to(error, is_read=True)
        if order is None:
            return doubt(_MISSING)
        sale = saleor_orders.sale_of(order, self._rules)
        if isinstance(sale, UnreadableSale):
            if not sale.is_nothing:  # reading it again would not help
                logger.warning("the order %s of %s is left out: %s", source_id, self._rules.account, sale.reason)
            return refusal("not_a_sale", sale.reason)
        return sale if sale.payments else GatewayAnswer(kind=AnswerKind.PENDING, code="not_paid_yet")

    def list_sales(self, *, kind: SaleKind, created_after: datetime | None = None, cursor: str = "") -> SalePage | GatewayAnswer:
        """See `Gateway.list_sales`; orders are told whole."""
        refuse_inside_transaction()
        try:
            return self._listing.sales(created_after=created_after, cursor=cursor)
        except SaleorError as error:
            return answer_to(error, is_read=True)

    def _look(self, gateway_payment_id: str, refund_id: UUID | None = None) -> Looked | GatewayAnswer:
        if not is_transaction_id(gateway_payment_id):
            return refusal(_MISSING)
        keys = [burnt_key(refund_id)] if refund_id else []
        try:
            found = api.read_transaction_money(self._client, gateway_payment_id, metadata_keys=keys)
        except SaleorError as error:
            return answer_to(error, is_read=True)
        transaction, order = found or (None, None)
        if transaction is None or order is None:
            return refusal(_MISSING)
        movements = movements_of(transaction, order.granted_refunds)
        ours = grants_on(order.granted_refunds, refund_id) if refund_id else []
        burnt = refund_id is not None and is_burnt(order.private_metadata, refund_id)
        if transaction.app_id and transaction.app_id == self._rules.app_id:
            return refusal("own_payment", "the App owns this payment: name its account in the option payment_account")
        return Looked(transaction, order, movements, ours, burnt)

    def _grant(self, looked: Looked, command: RefundCommand) -> GatewayAnswer | None:
        """Grant a refund, which moves nothing; return an answer when that did not work."""
        reason = marked_reason(
            command.metadata.get("reference", ""), refund_id=command.refund_id, installation=command.metadata.get("installation", "")
        )
        page = self._reason_page(command.metadata.get("reason", ""))
        try:
            self._grant_with(looked, command, reason=reason, reason_page_id=page)
        except SaleorRefused as error:
            return refusal(_code_of(error), str(error))
        except SaleorError as error:  # even if it was granted: nobody asks for the money before it is looked for again
            return not_sent(answer_to(error))
        return None

    def _grant_with(self, looked: Looked, command: RefundCommand, *, reason: str, reason_page_id: str) -> None:
        grant = partial(
            api.grant_refund,
            self._client,
            order_id=looked.order.id,
            transaction_id=looked.transaction.id,
            amount=command.amount.decimal,
            reason=reason,
        )
        details: dict[str, Any] = {"lines": command.lines, "reason_page_id": reason_page_id}
        while True:
            try:
                grant(**details)
            except SaleorRefused as error:
                refused = _refused_detail(error, details)
                if not refused:
                    raise
                del details[refused]  # nothing was granted, and the amount is what counts
            else:
                return

    def _request(self, looked: Looked, grant: GrantedRefundData, command: RefundCommand) -> GatewayAnswer:
        """Ask the payment app for the money: the only call here that can move any."""
        transaction = looked.transaction
        try:
            after = api.request_granted_refund(self._client, granted_refund_id=grant.id, transaction_id=transaction.id)
        except SaleorRefused as error:
            if error.saleor_code not in _ASKED_BEFORE:
                return refusal(_code_of(error), str(error))
            again = self.retrieve(refund_name(transaction.id, grant.id))
            return replace(again, idempotent_replayed=True) if again.gateway_refund_id else doubt(_code_of(error), str(error))
        except SaleorError as error:
            return answer_to(error)
        known = {event.id for event in transaction.events}
        news = replace(grant, events=(*grant.events, *(event for event in after.events if event.id not in known)))
        moved = next(movement for movement in movements_of(after, [news]) if movement.grant is not None)
        answer = answer_of(moved, currency=after.currency)
        return answer if answer.kind == AnswerKind.SUCCEEDED else replace(answer, kind=AnswerKind.PENDING, amount=command.amount, code="")

    def _cancel(self, looked: Looked) -> GatewayAnswer:
        """Let go of what was authorised and never captured; whoever did it before did it for us too."""
        before = cancellation(looked)
        if looked.is_burnt:
            return doubt("idempotency_error", "it was given up for good")
        if before.code != NOT_CANCELED:
            return replace(before, idempotent_replayed=before.kind == AnswerKind.SUCCEEDED)
        if payment_state_of(looked.transaction, looked.movements).is_captured:
            return refusal("payment_intent_unexpected_state", "it was captured")
        try:
            api.request_cancel(self._client, transaction_id=looked.transaction.id)
        except SaleorRefused as error:
            return refusal(_code_of(error), str(error))
        except SaleorError as error:
            return answer_to(error)
        again = self._look(looked.transaction.id)
        return doubt("no_answer") if isinstance(again, GatewayAnswer) else cancellation(again)


def _refused_detail(error: SaleorRefused, details: Mapping[str, Any]) -> str:
    """Return which detail of a grant was refused, that it may as well be without; "" for none.

    The page of a reason may be gone, or be no reason any more. Lines may have been granted before: Saleor counts their units over all
    grants, those that failed included.
    """
    field = (error.field or "").lower()
    name = "lines" if field == "lines" else "reason_page_id" if "reason" in field else ""
    return name if details.get(name) else ""


def _code_of(error: SaleorRefused) -> str:
    return "amount_too_large" if error.saleor_code == "AMOUNT_GREATER_THAN_AVAILABLE" else error.saleor_code.lower()[:80]
