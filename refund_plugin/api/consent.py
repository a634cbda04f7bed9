"""The consent ledger's door for headless shops: the wording to show, and `consentRecord`, with a service token of its own."""

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
from refund_plugin.conf import settings
from refund_plugin.errors import NotAllowed
from refund_plugin.limits.services import check_limits
from refund_plugin.orders.models import Nature
from refund_plugin.policies.consent import confirm_consent, record_consent
from refund_plugin.policies.consent_wording import current_wording

strawberry.enum(Nature, name="ConsentNature", description="What is bought: digital content or a digital service.")


@strawberry.type(description="What to ask at the checkout. Send back what the customer read, to the character.")
class ConsentWording:
    """Two sentences, one for each box."""

    introduction: str = strawberry.field(description="What to show above both boxes, in lines; empty where there is none.")
    begin: str = strawberry.field(description="That it begins before the time to withdraw is over.")
    acknowledge: str = strawberry.field(description="That the customer knows what this ends.")
    locale: str = strawberry.field(description="The language they are in.")
    text: str = strawberry.field(description="All of it, as the ledger keeps it: `wording` of `consentRecord`.")


@strawberry.input(description="What a customer answered at the checkout. The order may be recorded later.")
class ConsentRecordInput:
    """An answer."""

    order_number: str
    sku: str = strawberry.field(default="", description="What was asked about; every line of the order when empty.")
    wording: str = strawberry.field(description="What the customer read, to the character, up to 10,000.")
    locale: str = strawberry.field(description="The language of the wording, such as `de`.")
    agreed_to_begin: bool
    acknowledged: bool
    given_at: datetime | None = strawberry.field(default=None, description="With a time zone; now when omitted.")
    source_id: str = strawberry.field(description="Your name of the answer, up to 120 characters: sent again, it counts once.")
    source: str = strawberry.field(default="api", description="Who tells it, in a word; each has names of answers of its own.")
    confirmed_at: datetime | None = strawberry.field(
        default=None, description="When your own mail handed over the wording and the answer; without it we mail it once we know the order."
    )


@strawberry.type(name="ConsentFact", description="A recorded answer.")
class ConsentFact:
    """One row of the ledger."""

    order_number: str
    sku: str
    wording_hash: str = strawberry.field(description="SHA-256 of the wording in UTF-8, in hex.")
    agreed_to_begin: bool
    acknowledged: bool
    given_at: datetime
    confirmed_at: datetime | None = strawberry.field(description="Null until the customer was handed the confirmation.")


@strawberry.type(description="Answer of `consentRecord`.")
class ConsentRecord:
    """The answer as it is recorded, or what is wrong with it."""

    consent_fact: ConsentFact | None
    errors: list[RefundError]


@strawberry.type
class ConsentQueries:
    """Queries about consent."""

    @strawberry_django.field(description="What a shop's checkout asks before something digital begins, as its editors wrote it.")
    def consent_wording(self, nature: Nature = Nature.CONTENT, locale: str = "") -> ConsentWording:
        """Return the wording that counts now."""
        found = current_wording(nature, locale[:20])
        return ConsentWording(
            introduction=found.introduction, begin=found.begin, acknowledge=found.acknowledge, locale=found.locale, text=found.text
        )


@strawberry.type
class ConsentMutations:
    """Mutations of the consent ledger."""

    @strawberry_django.mutation(
        description="Record what a customer agreed to; repeating it changes nothing. Only with a service token of scope `record_consent`."
    )
    def consent_record(
        self, info: strawberry.Info, input: Annotated[ConsentRecordInput, strawberry.argument(description="The answer.")]
    ) -> ConsentRecord:
        """Append an answer to the ledger."""

        def record() -> ConsentFact:
            token, now = _token_of(caller_of(info)), clock.now()
            check_limits(limits=[("consent:token", token.prefix, settings().limit_access)], now=now)
            consent = record_consent(
                store=token.store,
                order_number=input.order_number,
                sku=input.sku,
                wording=input.wording,
                locale=input.locale,
                agreed_to_begin=input.agreed_to_begin,
                acknowledged=input.acknowledged,
                given_at=input.given_at or now,
                source=input.source,
                source_id=input.source_id,
                confirm_by_mail=input.confirmed_at is None,
                now=now,
            )
            if input.confirmed_at is not None:
                confirm_consent(consent=consent, confirmed_at=input.confirmed_at, channel="shop", now=now)
            confirmation = getattr(consent, "confirmation", None)
            return ConsentFact(
                order_number=consent.order_number,
                sku=consent.sku,
                wording_hash=consent.wording_hash,
                agreed_to_begin=consent.agreed_to_begin,
                acknowledged=consent.acknowledged,
                given_at=consent.given_at,
                confirmed_at=confirmation.confirmed_at if confirmation else None,
            )

        return answer(ConsentRecord, "consent_fact", record)


def _token_of(caller: Caller) -> ServiceToken:
    """Return the token that may record; whoever else asks, also a signed-in customer or member of staff, gets one answer."""
    if caller.token is None or not caller.may(Action.RECORD_CONSENT):
        raise NotAllowed(
            _("Send a service token with the scope record_consent: manage.py refunds_token create NAME --scope record_consent")
        )
    return caller.token
