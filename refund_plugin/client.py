"""A small client of the GraphQL API for storefronts written in Python; needs the extra `graphql`, but no Django settings.

    client = RefundClient("https://shop.example/refunds/graphql/")
    quote = client.quote("1042", "ada@example.com")
    asked = client.request_refund("1042", "ada@example.com", lines={quote.lines[0].id: 1}, reason="changed_mind", promise=quote.promise)
    print(client.track(asked.tracking_token).next_step)

The operations are those in `graphql/storefront/`, which a front end in another language can use as they are.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.exceptions import TransportError, TransportQueryError, TransportServerError
from gql.transport.requests import RequestsHTTPTransport

from refund_plugin import documents
from refund_plugin.money import Money

UNREACHABLE = "UNREACHABLE"
NOT_FOUND = "NOT_FOUND"


class RefundClientError(Exception):
    """The API answered with an error, or not at all.

    Attributes:
        field: name of the argument that caused it, or None.
        code: a member of the schema's `RefundErrorCode`; `UNREACHABLE` when no answer came, after which nobody knows
            whether the call arrived: call again, with the same `client_key` where there is one.
        message: for a person.
    """

    def __init__(self, message: str, *, code: str, field: str | None = None, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.message, self.code, self.field, self.retry_after_seconds = message, code, field, retry_after_seconds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says about a line; `outcome` is `APPROVE`, `DECLINE` or `REVIEW`."""

    outcome: str
    amount: Money
    headline: str
    explanation: str
    facts: Sequence[tuple[str, str]]
    ask_until: datetime | None
    clause_title: str
    clause_url: str


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """A line of the purchase; `id` is what `request_refund` wants."""

    id: str
    sku: str
    name: str
    quantity: int
    quantity_left: int
    askable: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class PurchaseLine:
    """What was bought on one line; `id` is what `request_refund` wants."""

    id: str
    sku: str
    name: str
    quantity: int
    quantity_left: int
    paid: Money


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was bought with one order; `saleor_order_id` is empty for purchases of other stores."""

    order_number: str
    saleor_order_id: str
    purchased_at: datetime
    lines: Sequence[PurchaseLine]


@dataclass(frozen=True, slots=True)
class PurchasePage:
    """Some of a customer's purchases, newest first; `after` leads to the page behind it, and is empty on the last one."""

    purchases: Sequence[Purchase]
    after: str


@dataclass(frozen=True, slots=True)
class Quote:
    """Whether, how much, why, until when; `promise` keeps what is quoted until `kept_until` when it is sent with the request."""

    order_number: str
    total: Money
    policy_url: str
    lines: Sequence[QuoteLine]
    promise: str
    kept_until: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it stood when it was made; `tracking_token` opens it from then on."""

    id: str
    reference: str
    status: str
    order_number: str
    tracking_token: str


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the timeline; `state` is `done`, `now`, `next` or `problem`."""

    code: str
    title: str
    detail: str
    state: str
    at: datetime | None
    amount: Money | None


@dataclass(frozen=True, slots=True)
class Tracked:
    """A request with the way of its money; `final` when nothing will change any more by itself."""

    id: str
    reference: str
    status: str
    settlement: str
    order_number: str
    amount: Money
    evidence_question: str
    next_step: str
    final: bool
    tracking_url: str
    timeline: Sequence[Step]


class RefundClient:
    """Calls the API at `url`.

    Args:
        token: a service token (`rpt_…`) for programs that act for the shop.
        customer_token: the access token that a Saleor gave to the customer who is signed in; calls are theirs then, and need no e-mail
            address. A service token beside it says that they come from the shop's server.
        saleor_api_url: the address of that Saleor's API, with `customer_token`.
        timeout: seconds to wait for a connection and for an answer.
        channel: slug of the store; the default store when empty.
        language: of messages and explanations, such as `de`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        customer_token: str | None = None,
        saleor_api_url: str | None = None,
        timeout: int = 10,
        channel: str | None = None,
        language: str = "en",
    ) -> None:
        headers = {"Accept-Language": language}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if customer_token:
            if not saleor_api_url:
                raise ValueError("A customer's token needs the API address of the Saleor that gave it: saleor_api_url.")
            headers |= {"Authorization-Bearer": customer_token, "Saleor-Api-Url": saleor_api_url}
        self._url, self._headers, self._timeout = url, headers, timeout
        self._channel = channel

    def purchases(self, *, first: int = 20, after: str = "") -> PurchasePage:
        """List what the customer who is signed in has bought, newest first.

        Args:
            first: how many, 1 to 100.
            after: of the page before; the first page when empty.
        Raises:
            RefundClientError: NOT_ALLOWED when nobody is signed in; INVALID_TOKEN when the customer's token is over or proves nothing.
        """
        data = self._call("Purchases", first=first, after=after or None, channel=self._channel)
        info = data["pageInfo"]
        return PurchasePage(
            purchases=tuple(_purchase(edge["node"]) for edge in data["edges"]),
            after=info["endCursor"] if info["hasNextPage"] else "",
        )

    def quote(self, order_number: str, email: str | None = None, *, lines: Mapping[str, int] | None = None) -> Quote:
        """Ask what can be refunded; changes nothing.

        Args:
            lines: units by line id; everything that is left when omitted.
        Raises:
            RefundClientError: NOT_FOUND for an unknown number and for a wrong address alike; RATE_LIMITED.
        """
        asked = None if lines is None else _lines(lines)
        data = self._call("RefundQuote", orderNumber=order_number, email=email, lines=asked, channel=self._channel)
        return _quote(data["refundQuote"])

    def request_refund(
        self,
        order_number: str,
        email: str | None = None,
        *,
        lines: Mapping[str, int],
        reason: str,
        message: str = "",
        wants_person: bool = False,
        client_key: str | None = None,
        language_code: str | None = None,
        promise: str = "",
    ) -> Asked:
        """Ask for money; the policy's answer is in `status`.

        Args:
            lines: units by line id, as `quote` gave them.
            reason: a member of the schema's `RefundReason`, in any case: `changed_mind`.
            client_key: make it once per form (a UUID): called again with it, nothing new is asked for.
            promise: of the quote that was shown: what it said is kept while it lasts, and no less is ever asked for unseen.
        Raises:
            RefundClientError: as in `quote`, and QUOTE_CHANGED, QUANTITY_TOO_HIGH, ALREADY_REFUNDED, INVALID …
        """
        data = self._call(
            "RefundRequestCreate",
            input={
                "orderNumber": order_number,
                "email": email,
                "lines": _lines(lines),
                "reason": reason.upper(),
                "message": message,
                "wantsPerson": wants_person,
                "clientKey": client_key or str(uuid.uuid4()),
                "languageCode": language_code,
                "channel": self._channel,
                "promise": promise,
            },
        )
        found = data["refundRequest"]
        return Asked(
            id=found["id"],
            reference=found["reference"],
            status=found["status"],
            order_number=found["orderNumber"],
            tracking_token=found["trackingToken"],
        )

    def track(self, token: str) -> Tracked:
        """Look how far a request is.

        Raises:
            RefundClientError: NOT_FOUND when the token opens nothing.
        """
        found = self._call("RefundRequest", token=token)
        if found is None:
            raise RefundClientError("This link opens no refund request.", code=NOT_FOUND, field="token")
        return _tracked(found)

    def cancel(self, token: str) -> Tracked:
        """Take a request back.

        Raises:
            RefundClientError: NOT_FOUND; WRONG_STATE when money has been sent.
        """
        return _tracked(self._call("RefundRequestCancel", token=token)["refundRequest"])

    def answer_evidence(self, token: str, message: str) -> Tracked:
        """Answer what the shop asked.

        Raises:
            RefundClientError: NOT_FOUND; WRONG_STATE when nothing was asked; REQUIRED.
        """
        return _tracked(self._call("RefundRequestAnswerEvidence", token=token, input={"message": message})["refundRequest"])

    def mail_purchases(self, email: str) -> None:
        """Have the purchases of an address mailed to it; nothing tells whether the store knows it.

        Raises:
            RefundClientError: INVALID for what is no address; RATE_LIMITED.
        """
        self._call("PurchaseListSend", email=email, channel=self._channel)

    def _call(self, name: str, **variables: object) -> Any:
        operation = GraphQLRequest(documents.operation(f"storefront/{name}"), variable_values=variables, operation_name=name)
        # no redirect: it could carry the tokens in our headers to another host
        transport = RequestsHTTPTransport(self._url, headers=self._headers, timeout=self._timeout, allow_redirects=False)
        client = Client(transport=transport, fetch_schema_from_transport=False)
        try:
            answer = client.execute(operation)
        except TransportQueryError as error:
            first: Mapping[str, Any] = (error.errors or [{}])[0]
            raise RefundClientError(first.get("message", str(error)), code=first.get("extensions", {}).get("code", "ERROR")) from error
        except TransportServerError as error:
            code = {401: "INVALID_TOKEN", 413: "TOO_LARGE", 429: "RATE_LIMITED"}.get(error.code or 0, UNREACHABLE)
            raise RefundClientError(str(error), code=code) from error
        except TransportError as error:
            raise RefundClientError(f"No answer from {self._url}: {error}", code=UNREACHABLE) from error
        data = next(iter(answer.values()))
        for found in (data or {}).get("errors", ()):
            raise RefundClientError(
                found["message"], code=found["code"], field=found["field"], retry_after_seconds=found["retryAfterSeconds"]
            )
        return data


def _lines(lines: Mapping[str, int]) -> list[dict[str, object]]:
    return [{"lineId": line_id, "quantity": quantity} for line_id, quantity in lines.items()]


def _purchase(data: Mapping[str, Any]) -> Purchase:
    return Purchase(
        order_number=data["orderNumber"],
        saleor_order_id=data["saleorOrderId"] or "",
        purchased_at=datetime.fromisoformat(data["purchasedAt"]),
        lines=tuple(
            PurchaseLine(
                id=line["id"],
                sku=line["sku"],
                name=line["name"],
                quantity=line["quantity"],
                quantity_left=line["quantityLeft"],
                paid=_money(line["paid"]),
            )
            for line in data["lines"]
        ),
    )


def _money(data: Mapping[str, Any]) -> Money:
    return Money(data["minorAmount"], data["currency"])


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _verdict(data: Mapping[str, Any]) -> Verdict:
    clause = data["clause"] or {"title": "", "url": ""}
    return Verdict(
        outcome=data["outcome"],
        amount=_money(data["amount"]),
        headline=data["headline"],
        explanation=data["explanation"],
        facts=tuple((fact["label"], fact["value"]) for fact in data["facts"]),
        ask_until=_moment(data["askUntil"]),
        clause_title=clause["title"],
        clause_url=clause["url"],
    )


def _quote(data: Mapping[str, Any]) -> Quote:
    return Quote(
        order_number=data["orderNumber"],
        total=_money(data["total"]),
        policy_url=data["policyUrl"],
        promise=data["promise"],
        kept_until=datetime.fromisoformat(data["keptUntil"]),
        lines=tuple(
            QuoteLine(
                id=item["line"]["id"],
                sku=item["line"]["sku"],
                name=item["line"]["name"],
                quantity=item["quantity"],
                quantity_left=item["line"]["quantityLeft"],
                askable=item["askable"],
                verdict=_verdict(item["verdict"]),
            )
            for item in data["lines"]
        ),
    )


def _tracked(data: Mapping[str, Any]) -> Tracked:
    return Tracked(
        id=data["id"],
        reference=data["reference"],
        status=data["status"],
        settlement=data["settlement"],
        order_number=data["orderNumber"],
        amount=_money(data["amount"]),
        evidence_question=data["evidenceQuestion"],
        next_step=data["nextStep"],
        final=data["isFinal"],
        tracking_url=data["trackingUrl"] or "",
        timeline=tuple(
            Step(
                code=step["code"],
                title=step["title"],
                detail=step["detail"],
                state=step["state"],
                at=_moment(step["at"]),
                amount=_money(step["amount"]) if step["amount"] else None,
            )
            for step in data["timeline"]
        ),
    )
