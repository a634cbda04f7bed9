"""Where editors write the words of the checkout: Wagtail's own list and form of snippets."""

from __future__ import annotations

from wagtail.admin.ui.tables import LocaleColumn, UpdatedAtColumn
from wagtail.snippets.views.snippets import SnippetViewSet

from cms_pages.wordings import ConsentWording


class ConsentWordingViewSet(SnippetViewSet):
    """Consent wordings, by what they ask about and language."""

    model = ConsentWording
    icon = "clipboard-list"
    list_display = ["__str__", "agreement", LocaleColumn(), UpdatedAtColumn()]
    list_filter = ["nature"]
    search_fields = ["introduction", "agreement", "acknowledgement"]
    ordering = ["nature", "pk"]
