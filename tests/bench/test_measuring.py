"""The measurements measure what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from refund_plugin.rules import Outcome, evaluate
from tests.bench import engine, page
from tests.bench.__main__ import MONEY_PARTS
from tests.bench.figures import Row, at_least, at_most, below, percentile, time_each

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 600


def test_the_policy_has_fifty_clauses_of_every_kind() -> None:
    clauses = engine.policy().clauses
    assert len(clauses) == 50
    assert {clause.kind for clause in clauses} == {"money_back", "unused_only", "pro_rated", "non_refundable"}


def test_the_lines_are_decided_early_late_and_not_at_all_and_in_every_way() -> None:
    document = engine.policy()
    verdicts = [evaluate(document, facts) for facts in engine.lines()]
    assert {verdict.outcome for verdict in verdicts} >= {Outcome.APPROVE, Outcome.DECLINE}
    assert min(len(verdict.considered) for verdict in verdicts) == 1
    assert max(len(verdict.considered) for verdict in verdicts) == 50
    assert sum(len(verdict.considered) for verdict in verdicts) > 20 * len(verdicts)


def test_a_percentile_is_a_measured_value_that_so_many_do_not_exceed() -> None:
    values = [float(value) for value in range(1, 21)]
    assert percentile(values, 95) == 19
    assert percentile(values, 50) == 10
    assert percentile([7.0], 95) == 7


def test_calls_are_timed_by_the_given_clock() -> None:
    ticks = iter([0, 1_000_000, 5_000_000, 7_000_000])
    assert time_each([lambda: None, lambda: None], lambda: next(ticks)) == [1.0, 2.0]


def test_a_row_tells_whether_the_aim_is_met() -> None:
    assert at_most("p95", 0.4, 1, "ms").met
    assert not at_most("p95", 1.2, 1, "ms").met
    assert at_least("speed", 5000, 5000, "/s").met
    assert at_least("speed", 24.96, 24, "/s", digits=1).figure == "25.0 /s"
    assert below("refused", 0.99, 1, "%").met
    assert not below("refused", 1, 1, "%").met
    assert str(at_most("p95", 1.2, 1, "ms")).endswith("1.20 ms  MISSED")
    assert str(Row("p50", "3 ms")).endswith("3 ms")


@pytest.fixture(scope="module")
def money() -> dict[str, str]:
    """What each part that moves money printed, by the words it begins with, measured with a few refunds."""
    only = [word for part in MONEY_PARTS for word in ("--only", part)]
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--bare", "--tiny", *only], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    assert result.returncode == 0, result.stderr
    return {row[:58].strip(): row[58:].strip() for row in result.stdout.splitlines()}


@pytest.mark.parametrize(
    "begins",
    [
        "30 refunds, sandbox limited to 25/s",
        "30 refunds, gateway of 1 ms",
        "the same, one Celery task each",
        "by Stripe's SDK",
        "Refunds claimed 50 at a time",
        "Webhook acknowledged",
        "TRANSACTION_REFUND_REQUESTED to answer",
        "Orders of a Saleor taken over, 120",
        "Cost of a refund with 40 in the table, against 20",
    ],
)
def test_every_way_of_the_money_is_measured(money: dict[str, str], begins: str) -> None:
    assert [row for row in money if row.startswith(begins)]


def test_a_replay_is_measured_beside_the_same_question_row_by_row() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--bare", "--tiny", "--only", "replay"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert result.returncode == 0, result.stderr
    shown = [row[:58].strip() for row in result.stdout.splitlines()]
    assert [
        begins
        for begins in ("160 past requests", "the same question row by row", "memory ratio", "peak with 160")
        if not any(row.startswith(begins) for row in shown)
    ] == []


def test_the_page_that_is_measured_is_served_with_the_footer_and_without(db: None) -> None:
    without, with_footer = page.prepare()
    assert "About us" in without()
    assert "14 days to change your mind" not in without()
    assert "14 days to change your mind" in with_footer()


def test_workers_keep_to_the_limit_and_webhooks_ask_the_gateway_nothing(money: dict[str, str]) -> None:
    assert money["answered 429"].endswith("0.00 %  met")
    assert money["calls to the gateway"].endswith("0  met")
    assert money["refunds asked for at the gateway before the answer"].endswith("0  met")
