"""`GET /refunds/saleor/manifest.json`: what the App is, may do, and listens to. Source: Saleor's "App manifest" reference.

The permissions are as few as possible; docs/saleor.md says of each what it is for.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import Http404, HttpRequest, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from refund_plugin import __version__, documents
from refund_plugin.conf import settings
from refund_plugin.saleor.errors import SaleorVersionUnsupported
from refund_plugin.saleor.options import CREDIT_OPTIONS, STORE_CREDIT
from refund_plugin.saleor.versions import Version, read_version
from refund_plugin.saleor_app.addresses import absolute, base_of

APP_ID = "wagtail.refund-plugin"
PERMISSIONS = ("MANAGE_ORDERS", "HANDLE_PAYMENTS")
LOOK = "MANAGE_ORDERS"  # whoever may see orders may see their refunds
WIDGETS_SINCE = Version(3, 22)
REQUIRED_VERSION = ">=3.20 <4"
ORDER_EVENTS = (
    "ORDER_CONFIRMED",
    "ORDER_PAID",
    "ORDER_FULLY_PAID",
    "ORDER_UPDATED",
    "ORDER_REFUNDED",
    "ORDER_FULLY_REFUNDED",
    "ORDER_CANCELLED",
    "TRANSACTION_ITEM_METADATA_UPDATED",
)
TRANSACTION_EVENTS = ("TRANSACTION_REFUND_REQUESTED", "TRANSACTION_CHARGE_REQUESTED", "TRANSACTION_CANCELATION_REQUESTED")
EVENTS = frozenset((*ORDER_EVENTS, "APP_DELETED", *TRANSACTION_EVENTS))


def app_id() -> str:
    """Return the App's own id; installations of this plugin that share one Saleor differ by `INSTALLATION`."""
    name = settings().installation
    return APP_ID if name == "default" else f"{APP_ID}.{name}"


@require_safe
@never_cache
@transaction.non_atomic_requests  # as every view of ours: nothing of it needs a host's transaction
def manifest(request: HttpRequest) -> JsonResponse:
    """Answer with the manifest, as far as the Saleor that asks can read it; 404 for a site that no Saleor may install."""
    if not settings().saleor:
        raise Http404
    return JsonResponse(manifest_for(base_of(request), schema=request.headers.get("Saleor-Schema-Version", "")))


def manifest_for(base: str, *, schema: str = "") -> dict[str, Any]:
    """Return the manifest with addresses under `base`, such as `https://shop.example`.

    Args:
        schema: version of the Saleor that it is for, such as "3.22"; "" is the newest.
    """
    return {
        "id": app_id(),
        "version": __version__,
        "requiredSaleorVersion": REQUIRED_VERSION,
        "name": _("Refunds"),
        "about": _("Customers ask for refunds, your published policy decides, and the money goes back once."),
        "author": "wagtail-refund-plugin",
        "permissions": _permissions(),
        "appUrl": _at(base, "saleor_app"),
        "tokenTargetUrl": _at(base, "saleor_register"),
        "brand": {"logo": {"default": absolute(base, static("refund_plugin/saleor_app/logo.png"))}},
        "webhooks": _webhooks(base),
        "extensions": _extensions(base, with_widgets=_shows_widgets(schema)),
    }


def _permissions() -> list[str]:
    """Return what the App asks for: more only where the settings want store credit or incentives to be given."""
    wanted = {str(options.get(name) or "") for options in settings().saleor.values() for name in CREDIT_OPTIONS}
    return [*PERMISSIONS, *(STORE_CREDIT[kind] for kind in sorted(wanted & STORE_CREDIT.keys()))]


def _webhooks(base: str) -> list[dict[str, Any]]:
    return [
        _webhook("Orders and payments", _at(base, "saleor_webhooks"), "OrderEvents", asyncEvents=ORDER_EVENTS),
        _webhook("Removal of the App", _at(base, "saleor_webhooks"), "AppEvents", asyncEvents=("APP_DELETED",)),
        _webhook("Refunds of our transactions", _at(base, "saleor_transactions"), "TransactionRequested", syncEvents=TRANSACTION_EVENTS),
    ]


def _webhook(name: str, url: str, document: str, **events: tuple[str, ...]) -> dict[str, Any]:
    query = documents.document(f"saleor/subscriptions/{document}")
    return {"name": name, "targetUrl": url, "query": query, "isActive": True, **{kind: list(names) for kind, names in events.items()}}


def _extensions(base: str, *, with_widgets: bool) -> list[dict[str, Any]]:
    page = {"label": _("Refunds"), "mount": "NAVIGATION_ORDERS", "target": "APP_PAGE", "permissions": [LOOK], "url": "/"}
    if not with_widgets:
        return [page]
    return [
        page,
        _widget(_("Refund"), "ORDER_DETAILS_WIDGETS", _at(base, "saleor_order_widget")),
        _widget(_("Refunds"), "CUSTOMER_DETAILS_WIDGETS", _at(base, "saleor_customer_widget")),
    ]


def _widget(label: str, mount: str, url: str) -> dict[str, Any]:
    # posted to, so that the dashboard's token stands in no address and the page needs no script to be read
    options = {"widgetTarget": {"method": "POST"}}
    return {"label": label, "mount": mount, "target": "WIDGET", "permissions": [LOOK], "options": options, "url": url}


def _shows_widgets(schema: str) -> bool:
    try:
        return read_version(schema) >= WIDGETS_SINCE
    except SaleorVersionUnsupported:
        return True


def _at(base: str, view: str) -> str:
    return absolute(base, reverse(f"refund_plugin:{view}"))
