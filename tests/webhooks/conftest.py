"""A shop whose payments are in memory, and the door's accounts."""

from __future__ import annotations

import pytest

from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from tests.factories import MEMORY, publish_policy


@pytest.fixture
def gateway(db, settings) -> MemoryGateway:
    """The default account's gateway, empty and well-behaved, and a policy."""
    settings.REFUND_PLUGIN = MEMORY
    _ledgers.clear()
    ensure_accounts()
    publish_policy()
    return gateway_for(default_account())
