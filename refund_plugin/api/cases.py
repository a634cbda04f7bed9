"""A refund request as the API shows it: cheap fields from the row, the rest from the case, loaded once when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import strawberry
import strawberry_django

from refund_plugin.api.context import Role
from refund_plugin.api.orders import PurchaseLine
from refund_plugin.api.types import MoneyType, Verdict, global_id, verdict_of
from refund_plugin.localize import formatter_for
from refund_plugin.money import Money
from refund_plugin.orders import models as orders
from refund_plugin.refunds import models
from refund_plugin.refunds.access.models import AccessState
from refund_plugin.refunds.arrival import expected_arrival
from refund_plugin.refunds.explaining import engine_decision, explain_decision
from refund_plugin.refunds.incentives.models import Incentive, IncentiveState
from refund_plugin.refunds.incentives.presenting import code_end
from refund_plugin.refunds.queries import case
from refund_plugin.refunds.states import RefundState, RequestState, Settlement
from refund_plugin.refunds.timeline import Timeline, payment_name, timeline, waiting_reason
from refund_plugin.refunds.tracking import tracking_token, tracking_url
from refund_plugin.stores.base import CreditKind

strawberry.enum(RequestState, name="RefundRequestStatus", description="Where the answer to a request stands.")
strawberry.enum(Settlement, name="RefundSettlement", description="What has become of the money of an approved request.")
strawberry.enum(RefundState, name="RefundStatus", description="Where one movement of money stands.")
strawberry.enum(CreditKind, name="RefundIncentiveKind", description="What a store can issue that customers pay with.")
strawberry.enum(IncentiveState, name="RefundIncentiveStatus", description="Where a voucher or a gift card stands.")
strawberry.enum(models.RequestReason, name="RefundReason", description="Why the customer asks, in their own terms.")


@dataclass
class Case:
    """A request's row and, once somebody asks for it, everything that hangs on it."""

    row: models.RefundRequest
    role: Role

    @cached_property
    def full(self) -> models.RefundRequest:
        """The request with lines, decisions and refunds; a row that came from a list has them already."""
        listed = {"lines", "decisions", "refunds", "incentives"} <= set(getattr(self.row, "_prefetched_objects_cache", {}))
        return self.row if listed else case(self.row.pk)

    @cached_property
    def timeline(self) -> Timeline:
        """The steps, with the names of those who decided for staff."""
        return timeline(self.full, for_staff=self.role in (Role.STAFF, Role.SERVICE))

    @cached_property
    def verdicts(self) -> dict[int, Verdict]:
        """What the policy said about each line when it was asked for, by line id.

        The version and the facts of that moment were recorded; the same two give the same verdict again.
        """
        version, formatter = self.full.policy_version, formatter_for(timezone=self.full.store.timezone)
        explained = explain_decision(engine_decision(self.full), version=version, formatter=formatter)
        return {line_id: verdict_of(told.verdict, told.explanation, version) for line_id, told in explained.items()}


@strawberry.type(name="RefundLineAccess", description="What the customer may still use of a purchase's line, because of refunds.")
class LineAccess:
    """Whole units of the line, whichever request they belong to."""

    frozen_quantity: int = strawberry.field(description="Units that rest while their money is on its way back.")
    revoked_quantity: int = strawberry.field(description="Units that ended because their money went back.")
    usable_quantity: int = strawberry.field(description="Units that may be used; those given back are among them.")
    is_confirmed: bool = strawberry.field(description="The store has carried it out; else it is told again until it does.")


@strawberry.type(description="A line that a request asks for.")
class RefundRequestLine:
    """A line with the verdict it got."""

    line: PurchaseLine
    quantity: int
    verdict: Verdict | None = strawberry.field(description="What the policy said when it was asked for.")
    access: LineAccess | None = strawberry.field(description="Null while no refund has touched the line's access.")


@strawberry.type(name="RefundTimelineStep", description="One step on the way from the question to the money.")
class TimelineStep:
    """A step."""

    code: str = strawberry.field(description="Stable name of the step.")
    title: str
    detail: str
    state: str = strawberry.field(description="`done`, `now`, `next` or `problem`.")
    at: datetime | None
    amount: MoneyType | None


@strawberry.type(name="Refund", description="One movement of money, back on one payment.")
class RefundType:
    """What a customer may know of it."""

    status: RefundState
    amount: MoneyType
    payment: str = strawberry.field(description="The means of payment: “Visa •••• 4242”.")
    sent_at: datetime | None
    settled_at: datetime | None
    trace_reference: str = strawberry.field(description="The bank's number to find the money by; empty while none is known.")
    expected_from: date | None = strawberry.field(description="From when the customer's bank usually shows it; null while it was not sent.")
    expected_by: date | None = strawberry.field(description="Until when the customer's bank usually shows it.")
    waiting_reason: str = strawberry.field(description="Why it is not sent yet, for a person; empty when nothing holds it back.")
    is_replaced: bool = strawberry.field(description="It did not go through, and another of these refunds was sent in its place.")


@strawberry.type(name="RefundIncentive", description="A voucher or a gift card that the customer was given besides any refund.")
class IncentiveType:
    """What a customer may know of it; who gave it and why is for staff, in the timeline."""

    kind: CreditKind
    status: IncentiveState
    amount: MoneyType | None = strawberry.field(description="What it is worth; null when it is percent off one order.")
    percent: int | None = strawberry.field(description="Percent off one order; null when it is worth an amount.")
    code: str | None = strawberry.field(
        description="For the customer who is signed in: who has it can spend it. Null for others; it stands in the mail to the customer."
    )
    code_end: str = strawberry.field(description="Its last four characters, by which the customer finds it in that mail.")
    message: str = strawberry.field(description="What the shop says with it.")
    ends_at: datetime = strawberry.field(description="The last moment in which it can be used.")
    issued_at: datetime | None


@strawberry.type(name="RefundRequest", description="What a customer asked for, its answer, and the way of the money.")
class RefundRequestType:
    """A request."""

    case: strawberry.Private[Case]

    @strawberry.field(description="Opaque id.")
    def id(self) -> strawberry.ID:
        """Made from the reference: the row's own key stays inside."""
        return global_id("RefundRequest", self.case.row.reference)

    @strawberry.field(description="What people call it by: `R-7KQ2MX`.")
    def reference(self) -> str:
        """Human id."""
        return self.case.row.reference

    @strawberry.field
    def status(self) -> RequestState:
        """Where the answer stands."""
        return RequestState(self.case.row.state)

    @strawberry.field(description="Order number of the purchase.")
    def order_number(self) -> str:
        """As the store writes it."""
        return self.case.row.purchase.number

    @strawberry.field(description="The customer's address; null for those who only hold the tracking link.")
    def user_email(self) -> str | None:
        """A mail may have been passed on."""
        return None if self.case.role is Role.HOLDER else self.case.row.customer.email

    @strawberry.field
    def reason(self) -> models.RequestReason:
        """Why the customer asks."""
        return models.RequestReason(self.case.row.reason)

    @strawberry.field(description="What the customer wrote.")
    def message(self) -> str:
        """Free text."""
        return self.case.row.message

    @strawberry.field(description="The customer asks that a person looks.")
    def wants_person(self) -> bool:
        """Set when asking."""
        return self.case.row.wants_person

    @strawberry.field(description="The customer declared a statutory withdrawal.")
    def is_withdrawal(self) -> bool:
        """Set when asking."""
        return self.case.row.is_withdrawal

    @strawberry.field(description="Until when the law wants the money of a withdrawal back; null for other requests.")
    def reimburse_by(self) -> datetime | None:
        """14 days after it arrived."""
        return self.case.row.reimburse_by

    @strawberry.field(description="What we need to know before we can decide; empty when nothing.")
    def evidence_question(self) -> str:
        """Answer it with `refundRequestAnswerEvidence`."""
        return self.case.row.evidence_question

    @strawberry.field
    def created_at(self) -> datetime:
        """When it was asked."""
        return self.case.row.created_at

    @strawberry.field
    def changed_at(self) -> datetime:
        """When its status changed last."""
        return self.case.row.changed_at

    @strawberry.field(description="Opens the request without a login; null for staff, who are not the customer.")
    def tracking_token(self) -> str | None:
        """For `refundRequest(token:)`."""
        return None if self.case.role is Role.STAFF else tracking_token(self.case.row)

    @strawberry_django.field(description="Link to the tracking page; null for staff.")
    def tracking_url(self) -> str | None:
        """Absolute."""
        return None if self.case.role is Role.STAFF else tracking_url(self.case.row)

    @strawberry_django.field(description="What has become of the money.")
    def settlement(self) -> Settlement:
        """Derived from the refunds."""
        return self.case.timeline.settlement

    @strawberry_django.field(description="What was granted; zero until the request is approved.")
    def amount(self) -> MoneyType:
        """Of the last approval."""
        return MoneyType.of(self.case.timeline.amount)

    @strawberry_django.field(description="What happens next, for a person.")
    def next_step(self) -> str:
        """One sentence."""
        return self.case.timeline.next_step

    @strawberry_django.field(description="Nothing will change any more by itself.")
    def is_final(self) -> bool:
        """Polling can stop."""
        return self.case.timeline.final

    @strawberry_django.field(description="The steps so far and the next ones, in order.")
    def timeline(self) -> list[TimelineStep]:
        """As on the tracking page."""
        return [
            TimelineStep(
                code=step.code,
                title=step.title,
                detail=step.detail,
                state=step.state,
                at=step.at,
                amount=MoneyType.of(step.amount) if step.amount is not None else None,
            )
            for step in self.case.timeline.steps
        ]

    @strawberry_django.field(description="The lines that are asked for.")
    def lines(self) -> list[RefundRequestLine]:
        """With their verdicts."""
        verdicts, currency = self.case.verdicts, self.case.row.purchase.currency
        return [
            RefundRequestLine(
                line=PurchaseLine(row=item.line, currency=currency),
                quantity=item.quantity,
                verdict=verdicts.get(item.line_id),
                access=_access(item.line),
            )
            for item in self.case.full.lines.all()
        ]

    @strawberry_django.field(description="The movements of money; failed ones that were tried again included.")
    def refunds(self) -> list[RefundType]:
        """One for each payment the amount goes back on."""
        rows, for_staff = list(self.case.full.refunds.all()), self.case.role in (Role.STAFF, Role.SERVICE)
        replaced, timezone = {row.supersedes_id for row in rows}, self.case.row.store.timezone
        return [_refund(row, timezone, for_staff=for_staff, is_replaced=row.pk in replaced) for row in rows]

    @strawberry_django.field(description="What the customer was given besides; while the store has not issued it, only staff see it.")
    def incentives(self) -> list[IncentiveType]:
        """Vouchers and gift cards."""
        role = self.case.role
        for_customer = role in (Role.HOLDER, Role.CUSTOMER)
        found = [row for row in self.case.full.incentives.all() if row.state == IncentiveState.ISSUED or not for_customer]
        return [_incentive(row, with_code=role is Role.CUSTOMER) for row in found]


def _incentive(row: Incentive, *, with_code: bool) -> IncentiveType:
    worth = row.worth
    return IncentiveType(
        kind=CreditKind(row.kind),
        status=IncentiveState(row.state),
        amount=MoneyType.of(worth) if isinstance(worth, Money) else None,
        percent=None if isinstance(worth, Money) else worth,
        code=row.code if with_code else None,
        code_end=code_end(row.code),
        message=row.message,
        ends_at=row.ends_at,
        issued_at=row.issued_at,
    )


def _access(line: orders.PurchaseLine) -> LineAccess | None:
    state: AccessState | None = getattr(line, "access_state", None)
    if state is None:
        return None
    frozen, revoked = state.wanted_frozen, state.wanted_revoked
    return LineAccess(
        frozen_quantity=frozen,
        revoked_quantity=revoked,
        usable_quantity=line.quantity - frozen - revoked,
        is_confirmed=state.due_at is None,
    )


def _refund(refund: models.Refund, timezone: str, *, for_staff: bool, is_replaced: bool) -> RefundType:
    arrival = expected_arrival(refund, timezone=timezone)
    return RefundType(
        status=RefundState(refund.state),
        amount=MoneyType.of(refund.amount),
        payment=payment_name(refund.payment),
        sent_at=refund.first_sent_at,
        settled_at=refund.settled_at,
        trace_reference=refund.trace_reference,
        expected_from=arrival.earliest if arrival else None,
        expected_by=arrival.latest if arrival else None,
        waiting_reason=waiting_reason(refund, for_staff=for_staff),
        is_replaced=is_replaced,
    )
