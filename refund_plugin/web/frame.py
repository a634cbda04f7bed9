"""What all customer pages share: headers, errors as pages, the store, the host's frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from wagtail.models import Site

from refund_plugin import conf
from refund_plugin.errors import NotFound, RateLimited
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import store_for_site
from refund_plugin.web.headers import protect

View = Callable[..., HttpResponse]


def customer_page(view: View) -> View:
    """Make a view a customer page: private, uncached, outside a host's `ATOMIC_REQUESTS`, errors shown as pages."""

    @wraps(view)
    def page(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except NotFound:
            response = show(request, "not_found", status=404)
        except RateLimited as error:
            minutes = max(1, round(error.retry_after_seconds / 60))
            response = show(request, "too_many", {"minutes": minutes}, status=429)
            response.headers["Retry-After"] = str(error.retry_after_seconds)
        protect(response)
        return response

    # explicit: a host may have left the middleware out
    return transaction.non_atomic_requests(never_cache(csrf_protect(page)))


def show(request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200) -> HttpResponse:
    """Render one of our templates in the host's frame."""
    frame = {"refund_base_template": conf.settings().base_template}
    return render(request, f"refund_plugin/web/{template}.html", {**frame, **(context or {})}, status=status)


def store_of(request: HttpRequest) -> Store:
    """Return the store of the Wagtail site that was asked."""
    site = Site.find_for_request(request)
    return store_for_site(wagtail_site_id=site.pk if site else None)


def formatter_of(store: Store) -> Formatter:
    """Return how amounts and dates are written in the active language and the store's time zone."""
    return formatter_for(timezone=store.timezone, locale=get_language())
