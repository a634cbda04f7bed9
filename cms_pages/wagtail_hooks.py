"""Hooks into the Wagtail admin."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from wagtail import hooks
from wagtail.admin import messages
from wagtail.admin.userbar import ContentCheckerItem
from wagtail.snippets.models import register_snippet

from cms_pages import replay_views, shadow_views
from cms_pages.checking import remarks_of
from cms_pages.mixins import RefundPolicyPageMixin
from cms_pages.views import use_policy
from cms_pages.wording_views import ConsentWordingViewSet
from refund_plugin import clock
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import in_force, policy_for_key, versions_of

# After publishing so many remarks are told; the page's own panel has all of them.
TOLD = 5

if apps.is_installed("wagtail.snippets"):  # without it editors have no list of snippets, and the checkout has our own words
    register_snippet(ConsentWordingViewSet)


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
    for remark in remarks_of(page)[:TOLD]:
        if remark.severity == "warning":
            messages.warning(request, f"{remark.place}: {remark.text}" if remark.place else remark.text)


@hooks.register("construct_wagtail_userbar")
def add_policy_checks(request: HttpRequest, items: list[Any], page: Any) -> None:
    """Let Wagtail's own checks find the linter's remarks in the preview, beside those about accessibility."""
    if not isinstance(page, RefundPolicyPageMixin):
        return
    for item in items:
        if isinstance(item, ContentCheckerItem):
            # on the item, not by replacing it: the site may have put its own in
            if item.axe_run_only:
                item.axe_run_only = [*item.axe_run_only, *POLICY_RULES]
            item.axe_custom_rules = [*item.axe_custom_rules, *(_axe_rule(name) for name in POLICY_RULES)]
            item.axe_messages = {**item.axe_messages, **POLICY_RULES}


POLICY_RULES = {
    "refund-policy-error": {
        "error_name": gettext_lazy("The policy cannot be published like this"),
        "help_text": gettext_lazy("The remark is marked in the preview"),
    },
    "refund-policy-warning": {
        "error_name": gettext_lazy("The policy deserves a second look"),
        "help_text": gettext_lazy("The remark is marked in the preview"),
    },
}


def _axe_rule(name: str) -> dict[str, Any]:
    # whatever is visible fails: the preview shows remarks only where there are some
    return {
        "id": name,
        "impact": "moderate",
        "selector": f"[data-remark={name}]",
        "tags": ["best-practice"],
        "none": ["is-on-screen"],
        "enabled": True,
    }
