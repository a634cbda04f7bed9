"""Which store a command is about."""

from __future__ import annotations

from django.core.management.base import CommandError

from refund_plugin.stores.models import Store


def find_store(slug: str) -> Store:
    """Return the store with this slug.

    Raises:
        CommandError: there is none; the message names those there are.
    """
    store = Store.objects.filter(slug=slug).first()
    if store is None:
        known = ", ".join(Store.objects.order_by("slug").values_list("slug", flat=True))
        raise CommandError(f"There is no store “{slug}”. Known stores: {known}.")
    return store
