"""The panels beside an order and a customer in Saleor's dashboard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from refund_plugin import clock, content
from refund_plugin.errors import NotAllowed, RefundPluginError
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.presenting import quote_lines
from refund_plugin.refunds.queries import requests_of_customer
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.refunds.states import RequestState
from refund_plugin.refunds.timeline import payment_name
from refund_plugin.rules import Reason
from refund_plugin.saleor_app.frame import dashboard_page, formatter_of, show
from refund_plugin.saleor_app.people import history_of
from refund_plugin.saleor_app.presenting import admin_url, refunds_elsewhere, request_card
from refund_plugin.saleor_app.starting import Choice, can_choose, preview, start
from refund_plugin.saleor_app.visits import Visit

MAX_QUANTITY = 100  # in a list to choose from
SHOWN_REQUESTS = 20


@dashboard_page("order")
def order_widget(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Show what the policy says of an order and what was asked before; lead through the steps that start a refund."""
    now = clock.now()
    purchase = visit.purchases().select_related("customer", "store").first()
    if purchase is None:
        return show(visit, "order_unknown", {})
    step = request.POST.get("step", "")
    if step in STEPS:
        check_may_send(visit)
        return STEPS[step](request, visit, purchase, now)
    return _overview(visit, purchase, now)


@dashboard_page("customer")
def customer_widget(request: HttpRequest, visit: Visit) -> HttpResponse:
    """Show what a customer bought, got back and disputed."""
    return show(visit, "customer", {"history": history_of(visit)})


def check_may_send(visit: Visit) -> None:
    """Raises NotAllowed, naming the permission, where a person may look but not move money."""
    if not visit.may_send:
        text = _("To refund money you need the permission “%(permission)s” in Saleor. Ask an administrator of your store for it.")
        raise NotAllowed(text % {"permission": _("Handle payments")})


def _overview(visit: Visit, purchase: Purchase, now: datetime, *, made: RefundRequest | None = None) -> HttpResponse:
    formatter = formatter_of(visit)
    quote = quote_purchase(purchase=purchase, now=now)
    asked = requests_of_customer([purchase.customer_id]).filter(purchase=purchase)[:SHOWN_REQUESTS]
    context = {
        "purchase": purchase,
        "quote": quote,
        "lines": quote_lines(quote, formatter),
        "policy_url": content.policy_pages().policy_url(quote.version) if quote.version else "",
        "cards": [(request_card(request), admin_url(request)) for request in asked],
        "all_gone": bool(quote.lines) and all(line.verdict.reason == Reason.ALREADY_REFUNDED for line in quote.lines),
        "elsewhere": refunds_elsewhere([purchase]),
        "can_start": visit.may_send and any(can_choose(line) for line in quote.lines),
        "made": made,
        "made_waits": made is not None and made.state == RequestState.IN_REVIEW,
    }
    return show(visit, "order", context)


def _choose(request: HttpRequest, visit: Visit, purchase: Purchase, now: datetime) -> HttpResponse:
    problem, choice = None, None
    if "key" in request.POST:  # back from the page that asks whether this is right
        try:
            choice = Choice.sent(request.POST)
        except RefundPluginError as error:
            problem = error
    return _form(visit, purchase, choice, now, problem=problem)


def _form(visit: Visit, purchase: Purchase, choice: Choice | None, now: datetime, *, problem: RefundPluginError | None) -> HttpResponse:
    quote = quote_purchase(purchase=purchase, now=now)
    choice = choice or Choice.first(quote)
    rows = [
        {
            "line": told,
            "ticked": told.line_id in choice.lines,
            "quantity": choice.lines.get(told.line_id, line.quantity),
            "quantities": range(1, min(line.max_quantity, MAX_QUANTITY) + 1),
        }
        for line, told in zip(quote.lines, quote_lines(quote, formatter_of(visit)), strict=True)
        if can_choose(line)
    ]
    context = {"purchase": purchase, "rows": rows, "choice": choice, "reasons": RequestReason.choices}
    return show(visit, "order_choose", context, problem=problem)


def _check(request: HttpRequest, visit: Visit, purchase: Purchase, now: datetime) -> HttpResponse:
    choice = None
    try:
        choice = Choice.sent(request.POST)
        shown = preview(purchase=purchase, choice=choice, now=now)
    except RefundPluginError as error:
        return _form(visit, purchase, choice, now, problem=error)
    return show(
        visit, "order_check", _checked(visit, purchase, choice) | {"preview": shown, "lines": quote_lines(shown.quote, formatter_of(visit))}
    )


def _send(request: HttpRequest, visit: Visit, purchase: Purchase, now: datetime) -> HttpResponse:
    choice = None
    try:
        choice = Choice.sent(request.POST)
        made = start(visit=visit, purchase=purchase, choice=choice, now=now)
    except RefundPluginError as error:
        return _form(visit, purchase, choice, now, problem=error)
    return _overview(visit, purchase, now, made=made)


def _checked(visit: Visit, purchase: Purchase, choice: Choice) -> dict[str, Any]:
    names = [payment_name(payment, for_staff=True) for payment in purchase.payments.all() if payment.left]
    return {
        "purchase": purchase,
        "choice": choice,
        "reason": RequestReason(choice.reason).label,
        "paid_with": ", ".join(dict.fromkeys(names)),
    }


STEPS: Mapping[str, Any] = {"choose": _choose, "check": _check, "send": _send}
