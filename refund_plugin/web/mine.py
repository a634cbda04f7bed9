"""What a signed-in customer asked for and bought."""

from __future__ import annotations

from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.views.decorators.http import require_safe

from refund_plugin.orders.queries import purchases_of_user
from refund_plugin.refunds.queries import requests_of_user
from refund_plugin.web.frame import customer_page, formatter_of, show, store_of
from refund_plugin.web.wording import purchase_cards, request_cards

SHOWN = 50


@customer_page
@require_safe
def mine(request: HttpRequest) -> HttpResponse:
    """List refunds and purchases; who is not signed in learns how to get there."""
    if not request.user.is_authenticated:
        login_url = f"{resolve_url(django_settings.LOGIN_URL)}?{urlencode({'next': request.path})}"
        return show(request, "mine_signed_out", {"login_url": login_url})
    store = store_of(request)
    formatter = formatter_of(store)
    context = {
        "requests": request_cards(requests_of_user(request.user)[:SHOWN], formatter),
        "purchases": purchase_cards(purchases_of_user(request.user, store)[:SHOWN], formatter),
    }
    return show(request, "mine", context)
