import pytest

from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.refunds.execute import drive_refunds
from tests.factories import MEMORY, publish_policy


@pytest.fixture
def shop(db, settings) -> MemoryGateway:
    """A shop with a policy, a gateway in memory and public addresses; returns the gateway."""
    settings.REFUND_PLUGIN = {
        **MEMORY,
        "PUBLIC_URL": "https://shop.example",
        "FROM_EMAIL": "Halftone <refunds@shop.example>",
        "REPLY_TO": "help@shop.example",
    }
    _ledgers.clear()
    ensure_accounts()
    publish_policy()
    return gateway_for(default_account())


@pytest.fixture
def work(mailoutbox):
    """Do what a worker would do now, and return the mails sent by it."""

    def run():
        before = len(mailoutbox)
        drive_refunds()
        deliver_due()
        return mailoutbox[before:]

    return run
