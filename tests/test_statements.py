"""A kept statement answers as the query that it was made from, whatever the values are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from refund_plugin.events.models import Heartbeat
from refund_plugin.statements import KeptStatement

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def beats() -> list[str]:
    names = ["first", "second", "third"]
    for hour, name in enumerate(names):
        Heartbeat.objects.create(name=name, beat_at=NOON + timedelta(hours=hour))
    return names


def of_beats(*, since: datetime | None = None, name: str | None = None, pk: int | None = None, count: int = 10) -> QuerySet[Heartbeat, Any]:
    rows = Heartbeat.objects.order_by("beat_at")
    rows = rows if since is None else rows.filter(beat_at__gte=since)
    rows = rows if name is None else rows.filter(name=name)
    rows = rows if pk is None else rows.filter(pk=pk)
    return rows.values_list("name")[:count]


def test_each_run_answers_for_its_own_values(beats: list[str]) -> None:
    kept = KeptStatement(of_beats)
    assert [name for (name,) in kept.rows(since=NOON + timedelta(hours=1))] == ["second", "third"]
    assert [name for (name,) in kept.rows(since=NOON + timedelta(hours=2))] == ["third"]
    assert [name for (name,) in kept.rows(since=NOON, name="first")] == ["first"]
    assert [name for (name,) in kept.rows(since=NOON + timedelta(hours=1), name="first")] == []


def test_a_value_that_is_none_has_a_statement_of_its_own(beats: list[str]) -> None:
    kept = KeptStatement(of_beats)
    assert len(kept.rows(name=None)) == 3
    assert kept.rows(name="second") == [("second",)]
    assert len(kept.rows(name=None)) == 3


def test_a_fixed_value_is_part_of_the_statement(beats: list[str]) -> None:
    kept = KeptStatement(of_beats, fixed=["count"])
    assert [len(kept.rows(since=NOON, count=count)) for count in (1, 2, 1)] == [1, 2, 1]


def test_two_values_of_one_kind_are_not_mistaken_for_each_other(beats: list[str]) -> None:
    def between(*, since: datetime, until: datetime) -> QuerySet[Heartbeat, Any]:
        return Heartbeat.objects.filter(beat_at__gte=since, beat_at__lt=until).values_list("name")

    kept = KeptStatement(between)
    assert kept.rows(since=NOON, until=NOON + timedelta(hours=1)) == [("first",)]
    assert kept.rows(until=NOON + timedelta(hours=3), since=NOON + timedelta(hours=2)) == [("third",)]
    assert kept.rows(since=NOON, until=NOON) == []


def test_words_are_data_and_never_part_of_the_statement(beats: list[str]) -> None:
    kept = KeptStatement(of_beats)
    kept.rows(name="first")
    sql, params = kept.sql(name="x' OR '1'='1")
    assert "OR '1'" not in sql
    assert "x' OR '1'='1" in params
    assert kept.rows(name="x' OR '1'='1") == []


def test_a_value_that_the_query_does_not_use_is_refused() -> None:
    def without(**values: object) -> QuerySet[Heartbeat, Any]:
        return Heartbeat.objects.values_list("name")

    with pytest.raises(ValueError, match="name"):
        KeptStatement(without).rows(name="first")


def test_the_query_is_built_once_and_asked_each_time(
    beats: list[str], django_assert_num_queries: Callable[..., CaptureQueriesContext]
) -> None:
    built = []

    def counting(**values: Any) -> QuerySet[Heartbeat, Any]:
        built.append(values)
        return of_beats(**values)

    kept = KeptStatement(counting)
    with django_assert_num_queries(3):
        for name in beats:
            kept.rows(name=name)
    assert len(built) == 1
