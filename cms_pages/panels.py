"""What the editor sees above the policy's fields: which version counts, and for whom."""

from __future__ import annotations

from typing import Any

from wagtail.admin.panels import Panel

from refund_plugin import clock
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import in_force, policy_for_key, upcoming_version, versions_of


class PolicyStatusPanel(Panel):
    """Says what is in force, and offers to use the policy when the shop does not."""

    class BoundPanel(Panel.BoundPanel):
        """The panel of one page."""

        template_name = "cms_pages/admin/status_panel.html"

        def get_context_data(self, parent_context: Any = None) -> dict[str, Any]:
            """Add the versions of the page's policy."""
            context: dict[str, Any] = super().get_context_data(parent_context)
            page = self.instance
            policy = policy_for_key(page.policy_key) if page.pk else None
            context["is_translation"] = page.source is not page
            context["source"] = page.source
            context["policy"] = policy
            if policy is None:
                return context
            now = clock.now()
            language = formatter_for(timezone=page.store.timezone)
            current = versions_of(policy).filter(in_force(now)).first()
            upcoming = upcoming_version(policy=policy, at=now)
            context.update(
                current=current,
                current_since=language.date(current.effective_from) if current else "",
                upcoming=upcoming,
                upcoming_since=language.date(upcoming.effective_from) if upcoming else "",
            )
            return context
