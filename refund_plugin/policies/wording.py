"""What a version says to one reader: its own values, with the editor's words in the reader's language."""

from __future__ import annotations

from refund_plugin.policies.models import PolicyText, PolicyVersion
from refund_plugin.policies.queries import load_version, localized
from refund_plugin.rules import PolicyDocument


def document_for(version: PolicyVersion, language: str) -> PolicyDocument:
    """Return what a version says, worded for a reader; it decides exactly as before.

    Args:
        version: with its `texts` prefetched, where many are read at once.
        language: a Django language code. Words in "de" also serve who reads "de-at"; without any, the clauses' own stand.
    """
    wanted = [language, language.partition("-")[0]]
    if "texts" in getattr(version, "_prefetched_objects_cache", {}):
        texts = sorted(version.texts.all(), key=lambda text: text.pk)
    else:
        texts = list(PolicyText.objects.filter(version=version, locale__in=wanted).order_by("id"))
    found = {text.locale: text.texts for text in texts}
    words = found.get(wanted[0]) or found.get(wanted[1])
    return localized(load_version(version), words) if words else load_version(version)
