"""What `REFUND_PLUGIN["SALEOR"]` says of one Saleor: the allow-list of who may install the App, and its options."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from django.utils.text import slugify

from refund_plugin.conf import settings

# each has a row in docs/saleor.md
OPTIONS = frozenset(
    {"store", "site", "payment_account", "product_types", "metadata", "dashboard", "app_url", "reasons", "store_credit", "incentive"}
)
# what `store_credit` and `incentive` may be, and the permission that it takes: of the App, and of whoever gives it
CREDIT_OPTIONS = ("store_credit", "incentive")
STORE_CREDIT = {"gift_card": "MANAGE_GIFT_CARD", "voucher": "MANAGE_DISCOUNTS"}
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_SLUG = 50


def normalised(api_url: str) -> str:
    """Return an API address as addresses are compared: host in lower case, no default port, one slash at the end; "" if it is none."""
    try:
        parts = urlsplit(api_url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in DEFAULT_PORTS or not host or parts.username is not None or parts.query or parts.fragment:
        return ""
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in (None, DEFAULT_PORTS[parts.scheme]) else f"{shown}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}/"


def is_secure(api_url: str) -> bool:
    """Tell whether a token may be sent there: over TLS, or to this very machine."""
    parts = urlsplit(api_url)
    return parts.scheme == "https" or parts.hostname in LOCAL_HOSTS


def allowed_options(api_url: str) -> Mapping[str, object] | None:
    """Return the options of a Saleor, by its API address; None when the settings do not name it."""
    wanted = normalised(api_url)
    if not wanted:
        return None
    for address, options in settings().saleor.items():
        if normalised(address) == wanted:
            return options
    return None


def slug_for(api_url: str) -> str:
    """Return the slug that a new installation gets: the option `store`, else made from the host's name and port."""
    options = allowed_options(api_url) or {}
    return str(options.get("store") or slugify(urlsplit(api_url).netloc.replace(".", "-").replace(":", "-"))[:MAX_SLUG])


def site_of(api_url: str) -> str:
    """Return the host name of the Wagtail site that is to be a Saleor's, as the option `site` has it; "" when it names none."""
    return str((allowed_options(api_url) or {}).get("site") or "").strip().lower()
