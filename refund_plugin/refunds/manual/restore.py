"""After a restore from a backup: what the records take for unsent may have been paid since, so each is looked up before it is sent."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.db.models import Count

from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.states import HELD


def unfinished() -> Mapping[str, int]:
    """Count the refunds that have not ended, by state."""
    counted = Refund.objects.filter(state__in=list(HELD)).values("state").annotate(count=Count("pk")).order_by("state")
    return {row["state"]: row["count"] for row in counted}


def list_before_sending() -> int:
    """Let every refund that has not ended be looked up in the gateway's listing before it is sent; return how many.

    Source: the domain's invariant 2. Nobody pays such a refund by hand either, until the gateway has told.
    """
    with transaction.atomic(durable=True):
        return Refund.objects.filter(state__in=list(HELD)).update(list_first=True)
