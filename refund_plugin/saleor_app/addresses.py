"""The addresses that Saleor, its dashboard and its staff reach us under."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from django.http import HttpRequest

from refund_plugin.conf import settings


def base_of(request: HttpRequest) -> str:
    """Return scheme and host for the manifest of this request, without a slash at the end.

    An option `app_url` wins (the one of the host that was asked for, else the first), then `PUBLIC_URL`, then the request's own.
    """
    given = [str(options["app_url"]).rstrip("/") for options in settings().saleor.values() if options.get("app_url")]
    asked = request.get_host()
    for base in given:
        if urlsplit(base).netloc == asked:
            return base
    return next(iter(given), settings().public_url.rstrip("/") or request.build_absolute_uri("/").rstrip("/"))


def absolute(base: str, path: str) -> str:
    """Return `path` under `base`; an address that is absolute already, such as a static file's on another host, stays."""
    return urljoin(f"{base}/", path)
