"""Which store a command is about."""

from __future__ import annotations

from django.core.management.base import CommandError

from refund_plugin.stores.models import Store
from refund_plugin.stores.queries import customer_stores


def find_store(slug: str) -> Store:
    """Return the store with this slug.

    Raises:
        CommandError: there is none; the message names those there are. Wrong usage, so that no monitor takes it for a finding.
    """
    store = Store.objects.filter(slug=slug).first()
    if store is None:
        known = ", ".join(customer_stores().order_by("slug").values_list("slug", flat=True))
        raise CommandError(f"There is no store “{slug}”. Known stores: {known}.", returncode=2)
    return store
