"""Purchases: what can be refunded (`refundQuote`), and “mail me my purchases” (`purchaseListSend`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Annotated

import strawberry
import strawberry_django
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.api.context import Caller, caller_of
from refund_plugin.api.errors import RefundError, answer
from refund_plugin.api.types import MoneyType, Verdict, global_id, read_id, verdict_of
from refund_plugin.conf import settings
from refund_plugin.content import policy_pages
from refund_plugin.errors import InvalidInput, NotFound, Required
from refund_plugin.limits.services import check_limits
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import Money
from refund_plugin.orders import models
from refund_plugin.orders.access import uncounted_sentences
from refund_plugin.orders.lookup import count_request, look_up_purchase
from refund_plugin.orders.queries import clean_email, clean_number
from refund_plugin.orders.services import ask_for_purchase_list
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.refunds.checks import check_text
from refund_plugin.refunds.promise import lasts_until, make_promise
from refund_plugin.refunds.quote import Quote, QuoteLine, quote_purchase
from refund_plugin.rules import LineFacts, LineVerdict, explain_line
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store

MAX_QUOTED_LINES = 200

OrderNumber = Annotated[str, strawberry.argument(description="As the customer knows it; a leading # does not matter.")]
Email = Annotated[
    str | None,
    strawberry.argument(
        description="The address it was bought with. Signed-in customers, here or at a Saleor, may leave it out for their own purchases, "
        "staff and service tokens with the scope `view_cases` for any."
    ),
]
Channel = Annotated[str | None, strawberry.argument(description="Slug of the store; the default store when omitted.")]


@strawberry.input(description="A line of a purchase and how many of its units to refund.")
class RefundLineInput:
    """One line that is asked for."""

    line_id: strawberry.ID = strawberry.field(description="`PurchaseLine.id`.")
    quantity: int = strawberry.field(default=1, description="At least 1, at most what is left.")


@strawberry.type(description="A line of a purchase.")
class PurchaseLine:
    """What was bought."""

    row: strawberry.Private[models.PurchaseLine]
    currency: strawberry.Private[str]

    @strawberry.field
    def id(self) -> strawberry.ID:
        """Opaque id."""
        return global_id("PurchaseLine", self.row.pk)

    @strawberry.field
    def sku(self) -> str:
        """Stock keeping unit."""
        return self.row.sku

    @strawberry.field
    def name(self) -> str:
        """What the customer knows it by."""
        return self.row.name

    @strawberry.field(description="Units bought.")
    def quantity(self) -> int:
        """All of them, refunded or not."""
        return self.row.quantity

    @strawberry.field(description="Units that are neither refunded nor on their way.")
    def quantity_left(self) -> int:
        """At most this many can be asked for."""
        return max(self.row.quantity_left, 0)

    @strawberry.field(description="What was paid for the whole line, after discounts, tax included.")
    def paid(self) -> MoneyType:
        """Gross."""
        return MoneyType.of(Money(self.row.paid_minor, self.currency))


@strawberry.type(description="The answer to “can I get this back, how much, why, and until when?” for one line.")
class RefundQuoteLine:
    """A line with its verdict."""

    item: strawberry.Private[QuoteLine]
    quote: strawberry.Private[Quote]
    language: strawberry.Private[Formatter]
    told_of: strawberry.Private[Callable[[], Mapping[int, list[str]]]]

    @strawberry.field
    def line(self) -> PurchaseLine:
        """What was bought."""
        return PurchaseLine(row=self.item.line, currency=self.quote.purchase.currency)

    @strawberry.field(description="Units that were judged.")
    def quantity(self) -> int:
        """All that is left, unless fewer were named."""
        return self.item.quantity

    @strawberry.field(description="Asking leads to money, at once or after a person has looked.")
    def askable(self) -> bool:
        """The policy does not decline it."""
        return self.item.askable

    @strawberry.field
    def verdict(self) -> Verdict:
        """What the policy says, put into words for those who ask for it."""
        return self._verdict(self.item.verdict, self.item.facts)

    @strawberry.field(description="What it would be if the customer reports a fault; null when that changes nothing.")
    def if_faulty(self) -> Verdict | None:
        """With the reasons DEFECTIVE and NOT_AS_DESCRIBED."""
        found = self.quote.if_faulty(self.item)
        return self._verdict(found, replace(self.item.facts, fault_reported=True)) if found else None

    @strawberry_django.field(description="Recorded uses that staff found wrong and that do not count, each in a sentence with its reason.")
    def not_counted(self) -> list[str]:
        """Asked for all lines at once, when the first line is asked."""
        return self.told_of().get(self.item.line.pk, [])

    def _verdict(self, verdict: LineVerdict, facts: LineFacts) -> Verdict:
        return verdict_of(verdict, explain_line(verdict, self.quote.document, facts, self.language), self.quote.version)


@strawberry.type(description="What the policy of the day of the purchase says about it now. A quote changes nothing.")
class RefundQuote:
    """A judged purchase."""

    version: strawberry.Private[PolicyVersion | None]
    order_number: str
    purchased_at: datetime
    total: MoneyType = strawberry.field(description="What can come back for all lines together, now or after a person has looked.")
    lines: list[RefundQuoteLine] = strawberry.field(description="At most 200 of them; see `lineCount` and `skip`.")
    line_count: int = strawberry.field(description="How many lines were judged.")
    promise: str = strawberry.field(
        description="Send it along with `refundRequestCreate`: until `keptUntil` the passing of time takes nothing from these amounts."
    )
    kept_until: datetime = strawberry.field(description="How long these amounts are kept.")
    policy_version: int | None = strawberry.field(
        description="Number of the version that decides; null when there was none, and a person decides."
    )

    @strawberry_django.field(description="Where that version can be read; empty when no page shows it.")
    def policy_url(self) -> str:
        """Ask whoever publishes policies."""
        return policy_pages().policy_url(self.version) if self.version else ""

    @classmethod
    def of(cls, quote: Quote, *, skip: int = 0) -> RefundQuote:
        """Return a quote as the API shows it.

        Args:
            skip: lines to leave out at the beginning.
        """
        purchase, language = quote.purchase, formatter_for(timezone=quote.purchase.store.timezone)
        shown = replace(quote.worded(language.locale), lines=quote.lines[skip : skip + MAX_QUOTED_LINES])

        @cache
        def told_of() -> Mapping[int, list[str]]:
            return uncounted_sentences([item.line.pk for item in shown.lines], language)

        return cls(
            version=quote.version,
            order_number=purchase.number,
            purchased_at=purchase.purchased_at,
            total=MoneyType.of(quote.total),
            line_count=len(quote.lines),
            promise=make_promise(shown),
            kept_until=lasts_until(quote.now),
            policy_version=quote.version.number if quote.version else None,
            lines=[RefundQuoteLine(item=item, quote=shown, language=language, told_of=told_of) for item in shown.lines],
        )


@strawberry.type(description="Answer of `refundQuote`.")
class RefundQuoteAnswer:
    """A quote, or why there is none."""

    refund_quote: RefundQuote | None
    errors: list[RefundError]


@strawberry.type(description="Answer of `purchaseListSend`.")
class PurchaseListSend:
    """Says nothing about whether the address is known."""

    accepted: bool | None = strawberry.field(
        description="If the store knows the address, a mail is on its way. The answer is the same if not."
    )
    errors: list[RefundError]


def read_lines(lines: Sequence[RefundLineInput]) -> dict[int, int]:
    """Return the units asked for by line id.

    Raises:
        InvalidInput: not an id of a line, or the same line twice.
    """
    asked: dict[int, int] = {}
    for item in lines:
        key = read_line_id(item.line_id, field="lines")
        if key in asked:
            raise InvalidInput(_("Name each line once, with its quantity."), field="lines")
        asked[key] = item.quantity
    return asked


def read_line_id(value: str, *, field: str) -> int:
    """Return the key of a purchase line.

    Raises:
        InvalidInput: not an id of a line.
    """
    key = read_id("PurchaseLine", value, field=field)
    if not (key.isascii() and key.isdigit() and len(key) <= 18):
        raise InvalidInput(_("This is not the id of a %(kind)s.") % {"kind": "PurchaseLine"}, field=field)
    return int(key)


def visible_purchase(caller: Caller, *, number: str, email: str | None, channel: str | None, asks: bool = False) -> models.Purchase:
    """Return the purchase the caller may ask about, with its customer and store.

    Order number and e-mail together open it for anybody, within the limits. Without an address one sees one's own.

    Args:
        asks: a refund is asked for, which has a limit of its own.
    Raises:
        NotFound: unknown, or not the caller's: both read the same.
        Required: nobody is known to the request and no address is given.
        InvalidInput: an order number that is no text.
        RateLimited: too many tries.
    """
    slug = caller.store_slug(channel)
    if email:
        return look_up_purchase(store_slug=slug, number=number, email=email, network=caller.network, asks=asks, now=clock.now())
    if caller.token is None and caller.owned is None:
        raise Required(_("Give the e-mail address you bought with."), field="email")
    check_text(number, field="order_number")
    found = models.Purchase.objects.filter(store__slug=slug, number__iexact=clean_number(number))
    if not caller.views_cases:
        if caller.owned is None:
            raise Required(_("Give the e-mail address, or use a token with the scope view_cases."), field="email")
        found = found.filter(caller.owned)
    purchase = found.select_related("customer", "store").first()
    if purchase is None:
        raise NotFound
    if asks and not caller.views_cases:
        user = caller.shopper.user_id if caller.shopper else ""
        count_request(purchase=purchase, network=caller.network, user=user, now=clock.now())
    return purchase


@strawberry.type
class OrderQueries:
    """Queries about purchases."""

    @strawberry_django.field(description="Can it be refunded, how much, why, and until when? Changes nothing.")
    def refund_quote(
        self,
        info: strawberry.Info,
        order_number: OrderNumber,
        email: Email = None,
        lines: Annotated[
            list[RefundLineInput] | None,
            strawberry.argument(description="Only these lines; every line with all that is left when omitted."),
        ] = None,
        channel: Channel = None,
        skip: Annotated[int, strawberry.argument(description="Lines to leave out at the beginning, for purchases with many.")] = 0,
    ) -> RefundQuoteAnswer:
        """Judge a purchase."""

        def quote() -> RefundQuote:
            purchase = visible_purchase(caller_of(info), number=order_number, email=email, channel=channel)
            quantities = None if lines is None else read_lines(lines)
            return RefundQuote.of(quote_purchase(purchase=purchase, quantities=quantities, now=clock.now()), skip=max(0, skip))

        return answer(RefundQuoteAnswer, "refund_quote", quote)


@strawberry.type
class OrderMutations:
    """Mutations about purchases."""

    @strawberry_django.mutation(description="Mail the purchases of an address to it. One answer for known and unknown addresses.")
    def purchase_list_send(self, info: strawberry.Info, email: str, channel: Channel = None) -> PurchaseListSend:
        """Ask for the mail; it is sent in the background."""

        def send() -> bool:
            caller = caller_of(info)
            address = clean_email(email)
            try:
                validate_email(address)
            except ValidationError:
                raise InvalidInput(_("Write an e-mail address such as name@example.com."), field="email") from None
            # the network first: a try that is refused for it does not count for the address
            if caller.network is not None:
                check_limits(limits=[("mail:network", caller.network, settings().limit_mail)], now=clock.now())
            check_limits(limits=[("mail:address", address, settings().limit_mail)], now=clock.now())
            ask_for_purchase_list(store=_store(caller, channel), email=address, now=clock.now())
            return True

        return answer(PurchaseListSend, "accepted", send)


def _store(caller: Caller, channel: str | None) -> Store:
    slug = caller.store_slug(channel)
    if caller.store:
        return caller.store
    if slug == settings().store:
        return ensure_default_store()
    store = Store.objects.filter(slug=slug).first()
    if store is None:
        raise NotFound(_("There is no store with this channel."), field="channel")
    return store
