"""What a host's own templates show of the policy: looked up once per request, rendered once per version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from django.http import HttpRequest
from django.utils.translation import get_language
from wagtail.models import Site

from cms_pages.policy_pages import address_for
from cms_pages.presentation import ClauseView, clause_views
from refund_plugin import clock
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.policies.queries import ShownPolicy, load_version, shown_policy
from refund_plugin.rules import clause_kinds


@dataclass(frozen=True, slots=True)
class Shown:
    """The policy of a site's shop now. `url` is of its public page, "" while there is none."""

    policy: ShownPolicy
    language: Formatter
    url: str

    @property
    def clauses(self) -> tuple[ClauseView, ...]:
        """The clauses as people read them."""
        return _views(self.policy, self.language, frozenset(clause_kinds()))


def shown_on(request: HttpRequest | None) -> Shown | None:
    """Return what the site of a request shows now, None while its shop has no policy.

    Kept on the request: a page with fifty badges and a footer asks once. It takes one query for what the policy says, which is never
    kept, and one for its address, which is kept for some seconds; besides Wagtail's own search for the site where the page is none
    of Wagtail's.
    """
    language = get_language() or ""
    if request is None:
        return _look_up(None, language)
    kept: dict[str, Shown | None] = request.__dict__.setdefault("_refund_policy_shown", {})
    if language not in kept:
        kept[language] = _look_up(request, language)
    return kept[language]


def _look_up(request: HttpRequest | None, language: str) -> Shown | None:
    site = Site.find_for_request(request) if request is not None else None
    policy = shown_policy(wagtail_site_id=site.pk if site else None, at=clock.now(), locale=language)
    if policy is None:
        return None
    url = address_for(policy.page_key, request, site_id=site.pk if site else None)
    return Shown(policy=policy, language=formatter_for(timezone=policy.timezone), url=url)


@lru_cache(maxsize=64)
def _views(policy: ShownPolicy, language: Formatter, kinds: frozenset[str]) -> tuple[ClauseView, ...]:
    # the installed kinds belong to the key: one that a plug-in adds later says more
    return tuple(clause_views(load_version(policy.version), language, policy.texts))
