"""What editors write for the checkout: the snippet, and what the rest of the product reads of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from wagtail.admin.panels import FieldPanel
from wagtail.admin.widgets import AdminAutoHeightTextInput
from wagtail.models import DraftStateMixin, Locale, PreviewableMixin, RevisionMixin, TranslatableMixin

from refund_plugin.content import Wording
from refund_plugin.orders.models import Nature
from refund_plugin.web.consent import ConsentForm

MAX_INTRODUCTION = 1_000
MAX_SENTENCE = 400


class ConsentWording(DraftStateMixin, RevisionMixin, PreviewableMixin, TranslatableMixin, models.Model):
    """What customers read at the checkout before something digital begins; one for each nature and language.

    The ledger keeps the words that a customer read and points to no row here: editors may change and delete as they like.

    Source: Directive 2011/83/EU art. 16(a) and (m), and 7(3), 8(8), for what the two sentences must say.
    """

    nature = models.CharField(_("asked about"), max_length=10, choices=Nature.choices, default=Nature.CONTENT)
    introduction = models.TextField(
        _("introduction"),
        validators=[MaxLengthValidator(MAX_INTRODUCTION)],
        help_text=_("What this is about, above the two boxes: that people may withdraw within 14 days, and that they choose here."),
    )
    agreement = models.CharField(
        pgettext_lazy("consent", "first box: the wish"),
        max_length=MAX_SENTENCE,
        help_text=_("The law asks for the express wish that it begins before the time to withdraw is over: “Give me access at once …”."),
    )
    acknowledgement = models.CharField(
        pgettext_lazy("consent", "second box: what it ends"),
        max_length=MAX_SENTENCE,
        help_text=_(
            "The law asks that people know what this ends. For content: the right to withdraw is lost with it. For a service: what was "
            "provided is paid for, and the right ends when all of it was."
        ),
    )

    # a copy in another language has a history of its own
    exclude_fields_in_copy = ["latest_revision", "live_revision", "first_published_at", "last_published_at", "go_live_at", "expire_at"]

    panels = [
        FieldPanel("nature"),
        FieldPanel("introduction"),
        FieldPanel("agreement", widget=AdminAutoHeightTextInput),
        FieldPanel("acknowledgement", widget=AdminAutoHeightTextInput),
    ]

    class Meta(TranslatableMixin.Meta):
        verbose_name = _("consent wording")
        verbose_name_plural = _("consent wordings")

    def __str__(self) -> str:
        """Name it in lists."""
        return gettext("Checkout, %(nature)s") % {"nature": self.get_nature_display()}

    @property
    def wording(self) -> Wording:
        """These words as the checkout takes them, with one kind of line break."""
        return Wording(
            begin=" ".join(self.agreement.split()),
            acknowledge=" ".join(self.acknowledgement.split()),
            locale=self._locale().language_code,
            introduction="\n".join(self.introduction.splitlines()),
        )

    def clean(self) -> None:
        """Refuse a second one for the same nature and language: nobody could tell which of them customers read."""
        super().clean()
        if ConsentWording.objects.filter(nature=self.nature, locale=self._locale()).exclude(pk=self.pk).exists():
            raise ValidationError(
                {"nature": _("There is already a wording for this in this language. Change that one: customers can read only one.")}
            )

    def copy_for_translation(self, locale: Locale, exclude_fields: Iterable[str] | None = None) -> Self:
        """Return a draft: until somebody has translated it, customers must not read it as words in their language."""
        copied: Self = super().copy_for_translation(locale, exclude_fields=exclude_fields)
        copied.live, copied.has_unpublished_changes = False, True
        return copied

    def get_preview_template(self, request: HttpRequest, mode_name: str) -> str:
        """Show it as the block of a checkout."""
        return "cms_pages/preview_wording.html"

    def get_preview_context(self, request: HttpRequest, mode_name: str) -> dict[str, object]:
        """Return the block with these words, ticked by nobody."""
        return {**super().get_preview_context(request, mode_name), "form": ConsentForm(wording=self.wording)}

    def _locale(self) -> Locale:
        # a new one gets its own when it is saved
        locale: Locale = self.locale if self.locale_id else self.get_default_locale()
        return locale


class PublishedWordings:
    """Answers `refund_plugin.content.consent_wordings()` with what is published."""

    def wording(self, nature: str, locale: str) -> Wording | None:
        """Return the words in a language, or in it without its region; None when editors published none. One query."""
        found = _published(nature).filter(locale__language_code__in=_languages(locale))
        best = max(found, key=lambda row: len(row.locale.language_code), default=None)
        return best.wording if best else None


def _published(nature: str) -> QuerySet[ConsentWording]:
    """Return the live rows that say all there is to say; of two for one language, which no form lets in, the older comes first."""
    rows = ConsentWording.objects.filter(nature=nature, live=True).exclude(agreement="").exclude(acknowledgement="")
    return rows.select_related("locale").order_by(F("first_published_at").asc(nulls_last=True), "pk")


def _languages(locale: str) -> list[str]:
    """Return a language code and those it is a kind of: "pt-br" and "pt"."""
    parts = locale.replace("_", "-").lower().split("-")
    return ["-".join(parts[:length]) for length in range(1, len(parts) + 1)]
