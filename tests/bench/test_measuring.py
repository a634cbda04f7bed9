"""The measurements measure what they say."""

from __future__ import annotations

from refund_plugin.rules import Outcome, evaluate
from tests.bench import engine
from tests.bench.figures import Row, at_least, at_most, percentile, time_each


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
    assert str(at_most("p95", 1.2, 1, "ms")).endswith("1.20 ms  MISSED")
    assert str(Row("p50", "3 ms")).endswith("3 ms")
