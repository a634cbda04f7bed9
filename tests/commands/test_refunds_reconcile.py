from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from refund_plugin.money import Money
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.reconcile.models import ReconciliationRun, RunState
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


def test_a_refund_made_past_us_is_recorded_on_the_way(policy, gateway):  # noqa: F811
    payment = make_purchase().payments.get()
    gateway.refund_externally(payment.gateway_payment_id, Money(500, "EUR"))
    assert "1 external" in run()
    payment.refresh_from_db()
    assert payment.gone_minor == 500


def test_the_reading_may_be_left_to_the_workers(policy, gateway):  # noqa: F811
    assert "is under way" in run("--no-wait")
    assert ReconciliationRun.objects.get().state == RunState.RUNNING


@pytest.mark.parametrize("arguments", [["--account", "nobody"], ["--since", "yesterday"]])
def test_wrong_usage_starts_nothing(policy, gateway, arguments):  # noqa: F811
    with pytest.raises(CommandError) as error:
        run(*arguments)
    assert error.value.returncode == 2
    assert not ReconciliationRun.objects.exists()
