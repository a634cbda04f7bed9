"""Refund requests: look at them, ask, take back, decide."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated

import strawberry
import strawberry_django
from django.utils import translation
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.actor import Actor, customer_actor
from refund_plugin.api.cases import Case, RefundRequestType
from refund_plugin.api.context import Caller, Role, caller_of
from refund_plugin.api.errors import RefundError, answer, as_graphql
from refund_plugin.api.lists import RefundRequestCountableConnection, RefundRequestFilterInput, list_requests, page_of
from refund_plugin.api.orders import Channel, Email, OrderNumber, RefundLineInput, read_line_id, read_lines, visible_purchase
from refund_plugin.api.types import MinorAmount, read_id
from refund_plugin.errors import InvalidInput, NotFound, RefundPluginError, Required
from refund_plugin.refunds import review, services
from refund_plugin.refunds.checks import check_text
from refund_plugin.refunds.models import RefundRequest, RequestReason
from refund_plugin.refunds.tracking import find_by_token

KEY_LENGTHS = range(16, 65)

RequestID = Annotated[strawberry.ID, strawberry.argument(description="`RefundRequest.id`.")]
OptionalRequestID = Annotated[strawberry.ID | None, strawberry.argument(description="`RefundRequest.id`, for those who are signed in.")]
Token = Annotated[str | None, strawberry.argument(description="`RefundRequest.trackingToken`, from the tracking link; needs no login.")]


@strawberry.input(description="What to refund, and why.")
class RefundRequestCreateInput:
    """A customer's question for money."""

    order_number: OrderNumber
    email: Email = None
    lines: list[RefundLineInput]
    reason: RequestReason
    message: str = strawberry.field(default="", description="In the customer's own words; up to 4000 characters.")
    wants_person: bool = strawberry.field(default=False, description="Lines that the policy declines are looked at by a person.")
    withdrawal: bool = strawberry.field(
        default=False, description="The customer declares a statutory withdrawal: the money is due within 14 days."
    )
    promise: str = strawberry.field(
        default="",
        description="`RefundQuote.promise`: what was quoted is kept while it lasts, and if less comes back than was quoted, nothing is "
        "asked for and the answer is QUOTE_CHANGED.",
    )
    client_key: str | None = strawberry.field(
        default=None,
        description="A random string of 16 to 64 characters, such as a UUID, made once per form: sent again after a lost answer or a "
        "double click, it gives the first request and asks for nothing new. Keep it secret, it opens that request.",
    )
    language_code: str | None = strawberry.field(
        default=None, description="For our mail, such as `de`; the request's language when omitted."
    )
    channel: Channel = None


@strawberry.input(description="What one line gets.")
class RefundLineAmountInput:
    """An amount that staff chose."""

    line_id: strawberry.ID = strawberry.field(description="`PurchaseLine.id`.")
    minor_amount: MinorAmount = strawberry.field(description="In minor units of the purchase's currency.")


@strawberry.input(description="An approval.")
class RefundRequestApproveInput:
    """Fully, or for less."""

    reason: str = strawberry.field(description="Recorded with the decision.")
    amounts: list[RefundLineAmountInput] | None = strawberry.field(
        default=None, description="The amounts that the policy suggests when omitted; a line that is left out gets nothing."
    )


@strawberry.input(description="A refusal.")
class RefundRequestDeclineInput:
    """With its reason."""

    reason: str = strawberry.field(description="Told to the customer.")


@strawberry.input(description="A question to the customer.")
class RefundRequestAskEvidenceInput:
    """What is needed to decide."""

    question: str


@strawberry.input(description="The customer's answer.")
class RefundRequestAnswerEvidenceInput:
    """To the question that was asked."""

    message: str


@strawberry.type(description="Answer of `refundRequestCreate`.")
class RefundRequestCreate:
    """The request, or what is wrong with the question."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


@strawberry.type(description="Answer of `refundRequestCancel`.")
class RefundRequestCancel:
    """The request as it is now."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


@strawberry.type(description="Answer of `refundRequestApprove`.")
class RefundRequestApprove:
    """The request as it is now."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


@strawberry.type(description="Answer of `refundRequestDecline`.")
class RefundRequestDecline:
    """The request as it is now."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


@strawberry.type(description="Answer of `refundRequestAskEvidence`.")
class RefundRequestAskEvidence:
    """The request as it is now."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


@strawberry.type(description="Answer of `refundRequestAnswerEvidence`.")
class RefundRequestAnswerEvidence:
    """The request as it is now."""

    refund_request: RefundRequestType | None
    errors: list[RefundError]


def visible_case(caller: Caller, *, id: str | None, token: str | None = None) -> Case:
    """Return the request that the caller may see.

    Raises:
        NotFound: unknown, or not visible to the caller: both read the same.
        InvalidInput: not the id of a request.
        Required: neither id nor token.
    """
    unknown = NotFound(_("We could not find this refund request."), field="token" if token else "id")
    if token:
        try:
            return Case(find_by_token(token), Role.HOLDER)
        except NotFound:
            raise unknown from None
    if not id:
        raise Required(_("Give the id of the request, or the token of its tracking link."), field="id")
    found = RefundRequest.objects.filter(reference=read_id("RefundRequest", id, field="id"))
    row = found.select_related("store", "purchase", "customer", "policy_version__policy").first()
    if row is None:
        raise unknown
    if caller.owns(row.purchase):
        return Case(row, Role.CUSTOMER)
    if caller.views_cases and caller.store_id in (None, row.store_id):
        return Case(row, caller.role)
    raise unknown


def participant(caller: Caller, case: Case) -> Actor:
    """Return who acts on a request: its customer, or staff or a program on their behalf."""
    if case.role in (Role.HOLDER, Role.CUSTOMER):
        return customer_actor(customer_id=case.row.customer_id, store_id=case.row.store_id)
    return caller.worker(case.row.store)


def _language(code: str | None) -> str:
    if not code:
        return translation.get_language() or ""
    check_text(code, field="language_code")
    try:
        return translation.get_supported_language_variant(code)
    except LookupError:
        raise InvalidInput(_("This shop does not speak “%(code)s”.") % {"code": code}, field="language_code") from None


def _client_key(key: str | None) -> str:
    if key is None:
        return secrets.token_hex(16)
    if len(key) not in KEY_LENGTHS:
        # whoever knows it opens the request that was made with it, so it must not be guessed
        raise InvalidInput(_("Use a random string of 16 to 64 characters, such as a UUID."), field="client_key")
    check_text(key, field="client_key")
    return key


def _amounts(amounts: list[RefundLineAmountInput] | None) -> Mapping[int, int] | None:
    if amounts is None:
        return None
    granted = {read_line_id(item.line_id, field="amounts"): int(item.minor_amount) for item in amounts}
    if len(granted) != len(amounts):
        raise InvalidInput(_("Name each line once, with its amount."), field="amounts")
    return granted


def _create(caller: Caller, input: RefundRequestCreateInput) -> RefundRequestType:
    key, language, lines = _client_key(input.client_key), _language(input.language_code), read_lines(input.lines)
    purchase = visible_purchase(caller, number=input.order_number, email=input.email, channel=input.channel, asks=True)
    proved = bool(input.email) or caller.owns(purchase)
    customer = customer_actor(customer_id=purchase.customer_id, store_id=purchase.store_id)
    row = services.request_refund(
        purchase_id=purchase.pk,
        lines=lines,
        reason=input.reason.value,
        message=input.message,
        by=customer if proved else caller.worker(purchase.store),
        submission_key=key,
        channel="graphql",
        locale=language,
        wants_person=input.wants_person,
        withdrawal=input.withdrawal,
        promise=input.promise,
        now=clock.now(),
    )
    return RefundRequestType(case=Case(row, Role.CUSTOMER if proved and caller.token is None else caller.role))


@strawberry.type
class RefundQueries:
    """Queries about refund requests."""

    @strawberry_django.field(description="One request, by id (customers who are signed in, staff, service tokens) or by tracking token.")
    def refund_request(self, info: strawberry.Info, id: OptionalRequestID = None, token: Token = None) -> RefundRequestType | None:
        """Return null for what is unknown or foreign."""
        try:
            return RefundRequestType(case=visible_case(caller_of(info), id=id, token=token))
        except NotFound:
            return None
        except RefundPluginError as error:
            raise as_graphql(error) from error

    @strawberry_django.field(
        description="Newest first: the store's for staff and service tokens that may view cases, one's own for customers."
    )
    def refund_requests(
        self,
        info: strawberry.Info,
        first: Annotated[int, strawberry.argument(description="How many, 1 to 100.")] = 20,
        after: Annotated[str | None, strawberry.argument(description="`pageInfo.endCursor` of the page before.")] = None,
        filter: RefundRequestFilterInput | None = None,
        channel: Annotated[str | None, strawberry.argument(description="Slug of a store; every visible one when omitted.")] = None,
    ) -> RefundRequestCountableConnection:
        """Return a page."""
        try:
            caller = caller_of(info)
            return page_of(list_requests(caller, filter=filter, channel=channel), first=first, after=after, caller=caller)
        except RefundPluginError as error:
            raise as_graphql(error) from error


@strawberry.type
class RefundMutations:
    """Mutations of refund requests."""

    @strawberry_django.mutation(description="Ask for a refund. The policy answers at once; approved money is sent in the background.")
    def refund_request_create(self, info: strawberry.Info, input: RefundRequestCreateInput) -> RefundRequestCreate:
        """Ask."""
        return answer(RefundRequestCreate, "refund_request", lambda: _create(caller_of(info), input))

    @strawberry_django.mutation(description="Take a request back; possible until money has been sent.")
    def refund_request_cancel(self, info: strawberry.Info, id: OptionalRequestID = None, token: Token = None) -> RefundRequestCancel:
        """Cancel."""

        def cancel() -> RefundRequestType:
            caller = caller_of(info)
            case = visible_case(caller, id=id, token=token)
            row = services.cancel_request(request_id=case.row.pk, by=participant(caller, case), now=clock.now())
            return RefundRequestType(case=Case(row, case.role))

        return answer(RefundRequestCancel, "refund_request", cancel)

    @strawberry_django.mutation(description="Answer what was asked; the request goes back to review.")
    def refund_request_answer_evidence(
        self, info: strawberry.Info, input: RefundRequestAnswerEvidenceInput, id: OptionalRequestID = None, token: Token = None
    ) -> RefundRequestAnswerEvidence:
        """Answer."""

        def give() -> RefundRequestType:
            caller = caller_of(info)
            case = visible_case(caller, id=id, token=token)
            by = participant(caller, case)
            row = services.answer_evidence(request_id=case.row.pk, by=by, message=input.message, now=clock.now())
            return RefundRequestType(case=Case(row, case.role))

        return answer(RefundRequestAnswerEvidence, "refund_request", give)

    @strawberry_django.mutation(description="Approve, fully or for less. Needs `approve_refunds`.")
    def refund_request_approve(self, info: strawberry.Info, id: RequestID, input: RefundRequestApproveInput) -> RefundRequestApprove:
        """Approve."""

        def approve() -> RefundRequestType:
            caller = caller_of(info)
            case = visible_case(caller, id=id)
            row = review.approve_request(
                request_id=case.row.pk,
                by=caller.worker(case.row.store),
                amounts=_amounts(input.amounts),
                reason=input.reason,
                now=clock.now(),
            )
            return RefundRequestType(case=Case(row, case.role))

        return answer(RefundRequestApprove, "refund_request", approve)

    @strawberry_django.mutation(description="Decline. Needs `decline_refunds`.")
    def refund_request_decline(self, info: strawberry.Info, id: RequestID, input: RefundRequestDeclineInput) -> RefundRequestDecline:
        """Decline."""

        def decline() -> RefundRequestType:
            caller = caller_of(info)
            case = visible_case(caller, id=id)
            by = caller.worker(case.row.store)
            row = review.decline_request(request_id=case.row.pk, by=by, reason=input.reason, now=clock.now())
            return RefundRequestType(case=Case(row, case.role))

        return answer(RefundRequestDecline, "refund_request", decline)

    @strawberry_django.mutation(description="Ask the customer for something that is needed to decide. Needs `ask_evidence`.")
    def refund_request_ask_evidence(
        self, info: strawberry.Info, id: RequestID, input: RefundRequestAskEvidenceInput
    ) -> RefundRequestAskEvidence:
        """Ask."""

        def ask() -> RefundRequestType:
            caller = caller_of(info)
            case = visible_case(caller, id=id)
            by = caller.worker(case.row.store)
            row = review.ask_for_evidence(request_id=case.row.pk, by=by, question=input.question, now=clock.now())
            return RefundRequestType(case=Case(row, case.role))

        return answer(RefundRequestAskEvidence, "refund_request", ask)
