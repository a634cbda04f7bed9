"""Stopping and resuming automatic refunds without the admin."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from refund_plugin import clock
from refund_plugin.refunds.brake.models import AutomaticMoney
from refund_plugin.refunds.brake.queries import pauses
from refund_plugin.stores.services import ensure_default_store
from tests.commands.helpers import run

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_pause_from_the_shell_names_its_login_and_ends_when_told(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    before = clock.now()
    ran = run("refunds_pause", "--hours", "4", "--why", "The new clause refunds everything")
    assert ran.code == 0 and "are paused until" in ran.out
    (row,) = pauses(clock.database_now())
    assert (row.paused_by_label, row.paused_why) == ("root (command line)", "The new clause refunds everything")
    assert row.paused_until - before < timedelta(hours=4, minutes=1)


def test_resuming_ends_it_and_twice_is_refused():
    run("refunds_pause", "--hours", "0.5", "--why", "Why.")
    assert json.loads(run("refunds_resume", "--json").out) == {"store": ensure_default_store().slug, "paused": False}
    assert pauses(clock.database_now()) == []
    again = run("refunds_resume")
    assert again.code == 1 and "not paused" in again.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--hours", "-1", "--why", "Why."), "within the next 31 days"),
        (("--hours", "1e300", "--why", "Why."), "a number such as"),
        (("--hours", "nan", "--why", "Why."), "a number such as"),
        (("--hours", "1", "--why", " "), "Write why"),
    ],
)
def test_what_cannot_be_done_is_refused_with_what_would_do(arguments, told):
    ensure_default_store()
    ran = run("refunds_pause", *arguments)
    assert ran.code == 1 and told in ran.err
    assert not AutomaticMoney.objects.filter(paused_until__isnull=False).exists()


def test_an_unknown_store_is_wrong_usage():
    ensure_default_store()
    ran = run("refunds_pause", "--hours", "1", "--why", "Why.", "--store", "nowhere")
    assert ran.code == 2
    assert "Known stores: default." in ran.err
