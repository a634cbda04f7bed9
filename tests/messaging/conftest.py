from datetime import timedelta
from uuid import uuid4

import pytest

from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.memory import MemoryGateway, _ledgers
from refund_plugin.gateways.services import default_account, ensure_accounts, gateway_for
from refund_plugin.policies.services import freeze_policy
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.rules import PolicyDocument, dump_document
from refund_plugin.stores.services import ensure_default_store
from tests.factories import CLAUSES, MEMORY, NOW


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
    freeze_policy(
        key=str(uuid4()),  # as a page's translation key is, by which the mail's links to the policy are looked up
        title="Refunds",
        document=dump_document(PolicyDocument(clauses=CLAUSES)),
        now=NOW - timedelta(days=365),
        assign_to=ensure_default_store(),
    )
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
