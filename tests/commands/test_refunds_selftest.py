"""The self-test takes the real path, over HTTP to the sandbox, and leaves no trace in lists, books and mail."""

import json
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command

from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.refunds import selftest
from refund_plugin.refunds.ledger.models import CreditNote
from refund_plugin.refunds.models import Alert, Refund
from refund_plugin.refunds.queries import queue_counts, staff_queue
from refund_plugin.refunds.reconcile.models import SelfTest
from refund_plugin.refunds.states import RefundState
from refund_plugin.stores.queries import customer_stores

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("refunds_selftest", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def account(sandbox) -> GatewayAccount:
    ensure_accounts()
    return GatewayAccount.objects.get(slug="default")


def test_a_healthy_installation_charges_refunds_and_agrees(account):
    told = json.loads(run("--json"))
    assert [step["name"] for step in told["steps"]] == ["charge", "record", "request", "refund", "compare"]
    assert told["fine"]
    refund = Refund.objects.get()
    assert (refund.state, refund.amount_minor, refund.gateway_refund_id[:3]) == (RefundState.SUCCEEDED, 300, "re_")


def test_it_shows_in_no_list_no_books_and_no_mail(account):
    run()
    deliver_due()
    assert list(staff_queue()) == []
    assert queue_counts().everything == 0
    assert not CreditNote.objects.exists()
    assert mail.outbox == []
    assert "selftest" not in {store.slug for store in customer_stores()}
    with pytest.raises(CommandError, match=r"Known stores: default\.$"):
        call_command("refunds_verify", "--store", "nowhere")


def test_a_gateway_that_refuses_the_refund_is_told_by_step_exit_code_and_alert(account, sandbox, monkeypatch):
    monkeypatch.setattr(selftest, "PATIENCE_SECONDS", 0.5)
    sandbox.post("faults", kind="status", status=401, path="/v1/refunds", times=1)
    with pytest.raises(CommandError, match="failed"):
        run()
    failed = SelfTest.objects.get()
    assert not failed.fine
    assert failed.steps[-1]["name"] == "refund"
    assert Alert.objects.get().kind == "selftest_failed"


def test_an_account_with_real_money_is_refused_before_anything_is_sent(account):
    GatewayAccount.objects.update(livemode=True)
    with pytest.raises(CommandError):
        run("--account", "default")
    assert SelfTest.objects.get().steps[-1]["detail"].startswith("this account moves real money")
    assert not Refund.objects.exists()


def test_an_unknown_account_is_wrong_usage(account):
    with pytest.raises(CommandError) as error:
        run("--account", "nobody")
    assert error.value.returncode == 2
    assert "Accounts in test mode: default." in str(error.value)
    assert not SelfTest.objects.exists()
