"""The kinds of stores by name (`Store.adapter`); hosts may register their own."""

from __future__ import annotations

from refund_plugin.stores.base import StoreAdapter
from refund_plugin.stores.local import LocalStore
from refund_plugin.stores.models import Store
from refund_plugin.stores.saleor import SaleorStore

_adapters: dict[str, StoreAdapter] = {}


def register_store_adapter(kind: str, adapter: StoreAdapter) -> None:
    """Make `kind` available; called from `AppConfig.ready()`. Registering a kind again replaces it."""
    _adapters[kind] = adapter


def adapter_for(store: Store) -> StoreAdapter | None:
    """Return the adapter of a store; None when nobody registered its kind."""
    return _adapters.get(store.adapter)


register_store_adapter("local", LocalStore())
register_store_adapter("saleor", SaleorStore())
