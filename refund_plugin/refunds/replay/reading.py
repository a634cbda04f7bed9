"""Pages of the past: decisions with the facts that they stored, and purchases that could ask now.

Rows are read by their ids from the newest to the oldest, so that neither an index nor an offset is needed and memory holds one
page, however many there are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, Value

from refund_plugin.actor import ActorKind
from refund_plugin.errors import RefundPluginError
from refund_plugin.gateways.services import account_slugs
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.orders.queries import usage_of
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import load_version, name_in_force, version_named
from refund_plugin.refunds.facts import gather_facts, records_of
from refund_plugin.refunds.models import Decision, RequestLine
from refund_plugin.refunds.quote import NO_POLICY, amount_step
from refund_plugin.refunds.replay.judging import judge, judge_again, was_judged
from refund_plugin.refunds.replay.models import ReplayKind, ReplayRun
from refund_plugin.refunds.replay.tally import MAX_KEPT, Page
from refund_plugin.rules import LineFacts, PolicyDocument

logger = logging.getLogger(__name__)

REQUESTS_PER_PAGE = 500
PURCHASES_PER_PAGE = 100
# lines times clauses of the draft: a page of large purchases ends long before its lease does, or nobody would ever commit it
TRACES_PER_PAGE = 100_000
# decisions get their ids nearly in the order of their times: transactions that overlap may swap neighbours
STRAY = timedelta(days=1)


def count_past(run: ReplayRun) -> int:
    """Return how many requests and purchases a run has to read."""
    decisions = _decisions(run).filter(decided_at__gte=run.since, decided_at__lte=run.until)
    return decisions.count() + _purchases(run).count()


def read_page(run: ReplayRun, document: PolicyDocument) -> Page:
    """Read the page that a run has come to, and judge it by the draft; changes nothing."""
    return _READERS[run.kind](run, document)


def _decisions(run: ReplayRun) -> QuerySet[Decision]:
    """Return what the engine decided: it alone stores facts and verdicts."""
    return Decision.objects.filter(request__store_id=run.store_id, actor_kind=ActorKind.ENGINE)


def _purchases(run: ReplayRun) -> QuerySet[Purchase]:
    return Purchase.objects.filter(store_id=run.store_id, purchased_at__gte=run.since, purchased_at__lte=run.until)


_COLUMNS = ("id", "decided_at", "request_id", "request__customer_id", "policy_version_id", "currency", "facts", "verdicts")


def _ids_of_page(
    rows: QuerySet[Any], lines: QuerySet[Any], run: ReplayRun, *, size: int, document: PolicyDocument
) -> tuple[list[int], bool]:
    """Return what the next page holds, one row at least, and whether rows may be left after it.

    Args:
        lines: those of one row that are judged.
    """
    rows = rows if run.cursor is None else rows.filter(pk__lt=run.cursor)
    # counted row by row: a join would tempt the database to count the whole past for each page
    counted = Subquery(lines.order_by().values(every=Value(1)).annotate(count=Count("pk")).values("count"))
    left, ids = TRACES_PER_PAGE // max(1, len(document.clauses)), list[int]()
    for pk, count in rows.order_by("-pk").values_list("pk", counted)[:size]:
        left -= count or 0
        if ids and left < 0:
            return ids, True
        ids.append(pk)
    return ids, len(ids) == size


def _read_requests(run: ReplayRun, document: PolicyDocument) -> Page:
    page = Page(ReplayKind.REQUESTS.value, room=_room(run))
    lines = RequestLine.objects.filter(request=OuterRef("request"))
    ids, more = _ids_of_page(_decisions(run), lines, run, size=REQUESTS_PER_PAGE, document=document)
    found = list(Decision.objects.filter(pk__in=ids).order_by("-pk").values_list(*_COLUMNS))
    documents: dict[int | None, PolicyDocument] = {None: NO_POLICY}

    def document_of(version_id: int | None) -> PolicyDocument:
        if version_id is not None and version_id not in documents:
            documents[version_id] = load_version(PolicyVersion.objects.get(pk=version_id))
        return documents[version_id]

    for _pk, decided_at, request_id, customer_id, version_id, currency, all_facts, verdicts in found:
        if not run.since <= decided_at <= run.until:
            continue
        changed = 0
        for facts, verdict in zip(map(as_dict, all_facts), map(as_dict, verdicts), strict=True):
            before = was_judged(verdict)
            changed += page.add_line(
                before,
                judge_again(document, facts, verdict, partial(document_of, version_id)),
                currency=currency,
                customer_id=customer_id,
                request_id=request_id,
                line_id=int(facts["line_id"]),
                version_id=version_id,
                facts=facts,
                step=verdict["step"],
            )
        page.add_case(changed)
    if more and found[-1][1] >= run.since - STRAY:
        page.cursor = found[-1][0]
    return page


def _room(run: ReplayRun) -> int:
    return max(0, MAX_KEPT - int(run.counts.get("kept", 0)))


def document_behind(version: PolicyVersion | None) -> PolicyDocument:
    """Return the policy that decided; one without clauses where there was none."""
    return load_version(version) if version else NO_POLICY


def as_dict(value: Any) -> dict[str, Any]:
    """Return what a decision stored about one line, whether as JSON's object or as its text."""
    loaded: dict[str, Any] = json.loads(value) if isinstance(value, str) else value
    return loaded


def _read_purchases(run: ReplayRun, document: PolicyDocument) -> Page:
    page = Page(ReplayKind.PURCHASES.value, room=_room(run))
    bought = PurchaseLine.objects.filter(purchase=OuterRef("pk"))
    ids, more = _ids_of_page(_purchases(run), bought, run, size=PURCHASES_PER_PAGE, document=document)
    rows = Purchase.objects.filter(pk__in=ids).select_related("store").prefetch_related("lines", "payments__account")
    found = list(rows.annotate(in_force=name_in_force()).order_by("-pk"))
    usage = usage_of(line for purchase in found for line in purchase.lines.all())
    records = records_of(usage)
    for purchase in found:
        lines = [line for line in purchase.lines.all() if line.quantity_left > 0 and line.left_minor > 0]
        try:
            used = [(line, usage[line.pk]) for line in lines]
            facts = gather_facts(purchase=purchase, lines=used, quantities={}, now=run.until, records=records)
            step = _step(purchase)
        except RefundPluginError as error:
            logger.warning("purchase %s cannot be replayed: %s", purchase.pk, error)
            page.add_unread(len(lines))
            page.add_case(0)
            continue
        version = version_named(purchase.in_force) if purchase.in_force else None
        today = document_behind(version)
        version_id = version.pk if version else None
        changed = sum(_compare(page, today, document, purchase, line, facts[line.pk], step, version_id) for line in lines)
        page.add_case(changed)
    if more:
        page.cursor = found[-1].pk
    return page


def _compare(
    page: Page,
    today: PolicyDocument,
    draft: PolicyDocument,
    purchase: Purchase,
    line: PurchaseLine,
    facts: LineFacts,
    step: int,
    version_id: int | None,
) -> bool:
    before = judge(today, facts, step)
    if before is None:
        page.add_unread(1)  # what holds now cannot be told, so nothing can be said to change
        return False
    return page.add_line(
        before,
        judge(draft, facts, step),
        currency=purchase.currency,
        customer_id=purchase.customer_id,
        line_id=line.pk,
        version_id=version_id,
        facts=facts.as_json(),
        step=step,
    )


def _step(purchase: Purchase) -> int:
    """Return the step of the payments that refunds can be sent over, as a quote would."""
    configured = account_slugs()
    sendable = [payment for payment in purchase.payments.all() if payment.account.slug in configured]
    return amount_step(payments=sendable, currency=purchase.currency)


_READERS: dict[str, Callable[[ReplayRun, PolicyDocument], Page]] = {
    ReplayKind.REQUESTS: _read_requests,
    ReplayKind.PURCHASES: _read_purchases,
}
