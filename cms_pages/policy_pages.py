"""Where people read the policy: what lower rooms ask through `refund_plugin.content`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import get_language
from wagtail.models import get_page_models

from cms_pages.mixins import RefundPolicyPageMixin
from refund_plugin import clock
from refund_plugin.content import FrozenVersion
from refund_plugin.policies.models import Policy, PolicyVersion
from refund_plugin.policies.queries import in_force

KEPT_FOR = timedelta(seconds=5)


def policy_page_models() -> list[type[Any]]:
    """Return the site's page models that are refund policies."""
    return [model for model in get_page_models() if issubclass(model, RefundPolicyPageMixin)]


def _is_translation_key(key: str) -> bool:
    try:
        UUID(key)
    except ValueError:
        return False
    return True


def page_for_key(key: str) -> Any | None:
    """Return the live page that shows a policy: in the active language if there is one, else the oldest."""
    if not _is_translation_key(key):
        return None  # a policy that was frozen without a page, as by a script
    language = get_language() or ""
    for model in policy_page_models():
        pages = model.objects.live().filter(translation_key=key, alias_of=None).select_related("locale").order_by("pk")
        # only what addresses are made of: the rest is wide, and may be long
        pages = list(pages.only("url_path", "translation_key", "locale__language_code"))
        same = [page for page in pages if page.locale.language_code == language]
        if pages:
            return (same or pages)[0]
    return None


# By the policy's key, the site that asks and the language: an address and when it was looked up.
_addresses: dict[tuple[str, int | None, str], tuple[datetime, str]] = {}


def address_for(key: str, request: HttpRequest | None, *, site_id: int | None) -> str:
    """Return where a policy is read, as a site links to it; "" while no page shows it. One query, or none.

    An address is kept for a moment, because putting its query together costs a page more than the answer. Only where the policy is
    read is kept, never what it says: a page that moves in another process is linked at its old place until then.

    Args:
        site_id: the Wagtail site of the request, None for none.
    """
    asked, now = (key, site_id, get_language() or ""), clock.now()
    kept = _addresses.get(asked)
    if kept is not None and now - KEPT_FOR <= kept[0] <= now:
        return kept[1]
    page = page_for_key(key)
    url = (page.get_url(request) if page else "") or ""
    if url:
        _addresses[asked] = (now, url)
    return url


def forget_addresses(**kwargs: object) -> None:
    """Look every address up again: a page was published, moved or taken away. May be connected to a signal."""
    _addresses.clear()


class WagtailPolicyPages:
    """Implements `refund_plugin.content.PolicyPages` with this site's pages."""

    def policy_url(self, version: FrozenVersion, anchor: str = "") -> str:
        """Return the public page while it shows this version, else the version's own page; at the clause.

        The answer is kept on the version object for a moment, so that a page that cites many clauses asks once. No longer: the
        object may live as long as the process, and another publication gives this version a page of its own.
        """
        kept: dict[str, tuple[datetime, str]] = version.__dict__.setdefault("_page_urls", {})
        language, now = get_language() or "", clock.now()
        if language not in kept or not now - KEPT_FOR <= kept[language][0] <= now:
            kept[language] = (now, self._version_url(version))
        base = kept[language][1]
        return f"{base}#{anchor}" if base and anchor else base

    def current_policy_url(self, store_id: int) -> str:
        """Return the public page of the store's policy."""
        policy = Policy.objects.filter(store_id=store_id).first()
        page = page_for_key(policy.key) if policy else None
        return (page.url or "") if page else ""

    def _version_url(self, version: FrozenVersion) -> str:
        # a version usually comes with its policy
        policy = version.policy if isinstance(version, PolicyVersion) else Policy.objects.filter(pk=version.policy_id).first()
        page = page_for_key(policy.key) if policy else None
        if policy is None or page is None or not page.url:
            return ""
        current = policy.versions.filter(in_force(clock.now())).order_by("-number").values_list("number", flat=True).first()
        url: str = page.url
        return url if current == version.number else url + page.reverse_subpage("version", kwargs={"number": version.number})
