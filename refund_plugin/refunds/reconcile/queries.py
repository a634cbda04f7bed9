"""The truth about money in a few statements, however many refunds there are: sums per account and currency, and who compared them last.

The self-test's store is left out of every sum. Money of a test mode is never added to real money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from refund_plugin.events.heartbeats import last_beat
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import account_slugs
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.law import WARN_BEFORE, reimburse_due
from refund_plugin.refunds.ledger.models import Account, LedgerEntry
from refund_plugin.refunds.ledger.queries import AccountTotal
from refund_plugin.refunds.ledger.verify import ALERT_KIND
from refund_plugin.refunds.models import Alert, Refund, RefundOrigin, RefundRequest, WaitsFor
from refund_plugin.refunds.reconcile.models import Finding, ReconciliationRun, RunState, SelfTest
from refund_plugin.refunds.states import DRIVEN, OVER, RefundState

FINDINGS_SHOWN = 50
VERIFY_BEAT = "duty:verify_ledger"  # the sweep writes it when it starts the duty

_OURS = ~Q(origin=RefundOrigin.EXTERNAL)
_UNKNOWN = Q(state=RefundState.UNKNOWN)
# as the staff's queue counts them (`refunds.queries.money_needs_person`)
_PERSON = Q(state__in=list(OVER), owed=True) | (~Q(needs_person="") & ~Q(state=RefundState.FAILED))
_READY = Q(state__in=DRIVEN, waits_for=WaitsFor.NOTHING)


@dataclass(frozen=True, slots=True)
class Sums:
    """Where the money of one currency stands; every amount is in that currency.

    Attributes:
        captured: what customers paid; `authorised` is what their banks only promised.
        refunded, by_hand, elsewhere: what has gone, by this plugin, by a person, and past us at the gateway.
        unassigned: the part of `elsewhere` that belongs to no line yet.
        pending: with the bank. unknown: sent, answer not yet known, since `unknown_since`. waiting: reserved, not sent or being sent.
        claimed: being paid by a person. disputed: doubted or kept by the customer's bank. over: more gone than was paid.
    """

    currency: str
    captured: Money
    authorised: Money
    refunded: Money
    by_hand: Money
    elsewhere: Money
    unassigned: Money
    waiting: Money
    pending: Money
    unknown: Money
    claimed: Money
    disputed: Money
    over: Money
    unknown_since: datetime | None


MEASURES: tuple[str, ...] = tuple(name for name in Sums.__slots__ if name not in ("currency", "unknown_since"))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What workers have to do: how many refunds are due, since when, and how many wait for something else first."""

    due: int = 0
    due_since: datetime | None = None
    waiting: int = 0
    needs_person: int = 0


@dataclass(slots=True)
class AccountTruth:
    """One account in one mode. The comparisons belong to the account as it is set now."""

    account: GatewayAccount
    livemode: bool
    is_configured: bool
    sums: list[Sums] = field(default_factory=list)
    backlog: Backlog = field(default_factory=Backlog)
    running: ReconciliationRun | None = None
    done: ReconciliationRun | None = None
    failed: ReconciliationRun | None = None
    self_test: SelfTest | None = None
    findings: list[Finding] = field(default_factory=list)
    finding_count: int = 0

    @property
    def is_current(self) -> bool:
        """Whether this is the mode that the account works in now."""
        return self.livemode == self.account.livemode


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger's totals of all time, and the last comparison with the rows behind it."""

    totals: list[AccountTotal]
    by_currency: dict[str, tuple[Money, Money]]
    verified_at: datetime | None
    differs: Alert | None

    @property
    def balanced(self) -> bool:
        """Whether debits equal credits in every currency."""
        return all(debit == credit for debit, credit in self.by_currency.values())


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Withdrawals whose money the law wants back: how many are late, how many are due soon, in all, and the next moment."""

    late: int
    soon: int
    open: int
    next_at: datetime | None


def account_truths(now: datetime) -> list[AccountTruth]:
    """Return every account that is configured or holds money, with its real money first; seven statements.

    Args:
        now: UTC; what is due then is the backlog.
    """
    slugs = account_slugs()
    rows = {row.pk: row for row in GatewayAccount.objects.order_by("slug")}
    paid, moved = _paid(), _moved(now)
    truths: dict[tuple[int, bool], AccountTruth] = {}
    for pk, livemode in sorted(
        {(pk, row.livemode) for pk, row in rows.items() if row.slug in slugs} | {key[:2] for key in (*paid, *moved)},
        key=lambda key: (rows[key[0]].slug not in slugs, slugs.index(rows[key[0]].slug) if rows[key[0]].slug in slugs else 0, not key[1]),
    ):
        truths[pk, livemode] = AccountTruth(rows[pk], livemode, is_configured=rows[pk].slug in slugs)
    for pk, livemode, currency in sorted({*paid, *moved}):
        key = (pk, livemode, currency)
        truths[pk, livemode].sums.append(_sums(currency, paid.get(key, {}), moved.get(key, {})))
    for (pk, livemode), truth in truths.items():
        truth.backlog = _backlog([row for key, row in moved.items() if key[:2] == (pk, livemode)])
    current = {truth.account.pk: truth for truth in truths.values() if truth.is_current}
    _add_comparisons(current)
    return list(truths.values())


def running_runs() -> list[ReconciliationRun]:
    """Return the comparisons that are under way; one statement."""
    return list(ReconciliationRun.objects.filter(state=RunState.RUNNING).select_related("account"))


def books() -> Books:
    """Sum up the whole ledger and tell who compared it last; three statements."""
    rows = LedgerEntry.objects.filter(store__is_internal=False).order_by().values("currency", "account")
    order = {account: position for position, account in enumerate(Account.values)}
    totals = [
        AccountTotal(
            account=row["account"],
            name=str(Account(row["account"]).label),
            debit=Money(row["debit"], row["currency"]),
            credit=Money(row["credit"], row["currency"]),
        )
        for row in sorted(
            rows.annotate(debit=Sum("debit_minor"), credit=Sum("credit_minor")), key=lambda row: (row["currency"], order[row["account"]])
        )
    ]
    by_currency: dict[str, tuple[Money, Money]] = {}
    for total in totals:
        currency = total.debit.currency
        debit, credit = by_currency.get(currency, (Money.zero(currency), Money.zero(currency)))
        by_currency[currency] = (debit + total.debit, credit + total.credit)
    return Books(
        totals=totals,
        by_currency=by_currency,
        verified_at=last_beat(VERIFY_BEAT),
        differs=Alert.objects.filter(kind=ALERT_KIND, looked_at__isnull=True).first(),
    )


def deadlines(now: datetime) -> Deadlines:
    """Count the withdrawals whose money is still due by law; one statement."""
    due = RefundRequest.objects.filter(store__is_internal=False, is_withdrawal=True).annotate(due=reimburse_due())
    found = due.aggregate(
        late=Count("pk", filter=Q(due__lt=now)),
        soon=Count("pk", filter=Q(due__gte=now, due__lte=now + WARN_BEFORE)),
        open=Count("due"),
        next_at=Min("due"),
    )
    return Deadlines(**found)


_Key = tuple[int, bool, str]


def _paid() -> dict[_Key, Mapping[str, Any]]:
    payments = Payment.objects.filter(purchase__store__is_internal=False)
    rows = payments.order_by().values("account_id", "livemode", "currency")
    sums = rows.annotate(
        captured=Sum("captured_minor", filter=Q(is_captured=True), default=0),
        authorised=Sum("captured_minor", filter=Q(is_captured=False), default=0),
        disputed=Sum("disputed_minor"),
        over=Sum("over_minor"),
        unassigned=Sum("unallocated_minor"),
    )
    return {(row["account_id"], row["livemode"], row["currency"]): row for row in sums}


def _moved(now: datetime) -> dict[_Key, Mapping[str, Any]]:
    def amount(condition: Q) -> Sum:
        return Sum("amount_minor", filter=condition, default=0)

    rows = Refund.objects.filter(store__is_internal=False).order_by().values("account_id", "livemode", "currency")
    sums = rows.annotate(
        refunded=amount(Q(state=RefundState.SUCCEEDED) & _OURS),
        elsewhere=amount(Q(state=RefundState.SUCCEEDED, origin=RefundOrigin.EXTERNAL)),
        by_hand=amount(Q(state=RefundState.MANUAL_PAID)),
        waiting=amount(Q(state__in=[RefundState.RESERVED, RefundState.PROCESSING])),
        pending=amount(Q(state=RefundState.PENDING)),
        unknown=amount(_UNKNOWN),
        claimed=amount(Q(state=RefundState.MANUAL_CLAIMED)),
        unknown_since=Min("first_sent_at", filter=_UNKNOWN),
        due=Count("pk", filter=_READY & Q(due_at__lte=now)),
        due_since=Min("due_at", filter=_READY & Q(due_at__lte=now)),
        waits=Count("pk", filter=Q(state__in=DRIVEN) & ~Q(waits_for=WaitsFor.NOTHING)),
        person=Count("pk", filter=_PERSON),
    )
    return {(row["account_id"], row["livemode"], row["currency"]): row for row in sums}


def _sums(currency: str, paid: Mapping[str, Any], moved: Mapping[str, Any]) -> Sums:
    amounts = {name: Money(paid.get(name) or moved.get(name) or 0, currency) for name in MEASURES}
    return Sums(currency=currency, unknown_since=moved.get("unknown_since"), **amounts)


def _backlog(rows: Sequence[Mapping[str, Any]]) -> Backlog:
    since = [row["due_since"] for row in rows if row["due_since"] is not None]
    due, waiting, person = (sum(row[name] for row in rows) for name in ("due", "waits", "person"))
    return Backlog(due=due, due_since=min(since, default=None), waiting=waiting, needs_person=person)


def _add_comparisons(truths: dict[int, AccountTruth]) -> None:
    newest = ReconciliationRun.objects.order_by().values("account", "state").annotate(last=Max("pk")).values("last")
    for run in ReconciliationRun.objects.filter(pk__in=newest, account__in=truths):
        setattr(truths[run.account_id], run.state, run)
    tested = SelfTest.objects.order_by().values("account").annotate(last=Max("pk")).values("last")
    for test in SelfTest.objects.filter(pk__in=tested, account__in=truths):
        truths[test.account_id].self_test = test
    still: QuerySet[Finding] = Finding.objects.filter(resolved_at__isnull=True, account__in=truths)
    for row in still.order_by().values("account").annotate(count=Count("pk")):
        truths[row["account"]].finding_count = row["count"]
    for finding in still.select_related("refund__request")[:FINDINGS_SHOWN]:
        truths[finding.account_id].findings.append(finding)
