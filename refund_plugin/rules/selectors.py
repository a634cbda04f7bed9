"""Which purchase lines a clause is about."""

from __future__ import annotations

from dataclasses import dataclass

from refund_plugin.rules.facts import LineFacts

NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A filter over lines; an empty field asks nothing, an empty selector is about everything.

    Attributes:
        categories, tags: the line has at least one of them.
        price_from_minor, price_to_minor: paid per unit, inclusive, in minor units of the line's own currency.
        nature: "" for both, else "content" or "service".
    """

    product_types: frozenset[str] = NONE
    skus: frozenset[str] = NONE
    categories: frozenset[str] = NONE
    tags: frozenset[str] = NONE
    channels: frozenset[str] = NONE
    countries: frozenset[str] = NONE
    price_from_minor: int | None = None
    price_to_minor: int | None = None
    nature: str = ""

    @property
    def is_everything(self) -> bool:
        """Tell whether the selector leaves nothing out."""
        return self == EVERYTHING

    def matches(self, facts: LineFacts) -> bool:
        """Tell whether the line is selected; a fact the line does not have ("" as country) is in no set."""
        if self.product_types and facts.product_type not in self.product_types:
            return False
        if self.skus and facts.sku not in self.skus:
            return False
        if self.categories and self.categories.isdisjoint(facts.categories):
            return False
        if self.tags and self.tags.isdisjoint(facts.tags):
            return False
        if self.channels and facts.channel not in self.channels:
            return False
        if self.countries and facts.country not in self.countries:
            return False
        # multiplied out: exact where paid / quantity is not
        if self.price_from_minor is not None and facts.paid_minor < self.price_from_minor * facts.quantity:
            return False
        if self.price_to_minor is not None and facts.paid_minor > self.price_to_minor * facts.quantity:
            return False
        return not self.nature or facts.nature == self.nature

    def covers(self, other: Selector) -> bool:
        """Tell whether every line that `other` selects is surely selected by this one too."""
        sets = (
            (self.product_types, other.product_types),
            (self.skus, other.skus),
            (self.categories, other.categories),
            (self.tags, other.tags),
            (self.channels, other.channels),
            (self.countries, other.countries),
        )
        return (
            all(not mine or (bool(theirs) and theirs <= mine) for mine, theirs in sets)
            and (self.price_from_minor is None or (other.price_from_minor is not None and self.price_from_minor <= other.price_from_minor))
            and (self.price_to_minor is None or (other.price_to_minor is not None and self.price_to_minor >= other.price_to_minor))
            and (not self.nature or self.nature == other.nature)
        )

    def meets(self, other: Selector) -> bool:
        """Tell whether a line may be selected by both; of categories and tags it may have several, so they never part two."""
        single = (
            (self.product_types, other.product_types),
            (self.skus, other.skus),
            (self.channels, other.channels),
            (self.countries, other.countries),
        )
        lowest = [price for price in (self.price_from_minor, other.price_from_minor) if price is not None]
        highest = [price for price in (self.price_to_minor, other.price_to_minor) if price is not None]
        return (
            all(not mine or not theirs or not mine.isdisjoint(theirs) for mine, theirs in single)
            and (not lowest or not highest or max(lowest) <= min(highest))
            and (not self.nature or not other.nature or self.nature == other.nature)
        )


EVERYTHING = Selector()
