"""For customers without an order number: their purchases by mail, and the list that the mail links to."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_safe

from refund_plugin import clock, conf
from refund_plugin.limits.network import network_of
from refund_plugin.limits.services import check_limits
from refund_plugin.orders.queries import clean_email, purchases_of_customer
from refund_plugin.orders.services import ask_for_purchase_list
from refund_plugin.refunds.queries import requests_of_customer
from refund_plugin.refunds.tracking import customer_by_token
from refund_plugin.web.forms import MailForm
from refund_plugin.web.frame import customer_page, formatter_of, show, store_of
from refund_plugin.web.wording import masked, purchase_cards, request_cards


@customer_page
@require_http_methods(["GET", "HEAD", "POST"])
def purchases(request: HttpRequest) -> HttpResponse:
    """Ask for the address; the answer is the same whether we know it or not."""
    form = MailForm(request.POST) if request.method == "POST" else MailForm()
    if form.is_bound and form.is_valid():
        email, limit, now = form.cleaned_data["email"], conf.settings().limit_mail, clock.now()
        # the network first: a try that is refused for it does not count for the address
        check_limits(limits=[("mail:network", network_of(request.META), limit)], now=now)
        check_limits(limits=[("mail:address", clean_email(email), limit)], now=now)
        ask_for_purchase_list(store=store_of(request), email=email, now=now)
        return redirect("refund_plugin:purchases_sent")
    return show(request, "purchases", {"form": form, "problems": form.problems()}, status=422 if form.errors else 200)


@customer_page
@require_safe
def sent(request: HttpRequest) -> HttpResponse:
    """Say that the mail is on its way."""
    return show(request, "purchases_sent")


@customer_page
@require_safe
def purchase_list(request: HttpRequest, token: str) -> HttpResponse:
    """List the purchases and refunds of the customer who got the mail."""
    customer = customer_by_token(token)
    formatter = formatter_of(customer.store)
    context = {
        "email": masked(customer.email),
        "purchases": purchase_cards(purchases_of_customer(customer), formatter, list_token=token),
        "requests": request_cards(requests_of_customer([customer.pk]), formatter),
    }
    return show(request, "purchase_list", context)
