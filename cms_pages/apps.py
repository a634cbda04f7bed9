"""Django's entry point: wiring only."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.utils.translation import gettext_lazy as _


class CmsPagesConfig(AppConfig):
    """Tells the refund plugin where its pages are, and ends a policy with its page."""

    name = "cms_pages"
    verbose_name = _("Refund pages")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register what lower rooms read, and follow pages that go."""
        from django.db.models.signals import post_delete
        from wagtail.signals import page_unpublished

        from cms_pages.policy_pages import WagtailPolicyPages, policy_page_models
        from cms_pages.wordings import PublishedWordings
        from refund_plugin.content import register_consent_wordings, register_policy_pages

        register_policy_pages(WagtailPolicyPages())
        register_consent_wordings(PublishedWordings())
        if apps.is_installed("wagtail_localize"):
            from cms_pages.translating import prepare_for_localize

            for model in policy_page_models():
                prepare_for_localize(model)
        for model in policy_page_models():
            # by model: a receiver for every model would slow down all deletions of the site
            post_delete.connect(_close, sender=model, dispatch_uid=f"cms_pages.deleted.{model._meta.label}")
            # expiry unpublishes through the base page class, whose `save()` is not ours
            page_unpublished.connect(_close, sender=model, dispatch_uid=f"cms_pages.unpublished.{model._meta.label}")


def _close(*, instance: Any, **kwargs: Any) -> None:
    from cms_pages.services import close_publication
    from refund_plugin import clock

    if instance.alias_of_id is None and not instance.has_older_sibling():
        close_publication(key=str(instance.translation_key), now=clock.now())
