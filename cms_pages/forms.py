"""The policy page's form in the admin: what may be edited where, and the linter's errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.translation import gettext as _
from wagtail.admin.forms import WagtailAdminPageForm
from wagtail.blocks.stream_block import StreamBlockValidationError
from wagtail.blocks.struct_block import StructBlockValidationError

from cms_pages.blocks import KEPT, ClausesBlock, fill_anchors
from cms_pages.documents import document_of
from cms_pages.prose import ProseEntry
from refund_plugin import clock
from refund_plugin.localize import formatter_for
from refund_plugin.policies.queries import policy_for_key
from refund_plugin.rules import Finding, PolicyDocument, describe_clause, lint

VALUES = ("clauses", "limits", "effective_from", "founding_from", "founding_reason")
FOUNDING = ("founding_from", "founding_reason")


class RefundPolicyPageForm(WagtailAdminPageForm):
    """Values are edited on the source page only; a version can be dated back only once, as the first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        page = self.instance
        source = page.source
        policy = policy_for_key(page.policy_key)
        hidden = VALUES if source is not page else FOUNDING if policy and policy.versions.exists() else ()
        for name in hidden:
            self.fields.pop(name, None)
        if "clauses" in self.fields and not any(child.block_type == KEPT for child in page.clauses):
            block = ClausesBlock(with_kept=False)
            self.fields["clauses"].block = self.fields["clauses"].widget.block_def = block
        if "prose" in self.fields:
            clauses = source.clauses
            fill_anchors(clauses)
            self.fields["prose"].widget.entries = prose_entries(
                document_of(clauses, source.limits), timezone=page.store.timezone, translated=source is not page
            )

    def clean_prose(self) -> dict[str, dict[str, str]]:
        """Keep the words about clauses that the form did not show."""
        written = {**self.instance.prose, **(self.cleaned_data.get("prose") or {})}
        return {anchor: texts for anchor, texts in written.items() if texts}

    def clean(self) -> dict[str, Any]:
        """Check what the fields say together; a draft may be unfinished."""
        cleaned: dict[str, Any] = super().clean()
        self._check_address(cleaned)
        if self.is_deferred_validation:
            return cleaned
        if "clauses" in cleaned and "limits" in cleaned:
            error = validation_error(lint(document_of(cleaned["clauses"], cleaned["limits"])))
            if error:
                self.add_error("clauses", error)
        self._check_founding(cleaned)
        return cleaned

    def _check_address(self, cleaned: dict[str, Any]) -> None:
        parent = self.parent_page or (self.instance.get_parent() if self.instance.pk else None)
        address = urlsplit((parent.url if parent else None) or "").path + f"{cleaned.get('slug', '')}/"
        if address == reverse("refund_plugin:ask"):
            self.add_error("slug", _("Customers ask for refunds at this address. Choose another one, such as “refund-policy”."))

    def _check_founding(self, cleaned: dict[str, Any]) -> None:
        founding = cleaned.get("founding_from")
        if founding is None:
            return
        if founding >= clock.now():
            self.add_error("founding_from", _("Choose a time in the past, or leave it empty."))
        if not cleaned.get("founding_reason", "").strip():
            self.add_error("founding_reason", _("Say why the policy also holds for purchases made before it was published."))


def prose_entries(document: PolicyDocument, *, timezone: str, translated: bool) -> list[ProseEntry]:
    """Return the clauses one can write about, as they read in the active language."""
    language = formatter_for(timezone=timezone)
    texts = [(clause, describe_clause(clause, language)) for clause in document.clauses]
    return [
        ProseEntry(
            anchor=clause.anchor,
            title=text.title,
            summary=text.summary,
            reason=getattr(clause, "reason", ""),
            evidence=getattr(clause, "evidence", ""),
            translated=translated,
        )
        for clause, text in texts
        if clause.anchor
    ]


def validation_error(findings: Iterable[Finding]) -> ValidationError | None:
    """Return the linter's errors where they belong: at their clause, or at the list of clauses. None when there are none."""
    whole: list[ValidationError] = []
    by_clause: dict[int, list[ValidationError]] = {}
    for finding in findings:
        if finding.severity == "error":
            error = ValidationError(finding.text(_), code=finding.code)
            (whole if finding.index is None else by_clause.setdefault(finding.index, [])).append(error)
    if not whole and not by_clause:
        return None
    at_clauses = {index: StructBlockValidationError(non_block_errors=errors) for index, errors in by_clause.items()}
    return StreamBlockValidationError(block_errors=at_clauses, non_block_errors=whole)
