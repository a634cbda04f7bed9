"""Start, advance and stop replays: the past judged again by a draft, in the background, page by page.

A page is one step: its counts, its changed lines and the cursor are committed together, so a run whose worker was killed goes on
where it was, and nothing is counted twice. Nothing outside a run's own rows is ever changed.
"""

from __future__ import annotations

import logging
from collections import Counter
from datetime import datetime, timedelta
from time import monotonic

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.errors import InvalidInput
from refund_plugin.events import doorbell
from refund_plugin.refunds.replay.models import ReplayChange, ReplayDenied, ReplayKind, ReplayRun, ReplayState
from refund_plugin.refunds.replay.reading import count_past, read_page
from refund_plugin.refunds.replay.tally import Page
from refund_plugin.rules import PolicyDocument, document_hash, dump_document, load_document
from refund_plugin.stores.models import Store

logger = logging.getLogger(__name__)

REPLAY = "refund_plugin.replay"  # the task that workers are woken for
PERIODS_DAYS = (30, 90, 365, 730)
KEEP = timedelta(days=90)
SLICE_SECONDS = 1.0  # so long may a replay keep a worker from the money
LEASE_SECONDS = 60
MAX_FAILURES = 5
RETRY_SECONDS = 10


def start_replay(
    *, store: Store, policy_key: str, document: PolicyDocument, days: int, now: datetime, by_id: str = "", by_label: str = ""
) -> ReplayRun:
    """Start to judge the last `days` days of a store by a draft; the same replay under way is joined, another one is stopped.

    Replays that began more than 90 days ago are deleted.

    Args:
        policy_key: names the policy that the draft is of; one replay of it runs at a time.
        days: one of `PERIODS_DAYS`.
        by_label: a name for people.
        now: UTC; the past ends here.
    Raises:
        InvalidInput: another number of days, or a draft without clauses.
    """
    if days not in PERIODS_DAYS:
        raise InvalidInput(_("Choose one of the periods."), field="days")
    if not document.clauses:
        raise InvalidInput(_("The draft has no clauses yet. Add at least one and save the draft."), field="document")
    text = dump_document(document)
    ReplayRun.objects.filter(started_at__lt=now - KEEP).delete()
    under_way = ReplayRun.objects.filter(store=store, policy_key=policy_key, state=ReplayState.RUNNING)
    same = under_way.filter(hash=document_hash(text)).first()
    if same is not None and same.days == days:
        return same
    try:
        with transaction.atomic():
            under_way.update(state=ReplayState.CANCELED, finished_at=now)
            run = ReplayRun.objects.create(
                store=store,
                policy_key=policy_key,
                document=text,
                hash=document_hash(text),
                since=now - timedelta(days=days),
                until=now,
                started_by_id=by_id,
                started_by=by_label[:200],
                started_at=now,
            )
            doorbell.ring(REPLAY)
    except IntegrityError:  # somebody else started one in this very moment
        return under_way.get()
    return run


def cancel_replay(*, run_id: int, now: datetime) -> bool:
    """Stop a replay; what it has found stays to be read. Tell whether it was under way."""
    running = ReplayRun.objects.filter(pk=run_id, state=ReplayState.RUNNING)
    return running.update(state=ReplayState.CANCELED, finished_at=now) > 0


def replay_due(now: datetime) -> int:
    """Go on with the replays under way for about a second; the sweep's duty, and the work of the task.

    If there is more to read it rings for a worker again: other work gets its turn between.

    Returns:
        How many pages were read.
    """
    deadline = monotonic() + SLICE_SECONDS
    running = ReplayRun.objects.filter(state=ReplayState.RUNNING).order_by("pk").values_list("pk", flat=True)
    pages = sum(advance_run(run_id, now=now, deadline=deadline) for run_id in list(running))
    if pages and running.all().exists():
        doorbell.send(REPLAY)
    return pages


def advance_run(run_id: int, *, now: datetime, deadline: float) -> int:
    """Read pages of a run until the deadline, at least one; nobody else reads the run meanwhile. Return how many.

    Args:
        deadline: of `time.monotonic`.
    """
    lease = _lease()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=clock.database_now())
    if not ReplayRun.objects.filter(free, pk=run_id, state=ReplayState.RUNNING).update(lease_until=lease):
        return 0
    run = ReplayRun.objects.get(pk=run_id)
    pages = 0
    try:
        document = load_document(run.document)
        if run.total is None:
            run.total = count_past(run)
        while True:
            page = read_page(run, document)
            more = monotonic() < deadline
            if not _commit(run, page, goes_on=more, now=now):
                return pages  # stopped meanwhile, or so slow that somebody else has taken over: they read this page again
            pages += 1
            if run.state != ReplayState.RUNNING or not more:
                return pages
    except Exception as error:  # a replay that cannot go on must not stop the sweep; after its tries it gives up
        logger.exception("replay %s could not go on", run_id)
        _note_failure(run_id, type(error).__name__, now=now)
        return pages


def _commit(run: ReplayRun, page: Page, *, goes_on: bool, now: datetime) -> bool:
    """Write what a page gave, and where the next one begins; tell whether the run was still ours."""
    with transaction.atomic():
        mine = ReplayRun.objects.select_for_update().filter(pk=run.pk, lease_until=run.lease_until, state=ReplayState.RUNNING)
        if mine.first() is None:
            return False
        counts = Counter(run.counts) + page.counts
        for change in page.changes:
            change.run = run
        ReplayChange.objects.bulk_create(page.changes)
        ReplayDenied.objects.bulk_create(
            [ReplayDenied(run=run, kind=page.kind, customer_id=customer) for customer in page.denied], ignore_conflicts=True
        )
        counts["kept"] += len(page.changes)
        run.counts, run.cursor, run.read = dict(counts), page.cursor, run.read + page.cases
        run.failures, run.last_error = 0, ""
        run.lease_until = _lease() if goes_on else None
        if page.cursor is None:
            _next_kind(run, now=now)
        run.save()
    return True


def _next_kind(run: ReplayRun, *, now: datetime) -> None:
    if run.kind == ReplayKind.REQUESTS:
        run.kind = ReplayKind.PURCHASES
        return
    run.state, run.finished_at, run.lease_until = ReplayState.DONE, now, None
    for kind in ReplayKind.values:
        denied = ReplayDenied.objects.filter(run=run, kind=kind)
        run.counts[f"{kind}:denied"] = denied.count()
        denied.delete()  # only counted


def _lease() -> datetime:
    return clock.database_now() + timedelta(seconds=LEASE_SECONDS)


def _note_failure(run_id: int, code: str, *, now: datetime) -> None:
    """Try again at a later sweep, and give the run up after too many times."""
    mine = ReplayRun.objects.filter(pk=run_id, state=ReplayState.RUNNING)
    mine.update(failures=F("failures") + 1, last_error=code, lease_until=clock.database_now() + timedelta(seconds=RETRY_SECONDS))
    mine.filter(failures__gte=MAX_FAILURES).update(state=ReplayState.FAILED, finished_at=now)
