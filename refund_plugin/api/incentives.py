"""Giving a request's customer a voucher or a gift card besides any refund."""

from __future__ import annotations

import strawberry
import strawberry_django
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.api.cases import Case, RefundRequestType
from refund_plugin.api.context import caller_of
from refund_plugin.api.errors import RefundError, answer
from refund_plugin.api.refunds import RequestID, visible_case
from refund_plugin.api.types import MinorAmount
from refund_plugin.errors import InvalidInput
from refund_plugin.money import Money
from refund_plugin.refunds.incentives.limits import DEFAULT_DAYS
from refund_plugin.refunds.incentives.services import give_incentive


@strawberry.input(description="What to give besides any refund: an amount, or percent off one order.")
class RefundIncentiveGiveInput:
    """A thank-you, or an apology."""

    minor_amount: MinorAmount | None = strawberry.field(default=None, description="In the purchase's currency.")
    percent: int | None = strawberry.field(default=None, description="Whole percent; of vouchers only.")
    days: int = strawberry.field(default=DEFAULT_DAYS, description="How long it can be used.")
    reason: str = strawberry.field(description="For colleagues.")
    message: str = strawberry.field(default="", description="For the customer; up to 4000 characters.")
    client_key: str = strawberry.field(description="1 to 64 characters, one for each wish: sent again it gives nothing new.")


@strawberry.type(description="Answer of `refundIncentiveGive`.")
class RefundIncentiveGive:
    """The request as it is now."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


@strawberry.type
class IncentiveMutations:
    """Mutations about what customers are given besides refunds."""

    @strawberry_django.mutation(
        description="Give a voucher or a gift card besides any refund. The store issues it in the background, and only then the customer "
        "is told. Needs `give_incentives`."
    )
    def refund_incentive_give(self, info: strawberry.Info, id: RequestID, input: RefundIncentiveGiveInput) -> RefundIncentiveGive:
        """Give."""

        def give() -> RefundRequestType:
            caller = caller_of(info)
            case = visible_case(caller, id=id)
            give_incentive(
                request_id=case.row.pk,
                worth=_worth(input, case),
                days=input.days,
                reason=input.reason,
                message=input.message,
                by=caller.worker(case.row.store),
                submission_key=input.client_key,
                now=clock.now(),
            )
            return RefundRequestType(case=Case(case.row, case.role))

        return answer(RefundIncentiveGive, "refund_request", give)


def _worth(input: RefundIncentiveGiveInput, case: Case) -> Money | int:
    if (input.minor_amount is None) == (input.percent is None):
        raise InvalidInput(_("Give either an amount or percent."), field="minor_amount")
    if input.percent is not None:
        return input.percent
    return Money(int(input.minor_amount or 0), case.row.purchase.currency)
