"""What wagtail-localize translates of a policy page: words only. It is used where that app is installed, and needed nowhere.

Values follow the source page and cannot be overridden, so a translation never decides otherwise; titles, reasons and the
evidence asked for, which the source keeps inside its clauses, are offered as words and land in the translation's prose.
"""

from __future__ import annotations

from typing import Any

from wagtail_localize.fields import SynchronizedField, TranslatableField, get_translatable_fields
from wagtail_localize.segments import StringSegmentValue

from cms_pages.blocks import KEPT
from cms_pages.forms import VALUES

CLAUSE_TEXTS = ("title", "reason", "evidence")


class ProseTranslation(TranslatableField):
    """The words of the clauses, one segment per clause and part."""

    def get_field(self, model: Any) -> Any:
        """Return what reads the words."""
        return _Words(self.field_name)

    def is_synchronized(self, source: Any) -> bool:
        """Tell that a translation keeps its own words."""
        return False


class _Words:
    """Stands for the prose field while segments are read, because half of the words are in the clauses."""

    def __init__(self, name: str) -> None:
        self.name = name

    def value_from_object(self, page: Any) -> dict[str, dict[str, str]]:
        """Return the words of a source page by anchor."""
        words: dict[str, dict[str, str]] = {}
        for child in page.clauses:
            if child.block_type == KEPT:
                continue
            anchor = child.value.get("anchor") or ""
            texts = {name: child.value.get(name) or "" for name in CLAUSE_TEXTS if name in child.block.child_blocks}
            texts["body"] = page.prose.get(anchor, {}).get("body", "")
            words[anchor] = {name: text for name, text in texts.items() if text.strip()}
        return {anchor: texts for anchor, texts in words.items() if anchor and texts}

    def get_translatable_segments(self, value: dict[str, dict[str, str]]) -> list[StringSegmentValue]:
        """Return one segment per text."""
        return [StringSegmentValue(f"{anchor}.{name}", text) for anchor, texts in value.items() for name, text in texts.items()]


def translatable_fields(model: Any) -> list[Any]:
    """Return the fields of a policy page as wagtail-localize wants them; those a site's own page model adds are its business."""
    fields = []
    for field in get_translatable_fields(model):
        if field.field_name == "prose":
            fields.append(ProseTranslation("prose"))
        elif field.field_name in VALUES:
            fields.append(SynchronizedField(field.field_name, overridable=False))
        else:
            fields.append(field)
    return fields


def prepare_for_localize(model: Any) -> None:
    """Tell wagtail-localize what to translate, unless the site's own page model says so itself."""
    if not hasattr(model, "translatable_fields"):
        model.translatable_fields = translatable_fields(model)
