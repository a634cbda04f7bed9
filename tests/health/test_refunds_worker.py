import os
import signal

import pytest
from django.core.management import CommandError, call_command

from refund_plugin.events.heartbeats import last_beat
from refund_plugin.management.commands import refunds_worker
from refund_plugin.refunds import sweep
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.sweep import Swept
from tests.factories import make_purchase
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def sweeps(monkeypatch):
    """Replace the sweep by a script: each entry is what one sweep does; the last one ends the worker."""
    monkeypatch.setattr(refunds_worker, "close_old_connections", lambda: None)

    def script(*steps):
        left = list(steps)

        def next_step(now):
            step = left.pop(0)
            return step()

        monkeypatch.setattr(refunds_worker, "sweep_once", next_step)
        return left

    return script


def idle():
    return Swept(calls=0, deliveries=0, duties=0)


def busy():
    return Swept(calls=1, deliveries=0, duties=0)


def told_to_end():
    os.kill(os.getpid(), signal.SIGTERM)
    return idle()


def fail():
    raise RuntimeError("the database is restarting")


def test_one_sweep_sends_the_money_and_the_mails_and_tells_that_it_lives(shop, mailoutbox, monkeypatch):
    monkeypatch.setattr(sweep, "PATIENCE_SECONDS", 600.0)  # however slow the machine
    ask(make_purchase())

    call_command("refunds_worker", "--once")

    assert Refund.objects.get().state == "succeeded"
    assert len(mailoutbox) == 2
    assert last_beat("worker") is not None


def test_the_worker_sweeps_until_it_is_told_to_end_and_finishes_the_sweep_it_is_in(sweeps, capsys):
    before = signal.getsignal(signal.SIGTERM)
    left = sweeps(idle, idle, told_to_end)

    call_command("refunds_worker", "--interval", "0.001")

    assert left == []
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().out.endswith("refunds_worker: ended.\n")


def test_a_worker_with_work_to_do_does_not_pause(sweeps):
    left = sweeps(busy, busy, busy, told_to_end)

    call_command("refunds_worker", "--interval", "3600")  # one pause would outlast the test run

    assert left == []


def test_a_sweep_that_fails_does_not_end_the_worker(sweeps):
    left = sweeps(fail, idle, told_to_end)

    call_command("refunds_worker", "--interval", "0.001")

    assert left == []


def test_a_single_sweep_that_fails_is_told_to_cron(sweeps):
    sweeps(fail)

    with pytest.raises(RuntimeError):
        call_command("refunds_worker", "--once")


def test_a_pause_of_nothing_is_refused():
    with pytest.raises(CommandError, match="--interval"):
        call_command("refunds_worker", "--interval", "0")
