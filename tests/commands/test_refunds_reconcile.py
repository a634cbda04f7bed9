from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.management.commands import refunds_reconcile
from refund_plugin.money import Money
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.reconcile.models import ReconciliationRun, RunState
from refund_plugin.refunds.reconcile.services import start_run
from tests.factories import make_purchase
from tests.refunds.conftest import gateway, policy  # noqa: F401
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("refunds_reconcile", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_listing_that_agrees_is_counted(policy, gateway):  # noqa: F811
    ask(make_purchase())
    drive_refunds()
    assert "1 listed, 1 ours" in run()


def test_what_differs_is_named_and_told_by_the_exit_code(policy, gateway, capsys):  # noqa: F811
    ask(make_purchase())
    drive_refunds()
    Refund.objects.update(amount_minor=1000)
    with pytest.raises(CommandError, match="1 refunds differ") as error:
        run()
    assert error.value.returncode == 1


def test_a_log_gets_no_bar_and_a_word_about_what_could_not_be_read(policy, gateway, monkeypatch, settings):  # noqa: F811
    monkeypatch.setattr(refunds_reconcile, "PAUSE_SECONDS", 0)
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "RETRY_BASE_SECONDS": 0.0}
    gateway_for(default_account()).break_listings()
    out, err = StringIO(), StringIO()
    call_command("refunds_reconcile", stdout=out, stderr=err)
    assert "nothing listed" in out.getvalue()
    assert "\r" not in err.getvalue()
    assert err.getvalue().count("could not be read") == 1


def test_a_refund_made_past_us_is_recorded_on_the_way(policy, gateway):  # noqa: F811
    payment = make_purchase().payments.get()
    gateway.refund_externally(payment.gateway_payment_id, Money(500, "EUR"))
    assert "1 external" in run()
    payment.refresh_from_db()
    assert payment.gone_minor == 500


def test_the_reading_may_be_left_to_the_workers(policy, gateway):  # noqa: F811
    assert "is under way" in run("--no-wait")
    assert ReconciliationRun.objects.get().state == RunState.RUNNING


def test_a_day_that_was_asked_for_is_read_anew_though_a_run_is_half_way(policy, gateway):  # noqa: F811
    payment = make_purchase().payments.get()
    gateway.refund_externally(payment.gateway_payment_id, Money(300, "EUR"))
    old = start_run(account=payment.account)
    # as in a backup made after the newest page was read: what was refunded since is not on the pages that are left
    newest = gateway.list_refunds().items[0].answer.gateway_refund_id
    ReconciliationRun.objects.filter(pk=old.pk).update(cursor=newest, pages=1)
    gateway.refund_externally(payment.gateway_payment_id, Money(200, "EUR"))
    assert "2 external" in run("--since", "2026-01-01")
    payment.refresh_from_db()
    assert payment.gone_minor == 500
    old.refresh_from_db()
    assert old.state == RunState.DONE


def test_a_day_cannot_be_left_to_the_workers_while_they_read_something_else(policy, gateway):  # noqa: F811
    start_run(account=make_purchase().payments.get().account)
    with pytest.raises(CommandError, match="under way and reads something else"):
        run("--since", "2026-01-01", "--no-wait")


@pytest.mark.parametrize("arguments", [["--account", "nobody"], ["--since", "yesterday"], ["--since", "2999-01-01"]])
def test_wrong_usage_starts_nothing(policy, gateway, arguments):  # noqa: F811
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == 2
    assert not ReconciliationRun.objects.exists()
