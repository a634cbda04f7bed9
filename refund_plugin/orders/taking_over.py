"""Read the older sales of an order book by itself, a few pages at each sweep, until all are read; whatever interrupts, it goes on.

The row is the queue: it holds the place, the counts and a lease, so that workers never read the same page at the same time. Somebody
may run the command beside it: what is read twice changes nothing.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta

from django.db.models import F, Q

from refund_plugin import clock
from refund_plugin.errors import GatewayMisconfigured, NotFound
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import account_slugs
from refund_plugin.orders.backfill import BackfillReport, GatewaySilent, LeftOut, SalesReader
from refund_plugin.orders.models import SalesBackfill
from refund_plugin.orders.sales import order_book_of

logger = logging.getLogger(__name__)

LEASE_SECONDS = 120
PAGES_AT_ONCE = 10  # then the sweep has other duties
RETRY_SECONDS = (5, 30, 120, 600, 3600)


def start_backfill(*, account: GatewayAccount, now: datetime, since: datetime | None = None) -> SalesBackfill:
    """Let workers read the older sales of an account; one that is under way goes on, one that had ended begins anew.

    Args:
        since: UTC; older ones are left out.
        now: UTC.
    """
    begin: dict[str, object] = {"kind": "", "cursor": "", "counts": {}, "expected": None, "finished_at": None, "started_at": now}
    waiting: dict[str, object] = {"is_automatic": True, "failures": 0, "last_error": "", "lease_until": None, "changed_at": now}
    row, is_new = SalesBackfill.objects.get_or_create(account=account, defaults={**begin, **waiting, "since": since})
    if not is_new:
        goes_on = row.finished_at is None and row.since == since
        SalesBackfill.objects.filter(pk=row.pk).update(**waiting, **({} if goes_on else {**begin, "since": since}))
        row.refresh_from_db()
    return row


def advance_backfills(now: datetime) -> int:
    """Read the next pages of every backfill that workers go on with; return how many pages were read. The sweep's duty.

    Args:
        now: UTC.
    """
    waiting = SalesBackfill.objects.filter(is_automatic=True, finished_at__isnull=True, account__on_hold=False)
    rows = waiting.filter(account__slug__in=account_slugs()).select_related("account") if waiting.exists() else []
    return sum(_advance(row, now=now) for row in rows)


def _advance(row: SalesBackfill, *, now: datetime) -> int:
    pages = 0
    while pages < PAGES_AT_ONCE and _claim(row):
        try:
            is_last = _read_page(row, now=now)
        except (GatewaySilent, GatewayMisconfigured, NotFound) as error:
            _note_failure(row, str(error))
            break
        except Exception as error:  # a page that cannot be recorded must not stop the other accounts
            logger.exception("the older sales of %s: a page could not be recorded", row.account.slug)
            _note_failure(row, type(error).__name__)
            break
        pages += 1
        if is_last:
            break
    return pages


def _claim(row: SalesBackfill) -> bool:
    """Lease the row for one page."""
    database_now = clock.database_now()
    free = Q(lease_until__isnull=True) | Q(lease_until__lt=database_now)
    lease = database_now + timedelta(seconds=LEASE_SECONDS)
    claimed = SalesBackfill.objects.filter(free, pk=row.pk, finished_at__isnull=True).update(lease_until=lease)
    if claimed:
        row.refresh_from_db()
    return bool(claimed)


def _read_page(row: SalesBackfill, *, now: datetime) -> bool:
    """Read and record one page; tell whether it was the last."""
    account = row.account
    store = order_book_of(account)
    if store is None:
        raise NotFound(f"{account.slug} keeps no order book")
    reader = SalesReader(
        account=account, store=store, since=row.since, now=now, waits=(), on_left_out=lambda sale: _tell_left_out(account, sale)
    )
    next_place = reader.read_page(reader.place())
    told = {"counts": _added(row.counts, reader.report), "failures": 0, "last_error": "", "lease_until": None, "changed_at": now}
    if reader.expected is not None:
        told["expected"] = reader.expected
    if next_place is not None:
        told |= {"kind": next_place.kind, "cursor": next_place.cursor}
    SalesBackfill.objects.filter(pk=row.pk, lease_until=row.lease_until).update(**told)
    return next_place is None


def _added(counts: dict[str, int], report: BackfillReport) -> dict[str, int]:
    news = {name: value for name, value in asdict(report).items() if isinstance(value, int)}
    return {name: counts.get(name, 0) + value for name, value in news.items()}


def _tell_left_out(account: GatewayAccount, sale: LeftOut) -> None:
    logger.warning("the sale %s of %s was left out: %s", sale.source_id, account.slug, sale.reason)


def _note_failure(row: SalesBackfill, why: str) -> None:
    pause = RETRY_SECONDS[min(row.failures, len(RETRY_SECONDS) - 1)]
    SalesBackfill.objects.filter(pk=row.pk).update(
        failures=F("failures") + 1, last_error=why[:200], lease_until=clock.database_now() + timedelta(seconds=pause)
    )
    logger.warning("the older sales of %s could not be read (%s); they are asked for again in %d s", row.account.slug, why, pause)
