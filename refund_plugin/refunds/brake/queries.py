"""Reads about the brake: the ceilings in force, who paused what, how full each window is, what was changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet, Sum

from refund_plugin.events.models import Event
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.brake.defaults import default_ceiling
from refund_plugin.refunds.brake.events import HISTORY
from refund_plugin.refunds.brake.models import AutomaticMode, AutomaticMoney, BrakeReason
from refund_plugin.refunds.brake.windows import Ceiling, Per, spent_within
from refund_plugin.refunds.models import Decision, DecisionOutcome, Refund, RefundOrigin, RefundRequest, WaitsFor
from refund_plugin.refunds.states import RefundState, RequestState

RECENT_PURCHASES = 200  # whose currencies are offered before anything was refunded


@dataclass(frozen=True, slots=True)
class Meter:
    """How much of a ceiling is used at this moment."""

    ceiling: Ceiling
    spent: Money

    @property
    def amount(self) -> Money:
        """The ceiling."""
        return Money(self.ceiling.amount_minor, self.ceiling.currency)

    @property
    def left(self) -> Money:
        """What may still be approved automatically."""
        return Money(max(0, self.ceiling.amount_minor - self.spent.minor), self.ceiling.currency)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often people gave what the policy would have given, while they decided and it only watched."""

    same: int
    decided: int


def ceilings_of(row: AutomaticMoney, currency: str) -> list[Ceiling]:
    """Return the ceilings in force for a currency: those for all products together first, then each product's."""
    own = [ceiling for ceiling in map(Ceiling.from_json, row.ceilings) if ceiling.currency == currency]
    result = []
    for per in Per:
        mine = next((ceiling.amount_minor for ceiling in own if ceiling.per == per and not ceiling.sku), default_ceiling(currency, per))
        if mine is not None:
            result.append(Ceiling(currency, per, mine))
    return [*result, *(ceiling for ceiling in own if ceiling.sku)]


def paused_stores(at: datetime) -> QuerySet[AutomaticMoney]:
    """Return the rows of the stores whose automatic money is paused; usually none."""
    return AutomaticMoney.objects.filter(paused_until__gt=at)


def pauses(at: datetime) -> list[AutomaticMoney]:
    """Return what is paused, each with its store, for the banner that all staff see."""
    return list(paused_stores(at).select_related("store").order_by("store__name"))


def meters(row: AutomaticMoney, currencies: list[str], at: datetime) -> list[Meter]:
    """Return how full each ceiling is."""
    return [
        Meter(ceiling, Money(spent_within(row.spent, ceiling.subject, ceiling.per, at), currency))
        for currency in currencies
        for ceiling in ceilings_of(row, currency)
    ]


def currencies_of(row: AutomaticMoney) -> list[str]:
    """Return the currencies the store deals in: of its latest purchases, and of whatever was set or refunded."""
    latest = Purchase.objects.filter(store=row.store_id).order_by("-pk").values_list("currency", flat=True)[:RECENT_PURCHASES]
    named = {name.split()[0] for name in row.spent} | {str(ceiling["currency"]) for ceiling in row.ceilings}
    return sorted({*latest, *named, *row.limit_minor})


def held_back(store_id: int) -> int:
    """Count the requests that wait for a person only because of the brake."""
    waiting = RefundRequest.objects.filter(store=store_id, state=RequestState.IN_REVIEW)
    return waiting.filter(decisions__brake__in=BrakeReason.values).distinct().count()


def unsent(store_id: int) -> list[tuple[int, Money]]:
    """Return how many refunds that the policy approved are not sent yet, and their sum, by currency."""
    due = Refund.objects.filter(state=RefundState.RESERVED, waits_for=WaitsFor.NOTHING)  # by the index of what is due
    waiting = due.filter(store=store_id, origin=RefundOrigin.ENGINE)
    sums = waiting.values_list("currency").annotate(count=Count("pk"), sum=Sum("amount_minor")).order_by("currency")
    return [(count, Money(total, currency)) for currency, count, total in sums]


def agreement(store_id: int, *, since: datetime) -> Agreement:
    """Compare what people decided with what the policy would have done, for requests where it only watched."""
    watched = (AutomaticMode.OBSERVE, AutomaticMode.SUGGEST)
    mine = Decision.objects.filter(request__store=store_id, decided_at__gte=since, actor_kind="staff")
    final = mine.filter(outcome__in=(DecisionOutcome.APPROVED, DecisionOutcome.DECLINED), request__decisions__brake__in=watched)
    counted = final.aggregate(decided=Count("pk", distinct=True), same=Count("pk", filter=Q(is_override=False), distinct=True))
    return Agreement(**counted)


def history(store_id: int, *, limit: int = 20) -> list[Event]:
    """Return the latest changes of the dial and pauses, newest first."""
    return list(Event.objects.filter(case__isnull=True, store=store_id, kind__in=HISTORY).order_by("-id")[:limit])
