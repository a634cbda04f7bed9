"""Which Saleor a call belongs to: found by its slug, its API address, or the headers of its request."""

from __future__ import annotations

from collections.abc import Mapping

from refund_plugin.saleor.errors import NotInstalled
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import allowed_options, normalised


def active_installation(*, slug: str = "", api_url: str = "") -> SaleorInstallation:
    """Return the installation with this slug or API address.

    Raises:
        NotInstalled: unknown, the App was removed there, or the settings do not name it any more.
    """
    active = SaleorInstallation.objects.filter(is_active=True).exclude(token_encrypted="")
    if slug:
        found = active.filter(slug=slug).first()
    else:
        wanted = normalised(api_url)
        # no address has a NUL, and PostgreSQL refuses to look for one
        written = {api_url.strip(), wanted, wanted.rstrip("/")} if wanted and "\x00" not in api_url else set()
        found = active.filter(api_url__in=written).first()
    if found is None or allowed_options(found.api_url) is None:
        raise NotInstalled
    return found


def installation_of_request(headers: Mapping[str, str]) -> SaleorInstallation:
    """Return the installation that a request says it comes from, by `Saleor-Api-Url`; only its signature proves it.

    Args:
        headers: of the request; names in any case, as `request.headers` has them.
    Raises:
        NotInstalled: no such header, unknown, or the App was removed there.
    """
    by_name = {name.lower(): value for name, value in headers.items()}
    return active_installation(api_url=by_name.get("saleor-api-url") or by_name.get("x-saleor-api-url") or "")


def keep_version(*, slug: str, version: str) -> None:
    """Remember the version that a Saleor said last."""
    SaleorInstallation.objects.filter(slug=slug).update(version=version[:40])
