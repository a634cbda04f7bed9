"""`refunds_journal`: CSV on the output, everything else beside it."""

from __future__ import annotations

import csv
import io

import pytest

from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.refunds.ledger.models import LedgerEntry
from tests.commands.helpers import run
from tests.factories import MEMORY, make_purchase, publish_policy
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db
MARCH = ("--from", "2026-03-01", "--to", "2026-03-31")


@pytest.fixture(autouse=True)
def reserved(settings):
    """A refund that was booked on 9 March 2026."""
    settings.REFUND_PLUGIN = MEMORY
    ensure_accounts()
    publish_policy()
    ask(make_purchase())


def test_the_output_is_csv_and_nothing_else():
    ran = run("refunds_journal", *MARCH)
    rows = list(csv.reader(io.StringIO(ran.out)))
    assert ran.code == 0
    assert [row[0] for row in rows[::4]] == ["movement", "total"]
    assert ran.err.strip() == "5 lines"


def test_another_month_has_a_head_only():
    assert run("refunds_journal", "--from", "2026-02-01", "--to", "2026-02-28").out.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [(), ("--from", "yesterday", "--to", "2026-03-31"), ("--from", "2026-03-01"), ("--from", "2026-03-31", "--to", "2026-03-01")],
)
def test_wrong_usage_is_told_apart(arguments):
    ran = run("refunds_journal", *arguments)
    assert (ran.code, ran.out) == (2, "")


def test_an_unbalanced_period_fails_and_says_what_to_run(monkeypatch):
    entry = LedgerEntry.objects.select_related("store", "payment__purchase", "refund__request").first()
    monkeypatch.setattr("refund_plugin.refunds.ledger.journal._entries", lambda *period: iter([entry]))
    ran = run("refunds_journal", *MARCH)
    assert (ran.code, "refunds_verify" in ran.err) == (1, True)
