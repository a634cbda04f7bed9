"""Which addresses we call: that of an installation's API and what else lies on its origin, nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

from refund_plugin.saleor.errors import AddressRefused
from refund_plugin.saleor.options import is_secure, normalised


def checked(api_url: str) -> str:
    """Return an API address that a token may be sent to.

    Raises:
        AddressRefused: no http(s) address, one with a name and password in it, or plain http to another machine.
    """
    if not normalised(api_url) or not is_secure(api_url):
        raise AddressRefused
    return api_url.strip()


def origin(api_url: str) -> str:
    """Return scheme, host and port of an address, without a slash at the end."""
    parts = urlsplit(normalised(checked(api_url)))
    return f"{parts.scheme}://{parts.netloc}"


def keys_url(api_url: str) -> str:
    """Return where a Saleor publishes its keys."""
    return f"{origin(api_url)}/.well-known/jwks.json"
