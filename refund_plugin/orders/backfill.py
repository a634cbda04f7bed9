"""Read the older sales of a gateway that keeps the order book: page by page, newest first, interruptible and repeatable."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError
from refund_plugin.gateways.base import NOT_SUPPORTED, AnswerKind, Gateway, GatewayAnswer
from refund_plugin.gateways.limiter import push_back, take_slots
from refund_plugin.gateways.models import GatewayAccount, SlotKind
from refund_plugin.gateways.sales import Sale, SaleKind, SalePage, UnreadableSale
from refund_plugin.gateways.services import gateway_for
from refund_plugin.orders.data import Recorded
from refund_plugin.orders.models import SalesBackfill
from refund_plugin.orders.sales import record_new_sales, record_sale
from refund_plugin.stores.models import Store

WAITS_SECONDS: tuple[float, ...] = (1, 5, 15, 30)  # before a call is tried again that got no answer
NO_SALE = frozenset({AnswerKind.DEFINITIVE_NO, AnswerKind.PENDING})


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the listings a run is: the page behind `cursor`."""

    kind: SaleKind
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A sale that could not be recorded, and why, in words for people."""

    source_id: str
    reason: str


@dataclass(slots=True)
class BackfillReport:
    """What became of the sales that were read.

    Attributes:
        ignored: nothing was paid in them, or not yet.
        reached: when the last recorded one was bought; the listing goes from new to old.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    ignored: int = 0
    rejected: int = 0
    reached: datetime | None = None

    @property
    def total(self) -> int:
        """All sales that were read."""
        return self.created + self.updated + self.unchanged + self.ignored + self.rejected


class GatewaySilent(Exception):
    """The gateway did not answer, also when it was asked again; what was read is kept."""

    def __init__(self, answer: GatewayAnswer) -> None:
        super().__init__(answer.message or answer.code)
        self.answer = answer


class SalesReader:
    """Reads the older sales of an account.

    Args:
        store: that they belong to.
        since: UTC; older ones are left out.
        dry_run: check everything, keep nothing, and begin with the newest.
        on_left_out: called for every sale that cannot be recorded.
        on_progress: called after every few sales.
        waits: seconds before a call is tried again that got no answer; `WAITS_SECONDS` when omitted.
    """

    def __init__(
        self,
        *,
        account: GatewayAccount,
        store: Store,
        now: datetime,
        since: datetime | None = None,
        dry_run: bool = False,
        on_left_out: Callable[[LeftOut], None] = lambda sale: None,
        on_progress: Callable[[BackfillReport], None] = lambda report: None,
        waits: Sequence[float] | None = None,
    ) -> None:
        self._account, self._store, self._now, self._since, self._dry_run = account, store, now, since, dry_run
        self._on_left_out, self._on_progress = on_left_out, on_progress
        self._waits = WAITS_SECONDS if waits is None else waits
        self._gateway: Gateway = gateway_for(account)
        self.report = BackfillReport()
        self.expected: int | None = None  # how many sales there are, where the gateway counts them

    @property
    def goes_on(self) -> bool:
        """Whether a run with the same `since` ended early and is taken up."""
        return not self._dry_run and self._unfinished() is not None

    def run(self) -> BackfillReport:
        """Read everything; a page counts as read when all its sales are recorded. No transaction may be open.

        Raises:
            GatewaySilent: see there; the next run goes on with the same page.
            GatewayMisconfigured: the settings do not name the account.
        """
        place: Place | None = self.place()
        while place is not None:
            place = self.read_page(place)
        return self.report

    def place(self) -> Place:
        """Return where to begin, or to go on."""
        unfinished = None if self._dry_run else self._unfinished()
        for kind in self._gateway.sale_kinds:
            if unfinished is not None and kind == unfinished.kind:
                return Place(kind, unfinished.cursor)
        if not self._gateway.sale_kinds:
            raise GatewaySilent(NOT_SUPPORTED)
        return Place(self._gateway.sale_kinds[0])

    def read_page(self, place: Place) -> Place | None:
        """Read and record one page; return where the next one is, None when this was the last.

        Raises:
            GatewaySilent: as in `run`.
        """
        self._keep_place(place)
        page = self._page(place)
        new: frozenset[str] = frozenset()
        if page.sales and not self._dry_run:
            whole = [sale for sale in page.sales if isinstance(sale, Sale)]
            new = record_new_sales(store=self._store, account=self._account, sales=whole, now=self._now)
        self.expected = page.expected
        for sale in (_told(sale) for sale in page.sales) if page.sales else self._sales(page.source_ids, place.kind):
            self._record(sale, is_new=sale is not None and sale.source_id in new)
        if page.cursor:
            return replace(place, cursor=page.cursor)
        kinds = self._gateway.sale_kinds
        later = kinds[kinds.index(place.kind) + 1 :]
        if not later and not self._dry_run:
            SalesBackfill.objects.filter(account=self._account).update(finished_at=self._now)
        return Place(later[0]) if later else None

    def _unfinished(self) -> SalesBackfill | None:
        return SalesBackfill.objects.filter(account=self._account, since=self._since, finished_at__isnull=True).first()

    def _keep_place(self, place: Place) -> None:
        if self._dry_run:
            return
        kept = {"since": self._since, "kind": place.kind, "cursor": place.cursor, "changed_at": self._now, "finished_at": None}
        SalesBackfill.objects.update_or_create(account=self._account, defaults=kept)

    def _page(self, place: Place) -> SalePage:
        for wait in (*self._waits, None):
            [delay] = take_slots(self._account, SlotKind.READ, 1)
            time.sleep(delay)
            page = self._gateway.list_sales(kind=place.kind, created_after=self._since, cursor=place.cursor)
            if isinstance(page, SalePage):
                return page
            self._wait_or_raise(page, wait)
        raise AssertionError  # the last try returns or raises

    def _wait_or_raise(self, answer: GatewayAnswer, wait: float | None) -> None:
        if wait is None or answer.hold or answer.code == "not_supported":
            raise GatewaySilent(answer)
        push_back(self._account, SlotKind.READ, seconds=wait)

    def _sales(self, source_ids: Sequence[str], kind: SaleKind) -> Iterator[Sale | LeftOut | None]:
        """Read sales, several at the same time; None for what is no sale. Threads only talk to the gateway."""
        at_once = max(1, settings().concurrent_calls)
        with ThreadPoolExecutor(at_once) as pool:
            for start in range(0, len(source_ids), at_once):
                group = list(source_ids[start : start + at_once])
                answers = dict(zip(group, self._ask_for(pool, group, kind), strict=True))
                for wait in (*self._waits, None):
                    silent = [(name, answer) for name, answer in answers.items() if _is_silence(answer)]
                    if not silent:
                        break
                    answer = silent[0][1]
                    assert isinstance(answer, GatewayAnswer)
                    self._wait_or_raise(answer, wait)
                    names = [name for name, _answer in silent]
                    answers.update(zip(names, self._ask_for(pool, names, kind), strict=True))
                yield from (_read(name, answer) for name, answer in answers.items())

    def _ask_for(self, pool: ThreadPoolExecutor, source_ids: Sequence[str], kind: SaleKind) -> list[Sale | GatewayAnswer]:
        # a sale takes several calls, but only one to each endpoint, which is what the gateway limits
        delays = take_slots(self._account, SlotKind.READ, len(source_ids))
        start = time.monotonic()

        def read(source_id: str, delay: float) -> Sale | GatewayAnswer:
            time.sleep(max(0.0, start + delay - time.monotonic()))
            return self._gateway.read_sale(source_id, kind)

        return list(pool.map(read, source_ids, delays))

    def _record(self, sale: Sale | LeftOut | None, *, is_new: bool) -> None:
        report = self.report
        if sale is None:
            report.ignored += 1
        elif isinstance(sale, LeftOut):
            report.rejected += 1
            self._on_left_out(sale)
        else:
            report.reached = sale.purchased_at
            try:
                outcome = Recorded.CREATED if is_new else self._keep(sale)
            except RefundPluginError as error:
                report.rejected += 1
                where = f"{error.field}: " if error.field else ""
                self._on_left_out(LeftOut(sale.source_id, f"{where}{error}"))
            else:
                name = outcome.value if outcome is not None else "ignored"
                setattr(report, name, getattr(report, name) + 1)
        self._on_progress(report)

    def _keep(self, sale: Sale) -> Recorded | None:
        with transaction.atomic():
            recorded = record_sale(store=self._store, account=self._account, sale=sale, now=self._now)
            transaction.set_rollback(self._dry_run)
        return recorded[1] if recorded is not None else None


def _is_silence(answer: Sale | GatewayAnswer) -> bool:
    return isinstance(answer, GatewayAnswer) and answer.kind not in NO_SALE and answer.code != "resource_missing"


def _told(sale: Sale | UnreadableSale) -> Sale | LeftOut | None:
    if isinstance(sale, Sale):
        return sale
    return None if sale.is_nothing else LeftOut(sale.source_id, sale.reason)


def _read(source_id: str, answer: Sale | GatewayAnswer) -> Sale | LeftOut | None:
    if isinstance(answer, Sale):
        return answer
    return None if answer.kind in NO_SALE else LeftOut(source_id, answer.message or answer.code)
