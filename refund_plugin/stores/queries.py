"""Which stores there are."""

from __future__ import annotations

from django.db.models import QuerySet

from refund_plugin.stores.models import Store


def customer_stores() -> QuerySet[Store]:
    """Return the stores that customers buy from, by name; the self-test's own is none of them."""
    return Store.objects.filter(is_internal=False).order_by("name", "pk")
