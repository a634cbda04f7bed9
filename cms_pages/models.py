"""The pages of this app. With a swapped `Page` a site derives its own from the mixins, because the parent link's name varies."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from cms_pages.wordings import ConsentWording

__all__ = ["ConsentWording"]

if getattr(settings, "WAGTAIL_PAGE_MODEL", "wagtailcore.Page") == "wagtailcore.Page":
    from wagtail.models import Page

    from cms_pages.mixins import RefundPolicyPageMixin

    class RefundPolicyPage(RefundPolicyPageMixin, Page):  # type: ignore[django-manager-missing]
        """The shop's refund policy."""

        content_panels = [*Page.content_panels, *RefundPolicyPageMixin.policy_panels]

        class Meta:
            verbose_name = _("refund policy")
            verbose_name_plural = _("refund policies")

    __all__ += ["RefundPolicyPage"]
