"""Grants, requests and reports: Saleor's mutations that touch money, with every check that it makes and none that it lacks."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import Any

from tests.saleor.standin.context import Context
from tests.saleor.standin.permissions import PermissionDenied, may_report
from tests.saleor.standin.refusals import Refusal
from tests.saleor.standin.transactions import (
    REFUND_TYPES,
    SAME_REFERENCE_OTHER_AMOUNT,
    add_event,
    amount_from_history,
    existing_event,
    failure_event,
    owner_of,
    quantized,
    request_event,
    settle,
    update_grant_status,
    update_order_totals,
    webhook_for,
)
from tests.saleor.standin.world import GrantedLine, Order, OrderGrantedRefund, Page, TransactionItem, global_id

OPTIONAL_AMOUNT = ("INFO", "AUTHORIZATION_FAILURE", "CHARGE_FAILURE", "CHARGE_BACK", "REFUND_FAILURE", "REFUND_REVERSE", "CANCEL_FAILURE")


def find_transaction(context: Context, id: str | None, token: str | None, field: str = "id") -> TransactionItem:
    """Find a transaction by id or token."""
    if bool(id) == bool(token):
        raise Refusal(field, "Argument 'id' or 'token' is required: one of them.", "GRAPHQL_ERROR")
    found = context.world.transactions.get(id or global_id("TransactionItem", token))
    if found is None:
        raise Refusal(field, f"Couldn't resolve to a node: {id}", "NOT_FOUND")
    return found


def _order(context: Context, id: str) -> Order:
    found = context.world.orders.get(id)
    if found is None:
        raise Refusal("id", f"Couldn't resolve to a node: {id}", "NOT_FOUND")
    return found


def _reason_page(context: Context, reference: str | None, field: str) -> Page | None:
    """Find the page of a reason: of the configured type, which staff must name and apps may."""
    page_type = context.world.refund_reason_type
    if page_type is None:
        if reference:
            raise Refusal(field, "Reason reference type is not configured.", "INVALID")
        return None
    if not reference:
        if context.caller.app is None:
            raise Refusal(field, "Reason reference is required when reason reference type is configured.", "REQUIRED")
        return None
    page = context.world.pages.get(reference)
    if page is None or page.page_type is not page_type:
        raise Refusal(field, "Invalid reason reference. Must be an ID of a Model (Page)", "INVALID")
    return page


def _granted_quantity(order: Order, line_id: str) -> int:
    return sum(line.quantity for grant in order.granted_refunds for line in grant.lines if line.order_line.id == line_id)


def _clean_lines(context: Context, order: Order, lines: list[dict[str, Any]]) -> list[GrantedLine]:
    """Check the lines of a grant: known, and not more than was bought, all grants together. Their amounts are not looked at."""
    errors, cleaned = [], []
    known = {line.id: line for line in order.lines}
    for each in lines:
        line = known.get(each["id"])
        if line is None:
            errors.append(
                {"lineId": each["id"], "field": "id", "message": f"Couldn't resolve to a node: {each['id']}", "code": "NOT_FOUND"}
            )
            continue
        available = line.quantity - _granted_quantity(order, line.id)
        if each["quantity"] > available:
            message = f"Cannot grant refund for more than the available quantity of the line ({available})."
            errors.append({"lineId": line.id, "field": "quantity", "message": message, "code": "QUANTITY_GREATER_THAN_AVAILABLE"})
            continue
        reference = context.world.pages.get(each.get("reasonReference") or "")
        cleaned.append(
            GrantedLine(
                id=context.world.next_id("OrderGrantedRefundLine"),
                order_line=line,
                quantity=each["quantity"],
                reason=each.get("reason"),
                reason_reference=reference,
            )
        )
    if errors:
        raise Refusal("lines", "Provided input for lines is invalid.", "INVALID", lines=errors)
    return cleaned


def grant_refund(source: Any, context: Context, *, id: str, input: dict[str, Any]) -> dict[str, Any]:
    """orderGrantRefundCreate: promise money back. Compared with this charge alone, never with other grants: they are not capped."""
    order, world = _order(context, id), context.world
    amount, lines, shipping = input.get("amount"), input.get("lines") or [], bool(input.get("grantRefundForShipping"))
    if amount is None and not lines and not shipping:
        raise Refusal("amount", "You must provide at least one of `amount`, `lines`, `grantRefundForShipping`.", "REQUIRED")
    page = _reason_page(context, input.get("reasonReference"), "reasonReference")
    cleaned = _clean_lines(context, order, lines)
    if shipping and any(grant.shipping_costs_included for grant in order.granted_refunds):
        raise Refusal("grantRefundForShipping", "Shipping costs have already been granted.", "SHIPPING_COSTS_ALREADY_GRANTED")
    transaction = next((item for item in order.transactions if item.id == input["transactionId"]), None)
    if transaction is None:
        raise Refusal("transactionId", f"Couldn't resolve to a node: {input['transactionId']}", "NOT_FOUND")
    if amount is None:
        amount = sum((line.order_line.unit_gross * line.quantity for line in cleaned), order.shipping_gross if shipping else Decimal(0))
        amount = min(amount, transaction.charged)
    elif amount > transaction.charged:
        raise Refusal(
            "amount", "Amount cannot be greater than the charged amount of provided transaction.", "AMOUNT_GREATER_THAN_AVAILABLE"
        )
    now = world.clock.now()
    grant = OrderGrantedRefund(
        id=world.next_id("OrderGrantedRefund"),
        order=order,
        amount_value=Decimal(amount),
        reason=input.get("reason") or "",
        created_at=now,
        updated_at=now,
        lines=cleaned,
        transaction=transaction,
        reason_reference=page,
        app=context.caller.app,
        user=context.caller.user,
        shipping_costs_included=shipping,
    )
    order.granted_refunds.append(grant)
    world.granted_refunds[grant.id] = grant
    update_order_totals(world, order)
    return {"order": order, "grantedRefund": grant}


def update_grant(source: Any, context: Context, *, id: str, input: dict[str, Any]) -> dict[str, Any]:
    """orderGrantRefundUpdate: change a grant that is neither under way nor paid."""
    grant = context.world.granted_refunds.get(id)
    if grant is None:
        raise Refusal("id", f"Couldn't resolve to a node: {id}", "NOT_FOUND")
    if grant.status in ("PENDING", "SUCCESS"):
        raise Refusal("id", f"Cannot update granted refund with status {grant.status}.", "INVALID")
    amount = input.get("amount")
    if amount is not None:
        if grant.transaction is not None and amount > grant.transaction.charged:
            raise Refusal(
                "amount", "Amount cannot be greater than the charged amount of provided transaction.", "AMOUNT_GREATER_THAN_AVAILABLE"
            )
        grant.amount_value = Decimal(amount)
    if input.get("reason") is not None:
        grant.reason = input["reason"]
    removed = set(input.get("removeLines") or [])
    grant.lines = [line for line in grant.lines if line.id not in removed] + _clean_lines(context, grant.order, input.get("addLines") or [])
    grant.updated_at = context.world.clock.now()
    update_order_totals(context.world, grant.order)
    return {"order": grant.order, "grantedRefund": grant}


def request_granted(
    source: Any, context: Context, *, granted_refund_id: str, id: str | None = None, token: str | None = None
) -> dict[str, Any]:
    """transactionRequestRefundForGrantedRefund: ask the owner of the transaction to pay a grant.

    Refused while this grant is under way or paid. Other grants are not looked at: `charged` sinks only when their answer comes.
    """
    grant = context.world.granted_refunds.get(granted_refund_id)
    if grant is None:
        raise Refusal("grantedRefundId", f"Couldn't resolve to a node: {granted_refund_id}", "NOT_FOUND")
    if grant.transaction is not None:
        if grant.status == "PENDING":
            raise Refusal("grantedRefundId", "The refund request is already in progress.", "REFUND_IS_PENDING")
        if grant.status == "SUCCESS":
            raise Refusal("grantedRefundId", "The granted refund is already processed.", "REFUND_ALREADY_PROCESSED")
        if grant.transaction.charged < grant.amount_value:
            message = (
                f"The granted refund amount {grant.amount_value} is greater than available charged amount on transactionItem "
                f"({grant.transaction.charged}).Update the order granted refund amount to process the grant refund."
            )
            raise Refusal("grantedRefundId", message, "AMOUNT_GREATER_THAN_AVAILABLE")
        transaction = grant.transaction
    else:
        transaction = find_transaction(context, id, token)
        if transaction.order is not grant.order:
            raise Refusal("id", "The transaction belongs to different order than granted refund.", "INVALID")
        grant.transaction = transaction
    amount = min(grant.amount_value or transaction.charged, transaction.charged)
    event = request_event(context.world, transaction, "REFUND", amount, grant=grant)
    try:
        _ask_owner(context, event, "TRANSACTION_REFUND_REQUESTED")
    finally:
        update_grant_status(grant)
    return {"transaction": transaction}


def request_action(
    source: Any,
    context: Context,
    *,
    action_type: str,
    amount: Decimal | None = None,
    id: str | None = None,
    token: str | None = None,
    refund_reason: str | None = None,
    refund_reason_reference: str | None = None,
) -> dict[str, Any]:
    """transactionRequestAction: ask for a charge, a refund or a cancelation. An amount that is too high is silently cut."""
    transaction = find_transaction(context, id, token)
    if (refund_reason or refund_reason_reference) and action_type != "REFUND":
        raise Refusal("refundReason", "Reason can be set only for REFUND action.", "INVALID")
    page = _reason_page(context, refund_reason_reference, "refundReasonReference") if action_type == "REFUND" else None
    available = transaction.charged if action_type == "REFUND" else transaction.authorized
    wanted = min(amount or available, available)
    event = request_event(
        context.world,
        transaction,
        action_type,
        wanted,
        message=refund_reason or "",
        reason_reference=page,
        created_by=context.caller.app or context.caller.user,
    )
    events = {
        "REFUND": "TRANSACTION_REFUND_REQUESTED",
        "CHARGE": "TRANSACTION_CHARGE_REQUESTED",
        "CANCEL": "TRANSACTION_CANCELATION_REQUESTED",
    }
    _ask_owner(context, event, events[action_type])
    return {"transaction": transaction}


def _ask_owner(context: Context, event: Any, name: str) -> None:
    owner = owner_of(context.world, event.transaction)
    if owner is None or webhook_for(owner, name) is None:
        failure_event(context.world, event, "No app or plugin is configured to handle payment action requests.")
        message = "No app or plugin is configured to handle payment action requests."
        raise Refusal("", message, "MISSING_TRANSACTION_ACTION_REQUEST_WEBHOOK")
    context.requests.append(event)


def report_event(
    source: Any,
    context: Context,
    *,
    psp_reference: str,
    type: str,
    amount: Decimal | None = None,
    id: str | None = None,
    token: str | None = None,
    time: Any = None,
    external_url: str | None = None,
    message: str | None = None,
    available_actions: list[str] | None = None,
    transaction_metadata: list[dict[str, str]] | None = None,
    transaction_private_metadata: list[dict[str, str]] | None = None,
    payment_method_details: Any = None,
) -> dict[str, Any]:
    """transactionEventReport: the owner tells what happened.

    A second report of the same reference and type is a repetition when the amount is the same. When it is another, Saleor answers
    INCORRECT_DETAILS and writes a failure down, which a granted refund that was paid long ago then follows.
    """
    world, transaction = context.world, find_transaction(context, id, token)
    if not may_report(context.caller, transaction.app_identifier, transaction.user):
        raise PermissionDenied(("OWNER", "HANDLE_PAYMENTS"))
    amount = _report_amount(context, type, psp_reference, amount, transaction.currency)
    known = existing_event(transaction, psp_reference, type)
    if known is not None and known.amount_value == amount:
        if available_actions is not None:
            transaction.actions = sorted(set(available_actions))
        return {"alreadyProcessed": True, "transaction": transaction, "transactionEvent": known}
    requests = [each for each in transaction.events if (each.psp_reference, each.type) == (psp_reference, "REFUND_REQUEST")]
    grant = requests[-1].granted_refund if requests and type in REFUND_TYPES else None
    if known is None and type == "AUTHORIZATION_SUCCESS" and any(each.type == type for each in transaction.events):
        raise Refusal("type", "Event with `AUTHORIZATION_SUCCESS` already reported for the transaction.", "ALREADY_EXISTS")
    event = add_event(
        world,
        transaction,
        type,
        amount,
        created_at=time,
        psp_reference=psp_reference,
        message=(message or "")[:512],
        external_url=external_url or "",
        include_in_calculations=True,
        app_identifier=context.caller.app.identifier if context.caller.app else "",
        granted_refund=grant,
        created_by=context.caller.app or context.caller.user,
    )
    if known is not None:
        transaction.events.remove(event)
        failure_event(world, event, SAME_REFERENCE_OTHER_AMOUNT)
        update_grant_status(grant)
        raise Refusal("pspReference", SAME_REFERENCE_OTHER_AMOUNT, "INCORRECT_DETAILS")
    if type.startswith(("CHARGE", "AUTHORIZATION")) and type.endswith(("REQUEST", "SUCCESS")) and not transaction.psp_reference:
        transaction.psp_reference = psp_reference
    if available_actions is not None:
        transaction.actions = sorted(set(available_actions))
    _set_metadata(context, transaction, transaction_metadata, transaction_private_metadata)
    context.happened += [(name, transaction.order) for name in settle(world, transaction)]
    update_grant_status(grant)
    return {"alreadyProcessed": False, "transaction": transaction, "transactionEvent": event}


def _report_amount(context: Context, type: str, psp_reference: str, amount: Decimal | None, currency: str) -> Decimal:
    if amount is None:
        if type not in OPTIONAL_AMOUNT:
            raise Refusal("amount", f"The `amount` field is required for {type} event.", "REQUIRED")
        amount = amount_from_history(context.world, type, psp_reference)
        if amount is None:
            raise Refusal("amount", f"Unable to deduce the amount for {type.lower()} event.", "REQUIRED")
    return quantized(amount, currency)


def _set_metadata(context: Context, transaction: TransactionItem, public: Any, private: Any) -> None:
    transaction.metadata |= {each["key"]: each["value"] for each in public or []}
    transaction.private_metadata |= {each["key"]: each["value"] for each in private or []}
    if public or private:
        context.happened.append(("TRANSACTION_ITEM_METADATA_UPDATED", transaction))


ADJUSTED = "Manual adjustment of the transaction."
AMOUNTS = (("amountCharged", "CHARGE_SUCCESS"), ("amountAuthorized", "AUTHORIZATION_SUCCESS"), ("amountRefunded", "REFUND_SUCCESS"))


def create_transaction(
    source: Any, context: Context, *, id: str, transaction: dict[str, Any], transaction_event: dict[str, Any] | None = None
) -> dict[str, Any]:
    """transactionCreate: an app says that an order was paid through it, and owns the transaction from then on."""
    order, world = _order(context, id), context.world
    now, app = world.clock.now(), context.caller.app
    item = TransactionItem(
        id=global_id("TransactionItem", uuid.uuid4()),
        order=order,
        name=transaction.get("name") or "",
        message=transaction.get("message") or "",
        psp_reference=transaction.get("pspReference") or "",
        currency=order.currency,
        app=app,
        app_identifier=app.identifier if app else "",
        user=context.caller.user,
        created_at=now,
        modified_at=now,
        external_url=transaction.get("externalUrl") or "",
        actions=sorted(set(transaction.get("availableActions") or [])),
    )
    order.transactions.append(item)
    world.transactions[item.id] = item
    _set_metadata(context, item, transaction.get("metadata"), transaction.get("privateMetadata"))
    for field, type_name in AMOUNTS:
        if money := transaction.get(field):
            if money["currency"] != order.currency:
                raise Refusal("transaction", "Currency needs to be the same as for order.", "INCORRECT_CURRENCY")
            add_event(world, item, type_name, money["amount"], include_in_calculations=True, message=ADJUSTED)
    context.happened += [(name, order) for name in settle(world, item)]
    return {"transaction": item}


def update_transaction(
    source: Any,
    context: Context,
    *,
    id: str | None = None,
    token: str | None = None,
    transaction: dict[str, Any] | None = None,
    transaction_event: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """transactionUpdate: the owner corrects its transaction. Amounts are set, so the difference becomes an event without reference."""
    item, values = find_transaction(context, id, token), transaction or {}
    if not may_report(context.caller, item.app_identifier, item.user):
        raise PermissionDenied(("OWNER", "HANDLE_PAYMENTS"))
    for field, attribute in (("name", "name"), ("message", "message"), ("pspReference", "psp_reference"), ("externalUrl", "external_url")):
        if values.get(field) is not None:
            setattr(item, attribute, values[field])
    if values.get("availableActions") is not None:
        item.actions = sorted(set(values["availableActions"]))
    _set_metadata(context, item, values.get("metadata"), values.get("privateMetadata"))
    for (field, type_name), attribute in zip(AMOUNTS, ("charged", "authorized", "refunded"), strict=True):
        if (money := values.get(field)) and (difference := money["amount"] - getattr(item, attribute)):
            add_event(context.world, item, type_name, difference, include_in_calculations=True, message=ADJUSTED)
    context.happened += [(name, item.order) for name in settle(context.world, item)]
    return {"transaction": item}
