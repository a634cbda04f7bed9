"""Hooks into the Wagtail admin."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from wagtail import hooks
from wagtail.admin import messages

from cms_pages import replay_views, shadow_views
from cms_pages.documents import document_of
from cms_pages.mixins import RefundPolicyPageMixin
from cms_pages.views import use_policy
from refund_plugin import clock
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import in_force, policy_for_key, versions_of
from refund_plugin.rules import lint


@hooks.register("register_admin_urls")
def admin_urls() -> list[URLPattern]:
    """Add the action that lets a shop use a policy, the replays and the silent drafts."""
    use = path("refund-policies/<int:page_id>/use/", use_policy, name="refund_policy_use")
    return [use, *replay_views.urlpatterns(), *shadow_views.urlpatterns()]


@hooks.register("after_unpublish_page")
@hooks.register("after_delete_page")
def tell_that_nothing_decides(request: HttpRequest, page: Any) -> None:
    """Warn that a person decides what is bought from now on."""
    if not isinstance(page.specific, RefundPolicyPageMixin) or page.alias_of_id:
        return
    policy = policy_for_key(str(page.translation_key))
    if policy and policy.store and not versions_of(policy).filter(in_force(clock.now())).exists():
        messages.warning(
            request, _("%(shop)s has no refund policy in force now: a person decides what is bought from now on.") % {"shop": policy.store}
        )


@hooks.register("after_publish_page")
def tell_what_publishing_did(request: HttpRequest, page: Any) -> None:
    """Say which version came of it, from when it counts, and what the linter thinks."""
    if not isinstance(page, RefundPolicyPageMixin) or not page.is_source:
        return
    policy = policy_for_key(page.policy_key)
    version = versions_of(policy).filter(closed_at__isnull=True).first() if policy else None
    if policy is None or version is None:
        return
    if policy.store is None:
        messages.warning(
            request,
            _("Version %(number)d is published, but %(shop)s takes its decisions from another policy.")
            % {"number": version.number, "shop": page.store},
            buttons=[messages.button(reverse("refund_policy_use", args=[page.pk]), _("Use this one"))],
        )
    elif version.effective_from > clock.now():
        day = formatter_for(timezone=policy.store.timezone).date(version.effective_from)
        messages.success(
            request, _("Version %(number)d will be in force for purchases from %(day)s.") % {"number": version.number, "day": day}
        )
    else:
        messages.success(request, _("Version %(number)d is in force for purchases from now on.") % {"number": version.number})
    for finding in lint(document_of(page.clauses, page.limits)):
        if finding.severity == "warning":
            messages.warning(request, finding.text(_))
