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
        from django.db.models.signals import post_delete, post_save
        from wagtail.signals import page_slug_changed, page_unpublished, post_page_move

        from cms_pages.policy_pages import WagtailPolicyPages, forget_addresses, policy_page_models
        from cms_pages.wordings import PublishedWordings
        from refund_plugin.content import register_consent_wordings, register_policy_pages

        register_policy_pages(WagtailPolicyPages())
        register_consent_wordings(PublishedWordings())
        if apps.is_installed("wagtail_localize"):
            from cms_pages.translating import prepare_for_localize

            for model in policy_page_models():
                prepare_for_localize(model)
        for signal in (page_slug_changed, post_page_move, page_unpublished):
            # of any page: addresses are made of those above, too
            signal.connect(forget_addresses, dispatch_uid="cms_pages.addresses")
        for model in policy_page_models():
            # by model: a receiver for every model would slow down whatever the site saves and deletes
            post_save.connect(forget_addresses, sender=model, dispatch_uid=f"cms_pages.addresses.{model._meta.label}")
            post_delete.connect(_close, sender=model, dispatch_uid=f"cms_pages.deleted.{model._meta.label}")
            # expiry unpublishes through the base page class, whose `save()` is not ours
            page_unpublished.connect(_close, sender=model, dispatch_uid=f"cms_pages.unpublished.{model._meta.label}")


def _close(*, instance: Any, **kwargs: Any) -> None:
    from cms_pages.services import close_publication
    from refund_plugin import clock

    if instance.alias_of_id is None and not instance.has_older_sibling():
        close_publication(key=str(instance.translation_key), now=clock.now())
