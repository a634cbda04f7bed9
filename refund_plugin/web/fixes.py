"""“Fix it instead”: what the host offers beside a refund for what does not work, such as a new download or a page of help."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.module_loading import import_string

from refund_plugin.conf import settings
from refund_plugin.orders.models import PurchaseLine

logger = logging.getLogger(__name__)
MAX_FIXES = 5


@dataclass(frozen=True, slots=True)
class Fix:
    """One link that may help.

    Attributes:
        title: what it does, in the customer's language: "Download it again".
        url: where it leads, on this site or by https.
        is_use: following it counts as use. It is offered only for what was used already: help must not cost anybody their refund.
    """

    title: str
    url: str
    is_use: bool = False


def fixes_of(line: PurchaseLine, *, was_used: bool) -> Sequence[Fix]:
    """Return what the host offers for a line; nothing when it fails, because a refund never depends on it."""
    if not settings().fix_handler:
        return ()
    try:
        offered = [cast(Fix, fix) for fix in import_string(settings().fix_handler)(line)]
        return [fix for fix in offered if (was_used or not fix.is_use) and _is_safe(fix.url)][:MAX_FIXES]
    except Exception:
        # whatever goes wrong in the host's code, the customer still gets to ask for their money
        logger.exception("nothing can be offered to fix line %s", line.pk)
        return ()


def _is_safe(url: str) -> bool:
    return url.startswith("https://") or url_has_allowed_host_and_scheme(url, allowed_hosts=None)
