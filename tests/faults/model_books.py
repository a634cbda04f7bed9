"""What the machine of `model_machine.py` draws from, reads and checks: fates, our rows, workers that sleep, and the books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.execute import Started
from refund_plugin.refunds.ledger.verify import _TABLES, COMPARISONS, Comparison

# what becomes of a worker and its call
WELL = "well"
DIES_CLAIMED, DIES_BEGUN, DIES_ANSWERED = "dies with its claim", "dies before its call", "dies with its answer"
SLEEPS_BEGUN, SLEEPS_ANSWERED = "sleeps before its call", "sleeps with its answer"
MISBEHAVIOURS = (
    "timeout_before_commit",
    "timeout_after_commit",
    "refused_connection",
    "rate_limited",
    "pending",
    "stored_error",
    "stored_error_after_commit",
)
FATES = (WELL, WELL, DIES_CLAIMED, DIES_BEGUN, DIES_ANSWERED, SLEEPS_BEGUN, SLEEPS_ANSWERED, *MISBEHAVIOURS)
PAUSES = (*[timedelta(minutes=1)] * 3, *[timedelta(minutes=12)] * 2, timedelta(hours=21))
WHAT_MAY_HAPPEN = [
    name
    for name, times in {
        "work": 10,
        "work_later": 8,
        "webhooks": 6,
        "ask": 2,
        "settle": 3,
        "wake": 3,
        "try_again": 3,
        "by_hand": 2,
        "forget_keys": 2,
        "time_passes": 1,
        "listings_lag": 1,
        "approve": 1,
        "take_back": 1,
        "look": 1,
        "dashboard": 1,
        "dispute": 1,
    }.items()
    for _time in range(times)
]
SOON = timedelta(minutes=2)  # a worker waits this long for a lease or a pause to end
KEY_LIFE = timedelta(hours=24)
SLEEP = timedelta(hours=2)  # nobody who was about to call sleeps longer and then still calls
ALIVE = (AnswerKind.PENDING, AnswerKind.SUCCEEDED)


class Row(NamedTuple):
    """A refund of ours."""

    pk: UUID
    supersedes: UUID | None
    state: str
    origin: str
    attempts: int
    lease_until: datetime | None
    due_at: datetime
    owed: bool
    waits_for: str
    gateway_refund_id: str


@dataclass
class Sleeper:
    """A worker that has begun a call, and perhaps has its answer, and does not go on."""

    started: Started
    answered: bool
    answer: GatewayAnswer | None
    since: datetime


def _differing(comparison: Comparison) -> str:
    pairs = [f"stored{number} <> derived{number}" for number in range(len(comparison.fields))]
    return f"SELECT * FROM ({comparison.sql.format(scope='1 = 1', **_TABLES)}) AS compared WHERE {' OR '.join(pairs)}"


_STATEMENTS = {comparison.name: _differing(comparison) for comparison in COMPARISONS}


def check_books() -> None:
    """Assert that every balance is what its rows and the ledger say: the product's own comparisons, written once."""
    with connection.cursor() as cursor:
        for name, statement in _STATEMENTS.items():
            cursor.execute(statement)
            assert not (rows := cursor.fetchall()), (name, rows)
