"""Lists of refund requests: pages with stable cursors, in the form of Relay and Saleor."""

from __future__ import annotations

from datetime import UTC, datetime

import strawberry
import strawberry_django
from django.db.models import Prefetch, Q, QuerySet
from django.utils.translation import gettext as _

from refund_plugin.api.cases import Case, RefundRequestType
from refund_plugin.api.context import Caller, Role
from refund_plugin.api.paging import Sorting, cut_page
from refund_plugin.api.types import PageInfo
from refund_plugin.errors import InvalidInput, NotAllowed
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.checks import check_text
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.queries import refunds_for_timeline, requests_of_purchases, staff_queue
from refund_plugin.refunds.states import RequestState

_SORTING = Sorting(moment="created_at", name="reference")


@strawberry.input(description="Which requests to list.")
class RefundRequestFilterInput:
    """All conditions together."""

    status: list[RequestState] | None = strawberry.field(default=None, description="In one of these states.")
    order_number: str | None = strawberry.field(default=None, description="Of this purchase.")
    created_after: datetime | None = strawberry.field(default=None, description="Asked at this moment or later.")
    created_before: datetime | None = strawberry.field(default=None, description="Asked before this moment.")

    def as_q(self) -> Q:
        """Return the condition.

        Raises:
            InvalidInput: an order number that is no text, or a moment outside the calendar.
        """
        found = Q()
        if self.status is not None:
            found &= Q(state__in=[status.value for status in self.status])
        if self.order_number is not None:
            check_text(self.order_number, field="order_number")
            found &= Q(purchase__number__iexact=self.order_number)
        if self.created_after is not None:
            found &= Q(created_at__gte=_in_utc(self.created_after, field="created_after"))
        if self.created_before is not None:
            found &= Q(created_at__lt=_in_utc(self.created_before, field="created_before"))
        return found


def _in_utc(moment: datetime, *, field: str) -> datetime:
    try:
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # the first or the last day of the calendar, moved by the zone to the day beyond it
        raise InvalidInput(_("Give a moment between the years 1 and 9999."), field=field) from None


@strawberry.type(description="A request and its place in the list.")
class RefundRequestCountableEdge:
    """As in Relay."""

    node: RefundRequestType
    cursor: str


@strawberry.type(description="A page of requests, newest first.")
class RefundRequestCountableConnection:
    """As in Saleor."""

    queryset: strawberry.Private[QuerySet[RefundRequest]]
    page_info: PageInfo
    edges: list[RefundRequestCountableEdge]

    @strawberry_django.field(description="How many there are in all; counted only when asked for.")
    def total_count(self) -> int:
        """Of the whole list."""
        return self.queryset.count()


def list_requests(caller: Caller, *, filter: RefundRequestFilterInput | None, channel: str | None) -> QuerySet[RefundRequest]:
    """Return what the caller may see: a store's requests for its staff and programs, else one's own.

    Raises:
        NotAllowed: nobody is known to the request.
        NotFound: a token names another store than its own.
    """
    if caller.views_cases:
        found = staff_queue(caller.store_id).prefetch_related("decisions", "incentives", Prefetch("refunds", refunds_for_timeline()))
    elif caller.owned is not None:
        found = requests_of_purchases(Purchase.objects.filter(caller.owned))
    else:
        raise NotAllowed(_("Sign in, or send a service token with the scope view_cases, to list refund requests."))
    if channel:
        found = found.filter(store__slug=caller.store_slug(channel))
    if filter is not None:
        found = found.filter(filter.as_q())
    return found.select_related("policy_version__policy").prefetch_related("policy_version__texts")


def page_of(queryset: QuerySet[RefundRequest], *, first: int, after: str | None, caller: Caller) -> RefundRequestCountableConnection:
    """Return a page of requests.

    Raises:
        InvalidInput: see `cut_page`.
    """
    page = cut_page(queryset, _SORTING, first=first, after=after)
    edges = [
        RefundRequestCountableEdge(node=RefundRequestType(case=Case(row, _role(caller, row))), cursor=cursor) for row, cursor in page.rows
    ]
    return RefundRequestCountableConnection(queryset=queryset, page_info=page.info, edges=edges)


def _role(caller: Caller, row: RefundRequest) -> Role:
    return Role.CUSTOMER if caller.owns(row.purchase) else caller.role
