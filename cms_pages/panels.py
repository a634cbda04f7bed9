"""What the editor sees above the policy's fields: which version counts, and for whom."""

from __future__ import annotations

from typing import Any

from wagtail.admin.panels import Panel

from cms_pages.checking import SHOWN, left_to_people, remarks_of
from refund_plugin import clock
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import in_force, policy_for_key, upcoming_version, versions_of
from refund_plugin.refunds.undecided import COUNTED_DAYS


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
            context["may_replay"] = bool(page.pk) and not context["is_translation"] and page.may_replay(page.store, user=self.request.user)
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


class PolicyChecksPanel(Panel):
    """Says what the linter found in what was saved last, and what the clauses left to people lately."""

    class BoundPanel(Panel.BoundPanel):
        """The panel of one page."""

        template_name = "cms_pages/admin/checks_panel.html"

        def is_shown(self) -> bool:
            """A page that was never saved has nothing to check."""
            return bool(self.instance.pk) and super().is_shown()

        def get_context_data(self, parent_context: Any = None) -> dict[str, Any]:
            """Add the remarks."""
            context: dict[str, Any] = super().get_context_data(parent_context)
            remarks = remarks_of(self.instance)
            warnings = [remark for remark in remarks if remark.severity == "warning"]
            is_source = self.instance.source is self.instance
            context.update(
                errors=[remark for remark in remarks if remark.severity == "error"][:SHOWN],
                warnings=warnings[:SHOWN],
                more=max(0, len(warnings) - SHOWN),
                undecided=left_to_people(self.instance, self.request.user) if is_source else (),
                days=COUNTED_DAYS,
            )
            return context
