"""The words an editor adds to clauses, kept by anchor beside them: a translation has its own words, never its own values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.db import models
from django.utils.text import capfirst

PARTS = ("title", "reason", "evidence", "body")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProseEntry:
    """One clause to write about.

    Attributes:
        summary: the text made from the clause's values, in the page's language.
        reason: the source's reason of a clause that gives nothing back, to translate; "" when there is none.
        evidence: what the source asks customers to send, to translate; "" when nothing.
        translated: the page is a translation, so the title, the reason and the evidence are written here too.
    """

    anchor: str
    title: str
    summary: str
    reason: str = ""
    evidence: str = ""
    translated: bool = False


class ProseWidget(forms.Widget):
    """One small group of inputs per clause."""

    template_name = "cms_pages/admin/prose_widget.html"

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["cms_pages/editor.css"]}

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.entries: Sequence[ProseEntry] = ()

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Put each clause beside what was written about it."""
        context: dict[str, Any] = super().get_context(name, None, attrs)
        written = value if isinstance(value, Mapping) else {}
        context["groups"] = [
            {"entry": entry, "name": f"{name}-{entry.anchor}", **{part: written.get(entry.anchor, {}).get(part, "") for part in PARTS}}
            for entry in self.entries
        ]
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> dict[str, dict[str, str]]:
        """Return what was written, by anchor."""
        anchors = data.getlist(f"{name}-anchor") if hasattr(data, "getlist") else data.get(f"{name}-anchor", [])
        return {anchor: {part: data.get(f"{name}-{anchor}-{part}", "").strip() for part in PARTS} for anchor in anchors}

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        """Tell whether there was nothing to write about."""
        return f"{name}-anchor" not in data


class ProseFormField(forms.Field):
    """Accepts what `ProseWidget` reads; empty texts are left out."""

    widget = ProseWidget

    def clean(self, value: Any) -> dict[str, dict[str, str]]:
        """Return the texts that are not empty; an anchor with none is kept, so that deleting words is a change."""
        return {anchor: {part: text for part, text in texts.items() if text} for anchor, texts in (value or {}).items()}


class ProseField(models.JSONField):
    """Texts by clause anchor: `title`, `reason`, `evidence` and `body`, plain, as far as they were written."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"default": dict, "blank": True, **options})

    def deconstruct(self) -> Any:
        """Leave out what the field sets by itself."""
        name, path, args, options = super().deconstruct()
        options.pop("default", None)
        options.pop("blank", None)
        return name, path, args, options

    def formfield(self, **options: Any) -> Any:
        """One group of inputs per clause; the form tells the widget which clauses there are."""
        return ProseFormField(required=False, label=capfirst(self.verbose_name), help_text=self.help_text)

    def restore_translated_segments(self, value: Any, segments: Iterable[Any]) -> dict[str, dict[str, str]]:
        """Return what wagtail-localize translated, which is all that a translation's words are then."""
        words: dict[str, dict[str, str]] = {}
        for segment in segments:
            anchor, _dot, part = segment.path.rpartition(".")
            if part in PARTS:
                words.setdefault(anchor, {})[part] = segment.render_text()
        return words
