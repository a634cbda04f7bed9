"""`GET /refunds/saleor/manifest.json`: what the App is, may do, and listens to. Source: Saleor's "App manifest" reference.

The permissions are as few as possible; docs/saleor.md says of each what it is for.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.templatetags.static import static
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from refund_plugin import __version__, documents
from refund_plugin.conf import settings
from refund_plugin.saleor_app.addresses import absolute, base_of

APP_ID = "wagtail.refund-plugin"
PERMISSIONS = ("MANAGE_ORDERS", "HANDLE_PAYMENTS")
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


def app_id() -> str:
    """Return the App's own id; installations of this plugin that share one Saleor differ by `INSTALLATION`."""
    name = settings().installation
    return APP_ID if name == "default" else f"{APP_ID}.{name}"


@require_safe
@never_cache
def manifest(request: HttpRequest) -> JsonResponse:
    """Answer with the manifest; 404 is not given for a site without Saleor, because the App then refuses to be installed anyway."""
    return JsonResponse(manifest_for(base_of(request)))


def manifest_for(base: str) -> dict[str, Any]:
    """Return the manifest with addresses under `base`, such as `https://shop.example`."""
    return {
        "id": app_id(),
        "version": __version__,
        "requiredSaleorVersion": REQUIRED_VERSION,
        "name": _("Refunds"),
        "about": _("Customers ask for refunds, your published policy decides, and the money goes back once."),
        "author": "wagtail-refund-plugin",
        "permissions": list(PERMISSIONS),
        "appUrl": absolute(base, reverse("refund_plugin:ask")),
        "tokenTargetUrl": absolute(base, reverse("refund_plugin:saleor_register")),
        "brand": {"logo": {"default": absolute(base, static("refund_plugin/saleor_app/logo.png"))}},
        "webhooks": [
            _webhook(base, "saleor_webhooks", name="Orders and payments", document="OrderEvents", asynchronous=ORDER_EVENTS),
            _webhook(base, "saleor_webhooks", name="Removal of the App", document="AppEvents", asynchronous=("APP_DELETED",)),
        ],
        "extensions": [],
    }


def _webhook(base: str, view: str, *, name: str, document: str, asynchronous: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "name": name,
        "targetUrl": absolute(base, reverse(f"refund_plugin:{view}")),
        "query": documents.document(f"saleor/subscriptions/{document}"),
        "asyncEvents": list(asynchronous),
        "isActive": True,
    }
