"""What the policy says about a product before it is bought."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from refund_plugin.rules import Clause, LineFacts, Outcome, PolicyDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What a shop knows of something on sale; what it leaves out is not used to select.

    Attributes:
        price_minor: per unit, in minor units of `currency`; None when it is not known yet.
    """

    product_type: str = ""
    sku: str = ""
    categories: Iterable[str] = ()
    tags: Iterable[str] = ()
    nature: str = ""
    country: str = ""
    channel: str = ""
    price_minor: int | None = None
    currency: str = "EUR"


def clauses_about(document: PolicyDocument, product: Product, *, now: datetime) -> list[Clause]:
    """Return the clauses that can decide about a product, in order, up to one that always decides."""
    facts = LineFacts(
        line_id="",
        currency=product.currency,
        paid_minor=product.price_minor or 0,
        purchased_at=now,
        now=now,
        sku=product.sku,
        product_type=product.product_type,
        categories=frozenset(product.categories),
        tags=frozenset(product.tags),
        nature=product.nature,
        country=product.country,
        channel=product.channel,
    )
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


def refusal(clauses: list[Clause]) -> Clause | None:
    """Return the clause that gives nothing back whatever happens, if it is the first to decide."""
    first = clauses[0] if clauses else None
    return first if first and not first.all_conditions() and first.decides() is Outcome.DECLINE else None
