"""What a customer who is signed in has bought: they need not know an order number to ask for a refund."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
import strawberry_django
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from refund_plugin.api.context import caller_of
from refund_plugin.api.errors import as_graphql
from refund_plugin.api.orders import Channel, PurchaseLine
from refund_plugin.api.paging import Sorting, cut_page
from refund_plugin.api.types import PageInfo
from refund_plugin.errors import NotAllowed, RefundPluginError
from refund_plugin.orders import models
from refund_plugin.orders.queries import purchases_owned

_SORTING = Sorting(moment="purchased_at", name="number")


@strawberry.type(name="Purchase", description="What was bought with one order.")
class PurchaseType:
    """A purchase."""

    row: strawberry.Private[models.Purchase]

    @strawberry.field(description="For `refundQuote` and `refundRequestCreate`, which need no e-mail address from who is signed in.")
    def order_number(self) -> str:
        """As the store writes it."""
        return self.row.number

    @strawberry.field
    def purchased_at(self) -> datetime:
        """When it was bought."""
        return self.row.purchased_at

    @strawberry.field(description="Id of the order in Saleor, to match it with a list of orders; null for purchases of other stores.")
    def saleor_order_id(self) -> str | None:
        """Saleor's global id."""
        return self.row.metadata.get(models.SALEOR_ORDER)

    @strawberry_django.field(description="What can be refunded of it; shipping and goods are no lines of ours.")
    def lines(self) -> list[PurchaseLine]:
        """In their order."""
        return [PurchaseLine(row=line, currency=self.row.currency) for line in self.row.lines.all()]


@strawberry.type(description="A purchase and its place in the list.")
class PurchaseCountableEdge:
    """As in Relay."""

    node: PurchaseType
    cursor: str


@strawberry.type(description="A page of purchases, newest first.")
class PurchaseCountableConnection:
    """As in Saleor."""

    queryset: strawberry.Private[QuerySet[models.Purchase]]
    page_info: PageInfo
    edges: list[PurchaseCountableEdge]

    @strawberry_django.field(description="How many there are in all; counted only when asked for.")
    def total_count(self) -> int:
        """Of the whole list."""
        return self.queryset.count()


def _page(info: strawberry.Info, *, first: int, after: str | None, channel: str | None) -> PurchaseCountableConnection:
    caller = caller_of(info)
    if caller.owned is None:
        raise NotAllowed(_("Sign in to list your purchases."))
    found = purchases_owned(caller.owned, store_slug=caller.store_slug(channel))
    page = cut_page(found, _SORTING, first=first, after=after)
    edges = [PurchaseCountableEdge(node=PurchaseType(row=row), cursor=cursor) for row, cursor in page.rows]
    return PurchaseCountableConnection(queryset=found, page_info=page.info, edges=edges)


@strawberry.type
class PurchaseQueries:
    """Queries about one's own purchases."""

    @strawberry_django.field(description="The purchases of the customer who is signed in, here or at a Saleor's storefront; newest first.")
    def purchases(
        self,
        info: strawberry.Info,
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 20,
        after: Annotated[str | None, strawberry.argument(description="`pageInfo.endCursor` of the page before.")] = None,
        channel: Channel = None,
    ) -> PurchaseCountableConnection:
        """Return a page."""
        try:
            return _page(info, first=first, after=after, channel=channel)
        except RefundPluginError as error:
            raise as_graphql(error) from error
