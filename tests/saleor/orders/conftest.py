"""A Saleor that installed the App, whose own payments are at a gateway in memory."""

from __future__ import annotations

from typing import Any

import pytest

from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.stores.models import Store
from tests.saleor.conftest import Installed
from tests.saleor.orders.shop import Shop
from tests.saleor.standin import Standin


@pytest.fixture
def saleor_options() -> dict[str, Any]:
    """Our App's own payments are at the account "main"."""
    return {"payment_account": "main"}


@pytest.fixture
def shop(saleor: Standin, installed: Installed, settings: Any) -> Shop:
    """Both sides; nothing waits for a rate limit."""
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "RATE_PER_SECOND": 0, "CONCURRENT_CALLS": 1}
    ensure_accounts()
    return Shop(saleor, installed.app, Store.objects.get(slug="paper-heron"), GatewayAccount.objects.get(slug="paper-heron"))
