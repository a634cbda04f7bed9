"""What every page of ours tells the browser."""

from __future__ import annotations

from django.http import HttpResponseBase

# Our pages carry personal data and hold no script or style of their own in the markup: nothing foreign may run or be loaded.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)


def protect(response: HttpResponseBase) -> HttpResponseBase:
    """Set the headers of a private page: a strict content policy, no referrer to other sites, no search engine.

    The referrer stays for our own site, because Django's CSRF check reads it. A policy that the view has set stays.
    """
    response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
