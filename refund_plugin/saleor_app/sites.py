"""Gives a Saleor's store the Wagtail site that its option `site` names: the policy and the customer pages there are that store's."""

from __future__ import annotations

import logging

from django.utils.translation import gettext as _
from wagtail.models import Site

from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.options import site_of
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)


def keep_site(installation: SaleorInstallation) -> str:
    """See to it that an installation's store has its site; return what keeps it from that, "" when it has, or is to have none.

    A site that is not named any more stays the store's until another is.
    """
    name = site_of(installation.api_url)
    if not name:
        return ""
    site = site_named(name)
    if site is None:
        return _("There is no Wagtail site “%(site)s”, which the option “site” names. Make it under Settings → Sites.") % {"site": name}
    other = Store.objects.filter(wagtail_site_id=site.pk).exclude(slug=installation.slug).first()
    if other is not None:
        told = _("The Wagtail site “%(site)s”, which the option “site” names, is the store “%(store)s”’s.")
        return told % {"site": name, "store": other.slug}
    if Store.objects.filter(slug=installation.slug).exclude(wagtail_site_id=site.pk).update(wagtail_site_id=site.pk):
        logger.info("the pages of the site %s are those of the store %s now", name, installation.slug)
    return ""


def site_named(name: str) -> Site | None:
    """Return the Wagtail site with a host name, or with a host name and a port such as `shop.example:8000`; None when there is none."""
    host, _colon, port = name.partition(":")
    found = Site.objects.filter(hostname__iexact=host)
    if port:
        found = found.filter(port=port) if port.isdecimal() and len(port) <= 5 else found.none()
    return found.order_by("-is_default_site", "port").first()
