import pytest

from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.stores.services import ensure_default_store


@pytest.fixture
def store(db, settings):
    """The default store, with one gateway account named `main`."""
    settings.REFUND_PLUGIN = {"GATEWAYS": {"main": {"kind": "memory"}}}
    ensure_accounts()
    return ensure_default_store()
