"""The electronic withdrawal function: two steps, no account, no reason, and a receipt with date and time.

Source: Directive 2011/83/EU art. 11a, as added by Directive (EU) 2023/2673 and required since 19 June 2026: "withdraw from contract
here", a statement to complete, "confirm withdrawal", and an acknowledgement of receipt on a durable medium without delay. Nothing
stands before it: no question why, and no offer to mend anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import uuid4

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from refund_plugin import clock
from refund_plugin.errors import ExceedsBalance, InvalidInput, NotFound
from refund_plugin.limits.network import network_of
from refund_plugin.localize import Formatter
from refund_plugin.orders.lookup import count_request
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.refunds.law import WITHDRAWAL_CHANNEL, declared_by_line, exact_time
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.tracking import find_by_token, tracking_token
from refund_plugin.web.forms import LookupForm, Problem
from refund_plugin.web.frame import customer_page, formatter_of, show, store_of
from refund_plugin.web.proof import buyer, open_purchase, prove, withdrawal_page
from refund_plugin.web.wording import masked

MAX_KEY = 64


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def start(request: HttpRequest) -> HttpResponse:
    """Ask which contract, exactly as the first page of a refund does; an unknown order and a wrong address read the same."""
    store = store_of(request)
    form = LookupForm(request.POST or None, initial={"number": request.GET.get("order", "")[:64]})
    if request.method == "POST" and form.is_valid() and (bought := prove(request, form, store)):
        return redirect(withdrawal_page(bought))
    return show(request, "withdraw_start", {"form": form, "problems": form.problems()}, status=422 if form.errors else 200)


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw(request: HttpRequest, ref: str, token: str = "") -> HttpResponse:
    """Step 1 asks from what; its POST shows step 2, whose POST with `confirm` is the withdrawal."""
    now = clock.now()
    bought = open_purchase(request, ref, now=now, list_token=token)
    key = request.POST.get("submission_key", "").replace("\x00", "")[:MAX_KEY] or uuid4().hex
    sent = RefundRequest.objects.filter(purchase=bought, submission_key=key, is_withdrawal=True).first()
    if sent is not None:  # sent twice: the first one counts, and so does its time
        return redirect(_receipt_path(sent))
    declared = declared_by_line(bought)
    lines = [line for line in bought.lines.all() if line.quantity_left > 0 and line.left_minor > 0 and line.pk not in declared]
    chosen = lines
    problems: list[Problem] = []
    if request.method == "POST":
        wanted = set(request.POST.getlist("line"))
        chosen = [line for line in lines if str(line.pk) in wanted]
        try:
            if not chosen:
                raise InvalidInput(_("Tick at least one thing that you withdraw from."), field="lines")
            if "confirm" in request.POST:
                return redirect(_receipt_path(_declare(request, bought, chosen, key=key, now=now)))
        except (InvalidInput, ExceedsBalance) as error:
            problems = [Problem(text=str(error), target="lines")]
    confirming = request.method == "POST" and not problems
    formatter = formatter_of(bought.store)
    context = {
        "purchase": bought,
        "action": withdrawal_page(bought, list_token=token),
        "bought_on": formatter.date(bought.purchased_at),
        "email": masked(bought.customer.email),
        "rows": [_row(line) for line in (chosen if confirming else lines)],
        "ticked": {line.pk for line in chosen},
        "declared": _declared(declared, formatter),
        "submission_key": key,
        "problems": problems,
    }
    return show(request, "withdraw_confirm" if confirming else "withdraw", context, status=422 if problems else 200)


@customer_page
@require_safe
def receipt(request: HttpRequest, token: str) -> HttpResponse:
    """Show the acknowledgement of receipt: what was declared, and when it arrived. The link is the one of the request."""
    found = find_by_token(token)
    if not found.is_withdrawal or found.withdrawn_at is None or found.reimburse_by is None:
        raise NotFound
    formatter = formatter_of(found.store)
    context = {
        "refund": found,
        "token": token,
        "lines": [item.line.name for item in found.lines.select_related("line").order_by("line__position", "line_id")],
        "email": masked(found.customer.email),
        "bought_on": formatter.date(found.purchase.purchased_at),
        "withdrawn": exact_time(found.withdrawn_at, formatter),
        "back_by": formatter.date(found.reimburse_by),
    }
    return show(request, "withdraw_receipt", context)


def _declare(request: HttpRequest, bought: Purchase, chosen: Sequence[PurchaseLine], *, key: str, now: datetime) -> RefundRequest:
    count_request(purchase=bought, network=network_of(request.META), now=now)
    return request_refund(
        purchase_id=bought.pk,
        lines={line.pk: line.quantity_left for line in chosen},
        reason=RequestReason.CHANGED_MIND,
        by=buyer(bought),
        submission_key=key,
        channel=WITHDRAWAL_CHANNEL,
        locale=get_language() or "",
        withdrawal=True,
        now=now,
    )


def _receipt_path(found: RefundRequest) -> str:
    return reverse("refund_plugin:withdraw_receipt", args=[tracking_token(found)])


def _row(line: PurchaseLine) -> dict[str, object]:
    name = line.name if line.quantity_left == 1 else f"{line.name} × {line.quantity_left}"
    return {"id": line.pk, "name": name, "meta": line.product_type}


def _declared(declared: Mapping[int, RefundRequest], formatter: Formatter) -> list[dict[str, str]]:
    """Return the withdrawals made before, each with its receipt."""
    earlier = {found.pk: found for found in declared.values()}
    return [
        {"url": _receipt_path(found), "reference": found.reference, "time": formatter.datetime(found.withdrawn_at or found.created_at)}
        for found in earlier.values()
    ]
