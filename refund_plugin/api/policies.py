"""The policy in force, in plain words."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urljoin

import strawberry
import strawberry_django
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from refund_plugin import clock
from refund_plugin.api.context import caller_of
from refund_plugin.api.errors import as_graphql
from refund_plugin.api.orders import Channel
from refund_plugin.api.types import MinorAmount
from refund_plugin.conf import settings
from refund_plugin.content import policy_pages
from refund_plugin.errors import InvalidInput, RefundPluginError
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.money import EXPONENTS
from refund_plugin.policies.products import Product, ProductPolicy, about_product, beside_the_law
from refund_plugin.policies.queries import load_version_in, shown_policy, version_in_force
from refund_plugin.policies.structured import as_json_ld, merchant_return_policy
from refund_plugin.rules import Clause, describe_clause
from refund_plugin.stores.models import Store

MAX_WORDS = 50
MAX_WORD_LENGTH = 200


@strawberry.type(description="A clause of the policy, in words made from its values.")
class RefundPolicyClause:
    """What a customer reads of a clause."""

    anchor: str = strawberry.field(description="Stable name of the clause within the policy.")
    kind: str = strawberry.field(description="For example `money_back` or `non_refundable`; shops can add kinds.")
    title: str
    summary: str = strawberry.field(description="Plain sentences.")
    bullet: str = strawberry.field(description="One line, for a footer or the checkout.")


@strawberry.type(description="The refund policy that decides what is bought now.")
class RefundPolicy:
    """A version in force."""

    store_id: strawberry.Private[int]
    title: str
    version: int
    effective_from: datetime
    clauses: list[RefundPolicyClause] = strawberry.field(description="In order: the first that applies decides.")

    @strawberry_django.field(description="Where the policy can be read; empty when no page shows it.")
    def url(self) -> str:
        """Ask whoever publishes policies."""
        return policy_pages().current_policy_url(self.store_id)


@strawberry.input(description="What is known of something on sale. What is left out is not used to select clauses.")
class RefundProductInput:
    """A product."""

    sku: str = ""
    product_type: str = ""
    categories: list[str] = strawberry.field(default_factory=list, description="At most 50.")
    tags: list[str] = strawberry.field(default_factory=list, description="At most 50.")
    nature: str = strawberry.field(default="", description="`content`, `service`, or empty when it is not known.")
    country: str = strawberry.field(default="", description="Of the customer, as ISO 3166-1 alpha-2.")
    sales_channel: str = strawberry.field(default="", description="Where it is sold, as clauses name it.")
    price_minor: MinorAmount | None = strawberry.field(
        default=None, description="Per unit in minor units; without it, clauses for any price count."
    )
    currency: str = strawberry.field(default="EUR", description="Of the price, as ISO 4217.")

    def checked(self) -> Product:
        """Return the product.

        Raises:
            InvalidInput: too much or too long, or no currency.
        """
        words = {"categories": self.categories, "tags": self.tags}
        for name, values in words.items():
            if len(values) > MAX_WORDS:
                raise InvalidInput(_("Name at most %(number)d of these.") % {"number": MAX_WORDS}, field=name)
        singles = {"sku": self.sku, "product_type": self.product_type, "nature": self.nature, "country": self.country}
        for name, values in {**words, **{name: [value] for name, value in singles.items()}, "sales_channel": [self.sales_channel]}.items():
            if any(len(value) > MAX_WORD_LENGTH for value in values):
                raise InvalidInput(_("Use at most %(number)d characters.") % {"number": MAX_WORD_LENGTH}, field=name)
        if self.currency not in EXPONENTS:
            raise InvalidInput(_("Name a currency such as EUR."), field="currency")
        return Product(
            product_type=self.product_type,
            sku=self.sku,
            categories=frozenset(self.categories),
            tags=frozenset(self.tags),
            nature=self.nature,
            country=self.country.upper(),
            channel=self.sales_channel,
            price_minor=self.price_minor,
            currency=self.currency,
        )


@strawberry.type(description="What the policy in force says about a product, before it is bought.")
class RefundProductPolicy:
    """The same that a host's templates show."""

    store_id: strawberry.Private[int]
    told: strawberry.Private[ProductPolicy]
    product: strawberry.Private[Product]
    language: strawberry.Private[Formatter]

    @strawberry_django.field(
        description="A few words, such as “30-day guarantee” or “Not refundable: …”; empty where there is nothing to say."
    )
    def badge(self) -> str:
        """The clause's own words."""
        return self.told.badge

    @strawberry_django.field(
        description="Show it beside a badge that refuses: no policy takes away what the law gives. Empty where there is nothing to add."
    )
    def beside_badge(self) -> str:
        """In the reader's language."""
        return beside_the_law(self.told, self.product, self.language)

    @strawberry_django.field(description="How to colour the badge: `yes`, `part`, `no` or `wait` (a person decides).")
    def tag(self) -> str:
        """One of four."""
        return self.told.tag

    @strawberry_django.field(description="Why it is not refundable; null where it may be.")
    def refusal_reason(self) -> str | None:
        """In the reader's language."""
        return self.told.refused.summary(self.language) if self.told.refused else None

    @strawberry_django.field(description="What can decide about it, in order: the first that applies decides.")
    def clauses(self) -> list[RefundPolicyClause]:
        """Only those about this product."""
        return [clause_of(clause, self.language) for clause in self.told.clauses]

    @strawberry_django.field(description="Where the policy can be read; empty when no page shows it.")
    def url(self) -> str:
        """Ask whoever publishes policies."""
        return policy_pages().current_policy_url(self.store_id)

    @strawberry_django.field(
        description='schema.org\'s `MerchantReturnPolicy` as JSON text, safe inside `<script type="application/ld+json">`.'
    )
    def structured_data(self) -> str:
        """The same as the template tag writes."""
        path = policy_pages().current_policy_url(self.store_id)
        url = urljoin(settings().public_url, path) if path else ""
        return as_json_ld(merchant_return_policy(self.told, self.product, self.language, url=url))


def clause_of(clause: Clause, language: Formatter) -> RefundPolicyClause:
    """Return a clause in words."""
    text = describe_clause(clause, language)
    return RefundPolicyClause(anchor=clause.anchor, kind=clause.kind, title=text.title, summary=text.summary, bullet=text.bullet)


def policy_for_product(info: strawberry.Info, product: Product, channel: str | None) -> RefundProductPolicy | None:
    """Return what the policy of a store says about a product now; None when it has none."""
    shown = shown_policy(store=caller_of(info).store_slug(channel), at=clock.now(), locale=get_language() or "")
    if shown is None:
        return None
    language = formatter_for(timezone=shown.timezone)
    return RefundProductPolicy(store_id=shown.store_id, told=about_product(shown, product, language), product=product, language=language)


def current_policy(info: strawberry.Info, channel: str | None) -> RefundPolicy | None:
    """Return the policy of a store that is in force now; None when there is none."""
    now = clock.now()
    store = Store.objects.filter(slug=caller_of(info).store_slug(channel)).first()
    version = version_in_force(store_id=store.pk, at=now) if store else None
    if store is None or version is None:
        return None
    language = formatter_for(timezone=store.timezone)
    return RefundPolicy(
        store_id=store.pk,
        title=version.policy.title,
        version=version.number,
        effective_from=version.effective_from,
        clauses=[clause_of(clause, language) for clause in load_version_in(version, get_language() or "").clauses],
    )


@strawberry.type
class PolicyQueries:
    """Queries about the policy."""

    @strawberry_django.field(description="The store's refund policy in force; null when none is published.")
    def refund_policy(self, info: strawberry.Info, channel: Channel = None) -> RefundPolicy | None:
        """Describe what is in force now."""
        try:
            return current_policy(info, channel)
        except RefundPluginError as error:
            raise as_graphql(error) from error

    @strawberry_django.field(
        description="What to show beside a product: its badge, what decides about it, structured data; null when no policy is published."
    )
    def refund_policy_for_product(
        self,
        info: strawberry.Info,
        product: Annotated[RefundProductInput, strawberry.argument(description="What is known of it.")],
        channel: Channel = None,
    ) -> RefundProductPolicy | None:
        """Describe what is in force now about one product."""
        try:
            return policy_for_product(info, product.checked(), channel)
        except RefundPluginError as error:
            raise as_graphql(error) from error
