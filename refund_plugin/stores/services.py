"""Which store is meant."""

from __future__ import annotations

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from refund_plugin.conf import settings
from refund_plugin.stores.models import Store


def ensure_default_store() -> Store:
    """Return the store that `REFUND_PLUGIN` names, making it when it is not there yet."""
    conf = settings()
    return Store.objects.get_or_create(slug=conf.store, defaults={"name": conf.store_name, "timezone": conf.zone})[0]


def stores_for_site(*, wagtail_site_id: int | None, default: str) -> QuerySet[Store]:
    """Return the store mapped to a Wagtail site, then the one with the slug `default`, as far as there are any."""
    mine = Q(wagtail_site_id=wagtail_site_id) if wagtail_site_id is not None else Q(pk__in=())
    rank = Case(When(mine, then=Value(0)), default=Value(1), output_field=IntegerField())
    return Store.objects.filter(mine | Q(slug=default)).order_by(rank)


def store_for_site(*, wagtail_site_id: int | None) -> Store:
    """Return the store mapped to a Wagtail site, else the default one."""
    return stores_for_site(wagtail_site_id=wagtail_site_id, default=settings().store).first() or ensure_default_store()
