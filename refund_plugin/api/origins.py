"""Calls from a storefront's page in the browser: answered to the origins that the settings name, and without cookies.

Source: WHATWG Fetch, "CORS protocol". No origin is allowed to send credentials of the browser, so a page can only bring what it holds
itself: a customer's token, or an order number with its e-mail address.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

from refund_plugin.conf import settings

HEADERS = "Authorization, Authorization-Bearer, Content-Type, Saleor-Api-Url"
REMEMBERED_SECONDS = 600


def preflight(request: HttpRequest) -> HttpResponse | None:
    """Return the answer to the browser's question before a call; None when it is none, or its origin is not named."""
    if request.method != "OPTIONS" or not _allowed(request) or request.headers.get("Access-Control-Request-Method") != "POST":
        return None
    told = {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": HEADERS,
        "Access-Control-Max-Age": str(REMEMBERED_SECONDS),
    }
    return HttpResponse(status=204, headers=told)


def allow(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let a page of a named origin read an answer."""
    if not settings().storefront_origins:
        return
    patch_vary_headers(response, ["Origin"])
    if _allowed(request):
        response["Access-Control-Allow-Origin"] = request.headers["Origin"]


def _allowed(request: HttpRequest) -> bool:
    return request.headers.get("Origin") in settings().storefront_origins
