"""What the policy says about a product before it is bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from refund_plugin.localize import Formatter
from refund_plugin.policies.floors import floor_of_line
from refund_plugin.policies.queries import ShownPolicy, load_version, localized
from refund_plugin.rules import Clause, LineFacts, Outcome, PolicyDocument, clause_kinds
from refund_plugin.rules.explanation import Tag

# selectors ask for no time
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a shop knows of something on sale; what it leaves out is not used to select.

    Attributes:
        price_minor: per unit, in minor units of `currency`; None when it is not known yet.
    """

    product_type: str = ""
    sku: str = ""
    categories: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    nature: str = ""
    country: str = ""
    channel: str = ""
    price_minor: int | None = None
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class ProductPolicy:
    """What a customer should know of a product.

    Attributes:
        clauses: those that can decide about it, in order, up to one that always decides.
        telling: the first of them that says something about the product itself, not about rare cases; None when none does.
        badge: a few words, "" without `telling`.
        tag: how the badge is to be coloured.
    """

    clauses: Sequence[Clause]
    telling: Clause | None
    badge: str
    tag: Tag

    @property
    def refused(self) -> Clause | None:
        """The clause that gives nothing back, if that is what there is to tell."""
        return self.telling if self.tag == "no" else None


@lru_cache(maxsize=1024)
def _about(shown: ShownPolicy, product: Product, language: Formatter, kinds: frozenset[str]) -> ProductPolicy:
    return product_policy(localized(load_version(shown.version), shown.texts), product, language)


def about_product(shown: ShownPolicy, product: Product, language: Formatter) -> ProductPolicy:
    """Return what the policy shown says about a product; kept per process, because versions never change what they say."""
    return _about(shown, product, language, frozenset(clause_kinds()))


def product_policy(document: PolicyDocument, product: Product, language: Formatter) -> ProductPolicy:
    """Return what a document says about a product."""
    clauses = clauses_about(document, product)
    telling = next((clause for clause in clauses if clause.badge(language)), None)
    if telling is None:
        return ProductPolicy(clauses, None, "", "wait")
    badge = telling.badge(language)
    if telling.requires:
        badge = language.gettext("%(badge)s, on conditions") % {"badge": badge}
    if telling.decides() is Outcome.REVIEW:
        badge = language.gettext("%(badge)s, after a person has looked") % {"badge": badge}
    return ProductPolicy(clauses, telling, badge, _tag(telling))


def beside_the_law(told: ProductPolicy, product: Product, language: Formatter) -> str:
    """Return the short words that stand beside a badge that refuses, because no policy takes away what the law gives.

    "" where the badge refuses nothing, and in a country whose law is known to give nothing. Where no country is named, the reader
    may be anywhere. Asked each time: which laws are known is a matter of settings and plug-ins, not of the version.
    """
    if told.telling is None or told.telling.decides() is not Outcome.DECLINE:
        return ""
    floor = floor_of_line(_facts(product))
    gives = floor is not None and (floor.withdrawal_days or floor.conformity_days)
    return language.gettext("Except where the law gives you more.") if gives or not product.country else ""


def clauses_about(document: PolicyDocument, product: Product) -> list[Clause]:
    """Return the clauses that can decide about a product, in order, up to one that always decides."""
    facts = _facts(product)
    found = []
    for clause in document.clauses:
        selector = clause.selector
        if product.price_minor is None:
            selector = replace(selector, price_from_minor=None, price_to_minor=None)
        if selector.matches(facts):
            found.append(clause)
            if not clause.all_conditions():
                break
    return found


def _facts(product: Product) -> LineFacts:
    return LineFacts(
        line_id="",
        currency=product.currency,
        paid_minor=product.price_minor or 0,
        purchased_at=_ANY_TIME,
        now=_ANY_TIME,
        sku=product.sku,
        product_type=product.product_type,
        categories=product.categories,
        tags=product.tags,
        nature=product.nature,
        country=product.country,
        channel=product.channel,
    )


def _tag(clause: Clause) -> Tag:
    if clause.decides() is Outcome.REVIEW:
        return "wait"
    if clause.decides() is Outcome.DECLINE:
        # with conditions it refuses some purchases only
        return "part" if clause.all_conditions() else "no"
    return "yes" if getattr(clause, "percent", 100) == 100 and not hasattr(clause, "by") else "part"
