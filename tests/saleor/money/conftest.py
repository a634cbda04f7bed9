"""Both sides of the money."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from refund_plugin.gateways.memory import _ledgers
from refund_plugin.gateways.services import ensure_accounts
from tests.factories import publish_policy
from tests.saleor.money.shop import Inside, Shop
from tests.saleor.standin.control import Standin


# which version of Saleor answers changes no statement of ours
@pytest.fixture(params=[pytest.param("3.22", marks=pytest.mark.database_independent), "3.23"])
def standin(request: Any) -> Iterator[Standin]:
    """A Saleor of each version."""
    running = Standin(request.param, transport=Inside()).start()
    yield running
    running.stop()


@pytest.fixture
def shop(db: None, settings: Any, standin: Standin) -> Shop:
    """A Saleor whose payments are our App's."""
    settings.REFUND_PLUGIN = {
        "GATEWAYS": {"main": {"kind": "memory"}},
        "SALEOR": {standin.api_url: {"store": "saleor-shop", "payment_account": "main"}},
        "RATE_PER_SECOND": 0,
    }
    _ledgers.clear()
    ensure_accounts()
    selling = Shop(standin)
    publish_policy(store=selling.store)
    return selling
