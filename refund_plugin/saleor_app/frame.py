"""What the pages within Saleor's dashboard share: the frame they may stand in, their headers, and errors as pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from refund_plugin import clock
from refund_plugin.errors import NotAllowed, NotFound, RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options
from refund_plugin.saleor_app.visits import Visit, VisitRefused, enter, named_by

# A form of ours: a token, a ticket, a message of at most 4,000 characters, and a few fields for each line.
MAX_BODY_BYTES = 256 * 1024
CONTENT_SECURITY_POLICY = "; ".join(
    ("default-src 'self'", "img-src 'self' data:", "object-src 'none'", "base-uri 'none'", "form-action 'self'", "frame-ancestors {}")
)
STATUS = {VisitRefused: 403, NotAllowed: 403, NotFound: 404}

Answer = Callable[[HttpRequest, Visit], HttpResponse]


def dashboard_page(kind: str) -> Callable[[Answer], Callable[[HttpRequest], HttpResponse]]:
    """Make a view a page of Saleor's dashboard: who asks is proven by each POST; a GET shows nothing and asks the dashboard for it.

    Exempt from CSRF protection, which is about cookies: these pages read none, and what a POST carries proves who sent it.

    Args:
        kind: what the page is about, as in `Visit`; "" where the form says so.
    """

    def decorate(view: Answer) -> Callable[[HttpRequest], HttpResponse]:
        @wraps(view)
        def page(request: HttpRequest) -> HttpResponse:
            told = str(request.META.get("CONTENT_LENGTH") or "")
            if told.isdecimal() and int(told) > MAX_BODY_BYTES:
                return HttpResponse(status=413)
            installation = named_by(request)
            try:
                if request.method == "POST":
                    response = view(request, enter(request, installation=installation, kind=kind, now=clock.now()))
                else:
                    response = _ask_dashboard(request, installation)
            except (VisitRefused, NotAllowed, NotFound) as error:
                response = _render("problem", installation, {"problem": error}, status=STATUS[type(error)])
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY.format(dashboard_of(installation) or "'none'")
            response.headers["Referrer-Policy"] = "same-origin"
            response.headers["X-Robots-Tag"] = "noindex"
            return response

        guarded = require_http_methods(["GET", "HEAD", "POST"])(page)
        # the report of an error names a form's fields; these two open the page to whoever reads it
        guarded = sensitive_post_parameters("accessToken", "ticket")(guarded)
        # explicit: each step of a service commits on its own, also in a host with ATOMIC_REQUESTS
        return transaction.non_atomic_requests(csrf_exempt(xframe_options_exempt(never_cache(guarded))))

    return decorate


def show(visit: Visit, template: str, context: Mapping[str, Any], *, problem: RefundPluginError | None = None) -> HttpResponse:
    """Render a page for a visit, with what is to be put right above it."""
    told = {"visit": visit, "formatter": formatter_of(visit), "problem": problem, "theme": visit.theme, **context}
    return _render(template, visit.installation, told, status=422 if problem else 200)


def formatter_of(visit: Visit) -> Formatter:
    """Return how amounts and times are written: in the reader's language and the store's time zone."""
    return formatter_for(timezone=visit.store.timezone)


def dashboard_of(installation: SaleorInstallation | None) -> str:
    """Return the origin of a Saleor's dashboard: its option `dashboard`, else that of its API; "" when it is unknown."""
    if installation is None:
        return ""
    options = allowed_options(installation.api_url) or {}
    parts = urlsplit(str(options.get("dashboard") or installation.api_url))
    return f"{parts.scheme}://{parts.netloc}"


def _ask_dashboard(request: HttpRequest, installation: SaleorInstallation | None) -> HttpResponse:
    """Answer an address that is opened: the page has a script ask the dashboard, which hands its token only to that."""
    if installation is None:
        raise NotFound
    wanted = ("saleorApiUrl", "orderId", "customerId", "theme")
    context = {"fields": {name: request.GET[name] for name in wanted if name in request.GET}, "theme": request.GET.get("theme", "")}
    return _render("shell", installation, context)


def _render(template: str, installation: SaleorInstallation | None, context: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    # without the request: a host's context processors may ask for the session, and there is none
    frame = {"dashboard": dashboard_of(installation)}
    return HttpResponse(render_to_string(f"refund_plugin/saleor_app/{template}.html", {**frame, **context}), status=status)
