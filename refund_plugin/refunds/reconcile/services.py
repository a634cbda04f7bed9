"""Read an account's listing page by page, record what it tells, and keep what differs.

A page is one step: its cursor is committed after its refunds were recorded, so a run that was killed goes on where it was, and a
page read twice changes nothing.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Min, Q, QuerySet

from refund_plugin import clock
from refund_plugin.conf import settings
from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways.answers import ListedRefund
from refund_plugin.gateways.base import AnswerKind, Gateway, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import account_slugs, gateway_for
from refund_plugin.refunds.alerts import raise_alert
from refund_plugin.refunds.externals import Seen, record_seen
from refund_plugin.refunds.models import Refund, RefundOrigin
from refund_plugin.refunds.outcomes import FACTS, Told, record_answers
from refund_plugin.refunds.reconcile.books import read_books
from refund_plugin.refunds.reconcile.models import Finding, FindingKind, ReconciliationRun, RunState
from refund_plugin.refunds.reconcile.payments import BOOKS, DISPUTES, PAYMENTS, Read, read_disputes, read_payments, wait_for_slot
from refund_plugin.refunds.states import GONE, OVER, RefundState

logger = logging.getLogger(__name__)

LEASE_SECONDS = 120
MAX_FAILURES = 10
# a listing may lag behind, and what was made while it was read may be on neither page
MARGIN = timedelta(hours=1)
RUNS_BEFORE_ALERT = 2
ENDED = OVER | GONE


def start_run(*, account: GatewayAccount, since: datetime | None = None, started_by: str = "") -> ReconciliationRun:
    """Start to compare, unless a run of this account is under way; that one is returned then.

    Args:
        since: UTC; `RECONCILE_DAYS` before now when omitted. Earlier where refunds wait after a restore: the listing must hold
            whatever was made in their place.
        started_by: a name for people; empty for the schedule.
    """
    now = clock.database_now()  # compared with when listings showed a refund, which is told by this clock
    since = since or now - timedelta(days=settings().reconcile_days)
    oldest = _looked_up(account).aggregate(oldest=Min("reserved_at"))["oldest"]
    if oldest is not None:
        since = min(since, oldest - MARGIN)
    try:
        with transaction.atomic():
            return ReconciliationRun.objects.create(account=account, since=since, started_by=started_by[:200], started_at=now)
    except IntegrityError:
        return ReconciliationRun.objects.get(account=account, state=RunState.RUNNING)


def reconcile_due(now: datetime) -> int:
    """Start what is due by `RECONCILE_HOURS` and read one page of each run; the sweep's duty.

    Returns:
        How many pages were read.
    """
    hours = settings().reconcile_hours
    for account in GatewayAccount.objects.filter(slug__in=account_slugs(), on_hold=False):
        if hours and not account.reconciliations.filter(started_at__gt=now - timedelta(hours=hours)).exists():
            start_run(account=account)
    running = ReconciliationRun.objects.filter(state=RunState.RUNNING).values_list("pk", flat=True)
    return sum(advance_run(run_id, now=now) for run_id in running)


def advance_run(run_id: int, *, now: datetime) -> bool:
    """Read the next page of a run; tell whether one was read. Nobody else reads the run meanwhile."""
    database_now = clock.database_now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=database_now)
    claimed = ReconciliationRun.objects.filter(free, pk=run_id, state=RunState.RUNNING)
    lease = database_now + timedelta(seconds=LEASE_SECONDS)
    if not claimed.update(lease_until=lease):
        return False
    run = ReconciliationRun.objects.select_related("account").get(pk=run_id)
    try:
        return _advance(run, lease, now=now)
    except Exception as error:  # what one account tells must not stop the others; after its tries the run gives up
        logger.exception("reconciliation %s: a page of %s could not be recorded", run.pk, run.account.slug)
        _note_failure(run, type(error).__name__, now=now)
        return False


def _advance(run: ReconciliationRun, lease: datetime, *, now: datetime) -> bool:
    read = _read(run, now=now)
    if isinstance(read, GatewayAnswer):
        _note_failure(run, read.code, now=now)
        return False
    with transaction.atomic():
        mine = ReconciliationRun.objects.select_for_update().filter(pk=run.pk, lease_until=lease, state=RunState.RUNNING).first()
        if mine is None:
            return False  # too slow: somebody else reads this page, and what we recorded they record again
        mine.counts = dict(Counter(mine.counts) + read.counts)
        mine.pages, mine.failures, mine.last_error = mine.pages + 1, 0, ""
        mine.cursor, mine.lease_until = read.cursor, None
        mine.reached = read.reached or mine.reached
        _keep_findings(mine, read.differing, now=now)
        if not read.cursor:
            _finish(mine, now=now)
        mine.save()
    return True


def _read(run: ReconciliationRun, *, now: datetime) -> Read | GatewayAnswer:
    """Read and record the next page: first of refunds, then of disputes, then of payments, at last of a store's own books."""
    try:
        gateway = gateway_for(run.account)
    except GatewayMisconfigured as error:
        return GatewayAnswer(kind=AnswerKind.NOT_EXECUTED, code="misconfigured", message=str(error))
    if run.cursor.startswith(DISPUTES):
        return read_disputes(run, gateway, now=now)
    if run.cursor.startswith(PAYMENTS):
        return read_payments(run, gateway, now=now)
    if run.cursor.startswith(BOOKS):
        return read_books(run, gateway)
    wait_for_slot(run.account)
    page = gateway.list_refunds(created_after=run.since, cursor=run.cursor)
    if isinstance(page, GatewayAnswer):
        return page
    counts, differing = _record_page(run, gateway, page.items, asked_at=now)
    return Read(page.cursor or DISPUTES, counts, differing, page.items[-1].created if page.items else None)


def _ask_again(run: ReconciliationRun, gateway: Gateway, items: Sequence[ListedRefund]) -> dict[str, GatewayAnswer]:
    """Ask for what is listed otherwise than we know it to have ended: a listing may be older than what we heard.

    Returns:
        The gateway's present answers by its ids; an end that was heard while it was asked stands.
    """
    ended = {name: row for name, row in _states(run.account, items).items() if row.state in ENDED}
    answers: dict[str, GatewayAnswer] = {}
    for item in items:
        row = ended.get(item.gateway_refund_id)
        if row is not None and row.state != item.answer.kind.value:
            asked_at = clock.database_now()
            wait_for_slot(run.account)
            answer = answers[item.gateway_refund_id] = gateway.retrieve(item.gateway_refund_id)
            record_answers([Told(row.pk, answer, asked_at=asked_at)], now=clock.now())
    return answers


def _record_page(
    run: ReconciliationRun, gateway: Gateway, listed: Sequence[ListedRefund], *, asked_at: datetime
) -> tuple[Counter[str], list[Finding]]:
    """Record what a page shows; return what it counts, and what differs even after it was recorded.

    Args:
        asked_at: UTC; before the page was asked for.
    """
    before = _states(run.account, listed)
    asked = _ask_again(run, gateway, listed)
    items = [replace(item, answer=asked.get(item.gateway_refund_id, item.answer)) for item in listed]
    seen = [
        Seen(
            gateway_payment_id=item.gateway_payment_id,
            refund_id=item.refund_id,
            installation=item.installation,
            answer=item.answer,
            told_at=asked_at,
            charge_id=item.charge_id,
        )
        for item in items
        if item.gateway_refund_id not in asked
    ]
    known = dict(
        zip((item.answer.gateway_refund_id for item in seen), record_seen(account=run.account, seen=seen, now=asked_at), strict=True)
    )
    after = _states(run.account, items)
    counts: Counter[str] = Counter(listed=len(items))
    differing: list[Finding] = []
    open_findings = Finding.objects.filter(account=run.account, kind=FindingKind.DIFFERS, resolved_at__isnull=True)
    for item in items:
        name = item.gateway_refund_id
        refund = after.get(name)
        ours = refund is not None and refund.origin != RefundOrigin.EXTERNAL
        counts["ours" if ours else "external" if refund is not None else "foreign"] += 1
        is_known = known.get(name, True)
        if is_known and _state(before.get(name)) != _state(refund):
            counts["news"] += 1
        if name in asked and asked[name].kind not in FACTS:  # nobody could say what holds now, so the next run compares it
            open_findings.filter(gateway_refund_id=name).update(run=run)
        elif refund is None and is_known and item.refund_id is not None and item.installation == settings().installation:
            differing.append(_finding(run, FindingKind.UNKNOWN_HERE, item, refund=None, ours=""))
        elif refund is not None and (item.answer.amount != refund.amount or item.answer.kind.value != refund.state):
            differing.append(_finding(run, FindingKind.DIFFERS, item, refund=refund, ours=f"{refund.amount} {refund.state}"))
    Refund.objects.filter(pk__in=[refund.pk for refund in after.values()]).update(seen_at=clock.database_now())
    return counts, differing


def _states(account: GatewayAccount, items: Sequence[ListedRefund]) -> dict[str, Refund]:
    names = [item.gateway_refund_id for item in items]
    rows = Refund.objects.filter(account=account, livemode=account.livemode, gateway_refund_id__in=names)
    return {row.gateway_refund_id: row for row in rows}


def _state(refund: Refund | None) -> str:
    return refund.state if refund is not None else ""


def _finding(run: ReconciliationRun, kind: FindingKind, item: ListedRefund, *, refund: Refund | None, ours: str) -> Finding:
    theirs = f"{item.answer.amount} {item.answer.kind.value}"
    return Finding(
        run=run, account=run.account, kind=kind, refund=refund, gateway_refund_id=item.gateway_refund_id, ours=ours, theirs=theirs
    )


def _keep_findings(run: ReconciliationRun, findings: Sequence[Finding], *, now: datetime) -> None:
    """Keep each difference once while it is open, and alert when it stays."""
    for finding in findings:
        same = Finding.objects.filter(account=run.account, kind=finding.kind, gateway_refund_id=finding.gateway_refund_id)
        known = same.filter(resolved_at__isnull=True).first()
        if known is None:
            finding.found_at = now
            finding.save(force_insert=True)
            runs = 1
        else:
            runs = known.runs + (known.run_id != run.pk)
            same.filter(pk=known.pk).update(run=run, runs=runs, ours=finding.ours, theirs=finding.theirs)
        if runs >= (RUNS_BEFORE_ALERT if finding.kind == FindingKind.MISSING else 1):
            _alert(finding, now=now)


def _alert(finding: Finding, *, now: datetime) -> None:
    label = FindingKind(finding.kind).label
    raise_alert(
        kind=f"reconcile_{finding.kind}",
        key=f"reconcile:{finding.account_id}:{finding.kind}:{finding.gateway_refund_id}"[:120],
        why=f"{finding.gateway_refund_id}: {label} ({finding.ours or '-'} / {finding.theirs or '-'})",
        store_id=finding.refund.store_id if finding.refund is not None else None,
        refund=finding.refund,
        account=finding.account,
        now=now,
    )


def _finish(run: ReconciliationRun, *, now: datetime) -> None:
    """The whole listing was read: what we say was sent must have been on it, and what no longer differs is resolved."""
    sent = Refund.objects.filter(account=run.account, state__in=(RefundState.SUCCEEDED, RefundState.PENDING))
    sent = sent.exclude(gateway_refund_id="").exclude(gateway_refund_id__startswith="cancel:")
    inside = sent.filter(first_sent_at__gt=run.since + MARGIN, first_sent_at__lt=run.started_at - MARGIN)
    missing = inside.filter(Q(seen_at__isnull=True) | Q(seen_at__lt=run.started_at)).select_related("account")
    findings = [
        Finding(
            run=run,
            account=run.account,
            kind=FindingKind.MISSING,
            refund=refund,
            gateway_refund_id=refund.gateway_refund_id,
            ours=f"{refund.amount} {refund.state}",
        )
        for refund in missing
    ]
    _keep_findings(run, findings, now=now)
    if findings:
        run.counts = {**run.counts, "missing": len(findings)}
    # what an older run found is only gone if this one looked there
    Finding.objects.filter(account=run.account, resolved_at__isnull=True).exclude(run=run).filter(
        Q(refund__isnull=True) | Q(refund__first_sent_at__gt=run.since) | Q(refund__first_sent_at__isnull=True)
    ).update(resolved_at=now)
    # after a restore: all that was made since they were was recorded, so nothing that the backup does not know stands in for these
    _looked_up(run.account).filter(reserved_at__gte=run.since).update(list_first=False)
    run.state, run.finished_at = RunState.DONE, now


def _looked_up(account: GatewayAccount) -> QuerySet[Refund]:
    """Return what waits for a comparison after a restore; the others are each looked up by the worker that sends them."""
    by_itself = (RefundState.RESERVED, RefundState.PROCESSING, RefundState.UNKNOWN)
    return Refund.objects.filter(account=account, list_first=True).exclude(state__in=by_itself)


def _note_failure(run: ReconciliationRun, code: str, *, now: datetime) -> None:
    """A page could not be read or recorded: try again at the next sweep, and give the run up after too many times."""
    gives_up = run.failures + 1 >= MAX_FAILURES
    ReconciliationRun.objects.filter(pk=run.pk, state=RunState.RUNNING).update(  # somebody faster may have ended it
        failures=F("failures") + 1,
        last_error=code[:200],
        lease_until=clock.database_now() + timedelta(seconds=settings().retry_base_seconds * 2 ** min(run.failures, 6)),
        state=RunState.FAILED if gives_up else RunState.RUNNING,
        finished_at=now if gives_up else None,
    )
    logger.warning("reconciliation %s: the listing of %s could not be read (%s)", run.pk, run.account.slug, code)
    if gives_up:
        raise_alert(
            kind="reconcile_failed",
            key=f"reconcile_failed:{run.account_id}",
            why=f"{run.account.slug}: the gateway's listing could not be read ({code})",
            account=run.account,
            now=now,
        )
