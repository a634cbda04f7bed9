"""What is known of a customer: what they bought, asked for, got back and disputed. Facts, no score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, Sum

from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.models import Dispute, DisputeKind, DisputeOutcome
from refund_plugin.refunds.queries import requests_of_customer
from refund_plugin.refunds.states import RequestState
from refund_plugin.saleor_app.presenting import RequestCard, request_card
from refund_plugin.saleor_app.visits import Visit

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Sums:
    """Money of one currency: captured, refunded (or on its way), held by a bank in a dispute."""

    paid: Money
    back: Money
    on_its_way: Money
    disputed: Money

    @property
    def percent(self) -> int:
        """The share that went back, or is about to, in whole percent."""
        return round(100 * (self.back.minor + self.on_its_way.minor) / self.paid.minor) if self.paid.minor else 0


@dataclass(frozen=True, slots=True)
class History:
    """A customer's history in one store.

    Attributes:
        purchases, refunded: how many purchases there are, and of how many something went back.
        requests: how many requests by state.
        disputes, warnings: formal disputes, and the banks' inquiries and early warnings; `lost` of the disputes.
    """

    purchases: int
    refunded: int
    requests: dict[str, int]
    disputes: int
    lost: int
    warnings: int
    sums: Sequence[Sums]
    cards: Sequence[RequestCard]

    @property
    def asked(self) -> int:
        """How many requests in all."""
        return sum(self.requests.values())

    @property
    def declined(self) -> int:
        """How many of them were declined."""
        return self.requests.get(RequestState.DECLINED, 0)


def history_of(visit: Visit) -> History | None:
    """Return the history of the customer whom a visit is about, in a fixed number of queries; None when we know none."""
    customers = list(visit.customers().values_list("pk", flat=True))
    if not customers:
        return None
    of_theirs = Payment.objects.filter(purchase__customer__in=customers)
    money = (
        of_theirs.order_by()
        .values("currency")
        .annotate(
            paid=Sum("captured_minor", filter=Q(is_captured=True)),
            back=Sum("gone_minor"),
            held=Sum("held_minor"),
            disputed=Sum("disputed_minor"),
        )
    )
    purchases = of_theirs.aggregate(
        all=Count("purchase", distinct=True), refunded=Count("purchase", distinct=True, filter=Q(gone_minor__gt=0) | Q(held_minor__gt=0))
    )
    disputes = Dispute.objects.filter(payment__purchase__customer__in=customers).aggregate(
        formal=Count("pk", filter=Q(kind=DisputeKind.FORMAL)),
        lost=Count("pk", filter=Q(kind=DisputeKind.FORMAL, outcome=DisputeOutcome.LOST)),
        warnings=Count("pk", filter=~Q(kind=DisputeKind.FORMAL)),
    )
    requests = requests_of_customer(customers)
    return History(
        purchases=purchases["all"],
        refunded=purchases["refunded"],
        requests=dict(Counter(requests.order_by().values_list("state", flat=True))),
        disputes=disputes["formal"],
        lost=disputes["lost"],
        warnings=disputes["warnings"],
        sums=[_sums(row) for row in sorted(money, key=lambda row: row["currency"])],
        cards=[request_card(request) for request in requests[:SHOWN]],
    )


def _sums(row: Mapping[str, Any]) -> Sums:
    currency = row["currency"]
    paid, back, held, disputed = (Money(row[name] or 0, currency) for name in ("paid", "back", "held", "disputed"))
    return Sums(paid, back, held, disputed)
