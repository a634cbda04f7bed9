"""Our reasons for refunds and each Saleor's, kept matched: once an hour by the sweep, at once by `refunds_saleor_reasons`."""

from __future__ import annotations

import logging
from datetime import datetime

from django.conf import settings as django_settings
from django.utils import translation

from refund_plugin.refunds.models import RequestReason
from refund_plugin.saleor.errors import SaleorError
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.reasons import Wanted, synchronise_reasons

logger = logging.getLogger(__name__)


def our_reasons() -> Wanted:
    """Return our reasons, each with its title in the site's language first, then in its other ones."""
    languages = list(dict.fromkeys([django_settings.LANGUAGE_CODE, *(code for code, _name in django_settings.LANGUAGES)]))
    titles: dict[str, list[str]] = {reason.value: [] for reason in RequestReason}
    for language in languages:
        with translation.override(language):
            for reason in RequestReason:
                titles[reason.value].append(str(reason.label))
    return {reason: list(dict.fromkeys(told)) for reason, told in titles.items()}


def synchronise_all(now: datetime) -> int:
    """Match the reasons of every active installation; return of how many. One that does not answer is asked again next time."""
    done = 0
    for slug in SaleorInstallation.objects.filter(is_active=True).values_list("slug", flat=True):
        try:
            synchronise_reasons(slug=slug, wanted=our_reasons(), now=now)
            done += 1
        except SaleorError as error:
            logger.warning("the refund reasons of %s could not be read: %s", slug, error)
    return done
