"""A store with a policy and a gateway in memory."""

from __future__ import annotations

import pytest

from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from tests.factories import MEMORY, publish_policy


@pytest.fixture
def gateway(db, settings) -> MemoryGateway:
    """The default account's gateway, empty and well-behaved."""
    settings.REFUND_PLUGIN = MEMORY
    _ledgers.clear()
    ensure_accounts()
    return gateway_for(default_account())


@pytest.fixture
def policy(gateway):
    """A published policy with one clause of each kind."""
    return publish_policy()
