"""The access ledger's door for a shop's download server: `accessRecord`, with a service token of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
import strawberry_django
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.actor import Action
from refund_plugin.api.context import Caller, caller_of
from refund_plugin.api.errors import RefundError, answer
from refund_plugin.api.models import ServiceToken
from refund_plugin.api.orders import read_line_id
from refund_plugin.api.types import global_id
from refund_plugin.conf import settings
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required
from refund_plugin.limits.services import check_limits
from refund_plugin.orders import models
from refund_plugin.orders.access import record_access
from refund_plugin.orders.queries import clean_number
from refund_plugin.refunds.checks import check_text

strawberry.enum(models.AccessKind, name="AccessKind", description="How something was used.")


@strawberry.input(description="A use of something that was bought. Name the line by its id, or by order number and SKU.")
class AccessRecordInput:
    """A fact of use."""

    kind: models.AccessKind
    source_id: str = strawberry.field(
        description="Your name of this fact, such as the id of a log entry, up to 120 characters: sent again, it counts once."
    )
    line_id: strawberry.ID | None = strawberry.field(default=None, description="`PurchaseLine.id`.")
    order_number: str | None = strawberry.field(default=None, description="With `sku`, when the line's id is not known.")
    sku: str | None = strawberry.field(default=None, description="With `orderNumber`.")
    amount: int = strawberry.field(
        default=1, description="VIEWED and STREAMED: percent seen so far in all, 0 to 100. Others: how many, from 1."
    )
    occurred_at: datetime | None = strawberry.field(default=None, description="With a time zone; now when omitted.")
    source: str = strawberry.field(default="api", description="Who tells it, in a word; each has names of facts of its own.")


@strawberry.type(name="AccessFact", description="A recorded use.")
class AccessFact:
    """One row of the ledger."""

    line_id: strawberry.ID = strawberry.field(description="`PurchaseLine.id`.")
    kind: models.AccessKind
    amount: int
    occurred_at: datetime


@strawberry.type(description="Answer of `accessRecord`.")
class AccessRecord:
    """The fact as it is recorded, or what is wrong with it."""

    access_fact: AccessFact | None
    errors: list[RefundError]


@strawberry.type
class AccessMutations:
    """Mutations of the access ledger."""

    @strawberry_django.mutation(
        description="Record that something was used; repeating it changes nothing. Only with a service token of the scope `record_access`."
    )
    def access_record(
        self, info: strawberry.Info, input: Annotated[AccessRecordInput, strawberry.argument(description="The fact.")]
    ) -> AccessRecord:
        """Append a fact to the ledger."""

        def record() -> AccessFact:
            token, now = _token_of(caller_of(info)), clock.now()
            check_limits(limits=[("access:token", token.prefix, settings().limit_access)], now=now)
            fact = record_access(
                line=_line_of(token, input),
                kind=input.kind,
                amount=input.amount,
                source=input.source,
                source_id=input.source_id,
                occurred_at=input.occurred_at or now,
                now=now,
            )
            return AccessFact(
                line_id=global_id("PurchaseLine", fact.line_id),
                kind=models.AccessKind(fact.kind),
                amount=fact.amount,
                occurred_at=fact.occurred_at,
            )

        return answer(AccessRecord, "access_fact", record)


def _token_of(caller: Caller) -> ServiceToken:
    """Return the token that may record; whoever else asks, also a signed-in customer or member of staff, gets one answer."""
    if caller.token is None or not caller.may(Action.RECORD_ACCESS):
        raise NotAllowed(_("Send a service token with the scope record_access: manage.py refunds_token create NAME --scope record_access"))
    return caller.token


def _line_of(token: ServiceToken, told: AccessRecordInput) -> models.PurchaseLine:
    """Return the line that is meant, in the token's store; an unknown one and another store's read the same."""
    lines = models.PurchaseLine.objects.filter(purchase__store=token.store_id)
    if told.line_id is not None:
        found = list(lines.filter(pk=read_line_id(told.line_id, field="line_id")))
    elif told.order_number and told.sku:
        check_text(told.order_number, field="order_number")
        check_text(told.sku, field="sku")
        found = list(lines.filter(purchase__number=clean_number(told.order_number), sku=told.sku)[:2])
    else:
        raise Required(_("Name the line by its id, or by order number and SKU."), field="line_id")
    if not found:
        raise NotFound(_("There is no such line in this store."), field="sku" if told.line_id is None else "line_id")
    if len(found) > 1:
        raise InvalidInput(_("This order has several lines with this SKU: name the line by its id."), field="sku")
    return found[0]
