"""Reads for lists and pages: the staff queue, one case, and what a customer asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from refund_plugin.errors import NotFound
from refund_plugin.events.models import Event
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.events import SUBSCRIPTION_ENDED
from refund_plugin.refunds.law import reimburse_due
from refund_plugin.refunds.models import Attempt, Decision, Refund, RefundRequest, RequestLine
from refund_plugin.refunds.states import OPEN_FOR_STAFF, OVER, RefundState, RequestState

# a failed refund is answered by its successor, or given up; any other flag (the gateway contradicts itself) stays a person's matter
_TROUBLE = Refund.objects.filter(
    Q(state__in=list(OVER), owed=True) | (~Q(needs_person="") & ~Q(state=RefundState.FAILED)), request=OuterRef("pk")
)


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many requests stand where; a request whose answer and whose money both wait is one that needs a person."""

    needs_person: int
    in_review: int
    needs_evidence: int
    money: int
    everything: int


def needs_person() -> Q:
    """Return the condition "a person must look": at the answer, at the customer's evidence, or at the money."""
    return Q(state__in=OPEN_FOR_STAFF) | Q(Exists(_TROUBLE))


def money_needs_person() -> Q:
    """Return the condition "the money is stuck": a refund is flagged, or failed without a successor."""
    return Q(Exists(_TROUBLE))


def _requests(store_id: int | None) -> QuerySet[RefundRequest]:
    """Return one store's requests, or every store's; a self-test's are nobody's work."""
    if store_id is not None:
        return RefundRequest.objects.filter(store_id=store_id)
    return RefundRequest.objects.filter(store__is_internal=False)


def staff_queue(store_id: int | None = None, filters: Q | None = None) -> QuerySet[RefundRequest]:
    """Return requests for the staff's list: those whose money the law wants back soonest, then the oldest, with what a row shows.

    Annotates `reimburse_due` (until when, while it is due), `currency`, `amount_minor` (in minor units of it: what was granted,
    else what was paid for the units asked for) and `trouble` (the money needs a person).

    Args:
        store_id: only this store's; None means every store.
        filters: a condition such as `needs_person()`.
    """
    granted = Decision.objects.filter(request=OuterRef("pk"), amount_minor__gt=0).order_by("-id").values("amount_minor")[:1]
    # divided before it is multiplied: paid x quantity may not fit into 64 bits
    whole, rest = F("line__paid_minor") / F("line__quantity"), F("line__paid_minor") % F("line__quantity")
    paid = Sum(whole * F("quantity") + rest * F("quantity") / F("line__quantity"), output_field=BigIntegerField())
    at_stake = RequestLine.objects.filter(request=OuterRef("pk")).order_by().values("request").annotate(paid=paid).values("paid")
    queue = (
        _requests(store_id)
        .select_related("purchase", "customer", "store")
        .prefetch_related(Prefetch("lines", RequestLine.objects.select_related("line__access_state").order_by("line__position")))
    )
    queue = queue.annotate(
        amount_minor=Coalesce(Subquery(granted), Subquery(at_stake), output_field=BigIntegerField()),
        trouble=Exists(_TROUBLE),
        reimburse_due=reimburse_due(),
        currency=F("purchase__currency"),
    )
    if filters is not None:
        queue = queue.filter(filters)
    return queue.order_by(F("reimburse_due").asc(nulls_last=True), "created_at", "reference")


def queue_counts(store_id: int | None = None) -> QueueCounts:
    """Count the requests of each kind, in one statement."""
    counted = _requests(store_id).aggregate(
        needs_person=Count("pk", filter=needs_person()),
        in_review=Count("pk", filter=Q(state=RequestState.IN_REVIEW)),
        needs_evidence=Count("pk", filter=Q(state=RequestState.NEEDS_EVIDENCE)),
        money=Count("pk", filter=money_needs_person()),
        everything=Count("pk"),
    )
    return QueueCounts(**counted)


def count_needing_person() -> int:
    """Count the requests that need a person, in every store; for the menu."""
    return _requests(None).filter(needs_person()).count()


def next_case(after: RefundRequest) -> RefundRequest | None:
    """Return the request that needs a person and follows `after` in the staff's list; behind its last one comes the first."""
    younger = Q(created_at__gt=after.created_at) | Q(created_at=after.created_at, reference__gt=after.reference)
    due = RefundRequest.objects.filter(pk=after.pk).annotate(due=reimburse_due()).values_list("due", flat=True).first()
    later = Q(due__isnull=True) & younger if due is None else Q(due__gt=due) | Q(due=due) & younger | Q(due__isnull=True)
    rank = Case(When(later, then=Value(0)), default=Value(1), output_field=IntegerField())
    waiting = _requests(None).annotate(due=reimburse_due()).filter(needs_person()).exclude(pk=after.pk)
    return waiting.order_by(rank, F("due").asc(nulls_last=True), "created_at", "reference").first()


def refunds_for_timeline() -> QuerySet[Refund]:
    """Return refunds with their payments, in order, annotated with `subscription_ended_at`: the end their request waited for."""
    ended = Event.objects.filter(case=OuterRef("request_id"), kind=SUBSCRIPTION_ENDED).order_by("-id").values("occurred_at")[:1]
    return Refund.objects.select_related("payment").annotate(subscription_ended_at=Subquery(ended)).order_by("created_at", "id")


def case(request_id: UUID | str) -> RefundRequest:
    """Return one request with everything its page shows, in a fixed number of statements.

    Raises:
        NotFound: there is no such request.
    """
    refunds = refunds_for_timeline().select_related("payment", "account", "successor")
    found = (
        RefundRequest.objects.select_related("store", "purchase", "customer", "policy_version__policy")
        .prefetch_related(
            Prefetch("lines", RequestLine.objects.select_related("line__access_state").order_by("line__position")),
            Prefetch("decisions", Decision.objects.order_by("id")),
            Prefetch("refunds", refunds.prefetch_related("allocations__line", Prefetch("attempts", Attempt.objects.order_by("number")))),
            "purchase__payments",
            "incentives",
        )
        .filter(pk=request_id)
        .first()
    )
    if found is None:
        raise NotFound
    return found


def _for_lists() -> QuerySet[RefundRequest]:
    return (
        RefundRequest.objects.select_related("store", "purchase", "customer")
        .prefetch_related(
            Prefetch("lines", RequestLine.objects.select_related("line__access_state").order_by("line__position")),
            "decisions",
            "incentives",
            Prefetch("refunds", refunds_for_timeline()),
        )
        .order_by("-created_at", "-reference")
    )


def requests_of_customer(customer_ids: Collection[int]) -> QuerySet[RefundRequest]:
    """Return what these customers asked for, newest first, with lines, decisions and refunds."""
    return _for_lists().filter(customer_id__in=customer_ids)


def requests_of_user(user: AbstractBaseUser) -> QuerySet[RefundRequest]:
    """Return what was asked for purchases of a signed-in person, in every store, newest first, with lines, decisions and refunds."""
    return _for_lists().filter(purchase__user_id=user.pk)


def requests_of_purchases(purchases: QuerySet[Purchase]) -> QuerySet[RefundRequest]:
    """Return what was asked for these purchases, newest first, with lines, decisions and refunds."""
    return _for_lists().filter(purchase__in=purchases)
