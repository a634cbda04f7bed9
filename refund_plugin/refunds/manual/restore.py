"""After a restore from a backup: what the records take for unsent may have been paid since, so each is looked up before it is sent."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.db.models import Count, Q

from refund_plugin import clock
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.reconcile.models import ReconciliationRun, RunState
from refund_plugin.refunds.states import HELD, OVER

# what failed and is still owed may have been tried again since, by a refund that the backup does not know
_OPEN = Q(state__in=list(HELD)) | Q(state__in=list(OVER), owed=True)


def unfinished() -> Mapping[str, int]:
    """Count the refunds that have not ended, or have failed and are still owed, by state."""
    counted = Refund.objects.filter(_OPEN).values("state").annotate(count=Count("pk")).order_by("state")
    return {row["state"]: row["count"] for row in counted}


def list_before_sending() -> int:
    """Let every such refund be looked up in the gateway's listing before anything is sent for it; return how many.

    Source: the domain's invariant 2. Nobody pays such a refund by hand either, until the gateway has told. One that has failed is
    tried again only after a reconciliation, which finds the successors that the backup does not know; a reconciliation that was
    under way in the backup has read too little and is given up.
    """
    with transaction.atomic(durable=True):
        cut_off = ReconciliationRun.objects.filter(state=RunState.RUNNING)
        cut_off.update(state=RunState.FAILED, finished_at=clock.database_now(), last_error="restored from a backup")
        return Refund.objects.filter(_OPEN).update(list_first=True)
