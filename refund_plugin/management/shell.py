"""What commands share: who acts from a shell, and which store is meant."""

from __future__ import annotations

import getpass

from refund_plugin.actor import Actor, ActorKind
from refund_plugin.management.stores import find_store
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store


def shell_actor() -> Actor:
    """Return whoever has a shell on the server, named by their login."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container without a user of that number
        login = "unknown"
    return Actor(kind=ActorKind.SYSTEM, id=login[:64], label=f"{login} (command line)"[:200])


def store_named(slug: str | None) -> Store:
    """Return the store of a slug, or the default one.

    Raises:
        CommandError: there is no such store; says which there are.
    """
    if not slug:
        return ensure_default_store()
    return find_store(slug)
