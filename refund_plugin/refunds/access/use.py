"""Follow the access ledger for stores that show how much was used, such as a Saleor, whose staff look at the order there."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from refund_plugin import clock
from refund_plugin.orders.models import AccessEvent
from refund_plugin.refunds.access.services import mark_used
from refund_plugin.refunds.locks import for_update
from refund_plugin.stores.models import Store
from refund_plugin.stores.registry import adapter_for

EVERY_SECONDS = 60
AT_ONCE = 1_000  # facts of one store, in one run
# a fact's number is given before it is committed: a younger one may still have an older neighbour that nobody sees yet
SETTLED_SECONDS = 30
FOLLOWED = "use_followed"  # in a store's metadata: the last fact that was looked at


def follow_use(now: datetime) -> int:
    """Let stores be told of lines that were used since they were last looked at; return how many. What a store told us itself is
    not told back.

    Args:
        now: UTC.
    """
    found = [store for store in Store.objects.filter(is_internal=False) if (adapter := adapter_for(store)) and adapter.shows_use()]
    if not found:
        return 0
    settled = AccessEvent.objects.filter(recorded_at__lt=clock.database_now() - timedelta(seconds=SETTLED_SECONDS))
    newest = settled.order_by("-pk").values_list("pk", flat=True).first() or 0
    return sum(_follow(store, newest, now) for store in found if _last(store) < newest)


def _follow(store: Store, newest: int, now: datetime) -> int:
    with transaction.atomic(durable=True):
        store = for_update(Store.objects.filter(pk=store.pk)).get()
        last = _last(store)
        facts = AccessEvent.objects.filter(pk__gt=last, pk__lte=newest, line__purchase__store=store).exclude(source=store.adapter)
        read = list(facts.order_by("pk").values_list("pk", "line_id")[:AT_ONCE])
        reached = read[-1][0] if len(read) == AT_ONCE else newest
        if reached <= last:
            return 0
        store.metadata = {**store.metadata, FOLLOWED: reached}
        store.save(update_fields=["metadata"])
        return mark_used(line_ids={line for _pk, line in read}, now=now)


def _last(store: Store) -> int:
    return int(store.metadata.get(FOLLOWED, 0))
