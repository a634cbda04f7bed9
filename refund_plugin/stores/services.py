"""Which store is meant."""

from __future__ import annotations

from django.db.models import Case, IntegerField, Q, Value, When

from refund_plugin.conf import settings
from refund_plugin.stores.models import Store


def ensure_default_store() -> Store:
    """Return the store that `REFUND_PLUGIN` names, making it when it is not there yet."""
    conf = settings()
    return Store.objects.get_or_create(slug=conf.store, defaults={"name": conf.store_name, "timezone": conf.zone})[0]


def store_for_site(*, wagtail_site_id: int | None) -> Store:
    """Return the store mapped to a Wagtail site, else the default one."""
    mine = Q(wagtail_site_id=wagtail_site_id) if wagtail_site_id is not None else Q(pk__in=())
    rank = Case(When(mine, then=Value(0)), default=Value(1), output_field=IntegerField())
    found = Store.objects.filter(mine | Q(slug=settings().store)).order_by(rank).first()
    return found or ensure_default_store()
