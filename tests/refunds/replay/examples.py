"""Requests of the past, and drafts to judge them again by."""

from __future__ import annotations

from datetime import datetime, timedelta

from refund_plugin.refunds.replay.models import ReplayRun, ReplayState
from refund_plugin.refunds.replay.services import advance_run, start_replay
from refund_plugin.rules import Clause, MoneyBack, PolicyDocument
from refund_plugin.stores.services import ensure_default_store
from tests.factories import CLAUSES, NOW

KEY = "policy"
SAME = PolicyDocument(CLAUSES)
LATER = NOW + timedelta(days=1)


def draft(*clauses: Clause) -> PolicyDocument:
    """A draft with these clauses; by default everything comes back within three days."""
    return PolicyDocument(clauses or (MoneyBack(anchor="guarantee", window_days=3),))


def start(document: PolicyDocument, *, days: int = 90, now: datetime = LATER, key: str = KEY) -> ReplayRun:
    """Start a replay of the default store's past."""
    return start_replay(store=ensure_default_store(), policy_key=key, document=document, days=days, now=now, by_label="Edda")


def step(run: ReplayRun) -> ReplayRun:
    """Read one page, as a worker without time would."""
    advance_run(run.pk, now=LATER, deadline=0.0)
    return ReplayRun.objects.get(pk=run.pk)


def finish(run: ReplayRun) -> ReplayRun:
    """Read to the end."""
    while run.state == ReplayState.RUNNING:
        run = step(run)
    return run


def replay(document: PolicyDocument, **options: int) -> ReplayRun:
    """Start and finish."""
    return finish(start(document, **options))
