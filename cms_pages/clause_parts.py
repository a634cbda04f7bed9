"""What the blocks of all kinds of clauses share: the selection, the facts that are needed, and the clause they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from wagtail import blocks

from refund_plugin.rules import Clause, FactRule, Selector, registered_facts


def words(text: str | None) -> frozenset[str]:
    """Return the words an editor separated with commas."""
    return frozenset(word.strip() for word in (text or "").split(",") if word.strip())


class SelectorBlock(blocks.StructBlock):
    """Which products and purchases a clause is about; nothing filled in means everything."""

    product_types = blocks.CharBlock(required=False, label=_("Product types"), help_text=_("Such as: ebook, course. Separate with commas."))
    skus = blocks.CharBlock(required=False, label=_("SKUs"), help_text=_("Separate with commas."))
    categories = blocks.CharBlock(required=False, label=_("Categories"), help_text=_("One of them is enough. Separate with commas."))
    tags = blocks.CharBlock(required=False, label=_("Tags"), help_text=_("One of them is enough. Separate with commas."))
    channels = blocks.CharBlock(required=False, label=_("Sales channels"), help_text=_("Separate with commas."))
    countries = blocks.CharBlock(
        required=False, label=_("Countries of customers"), help_text=_("Two-letter codes such as: DE, FR. Separate with commas.")
    )
    nature = blocks.ChoiceBlock(
        required=False,
        choices=[("content", _("digital content")), ("service", _("digital services"))],
        label=_("Content or service"),
    )
    price_from_minor = blocks.IntegerBlock(
        required=False,
        min_value=0,
        label=_("Price per unit from"),
        help_text=_("In the smallest unit of the currency: 5000 is 50.00 EUR, or 5,000 JPY."),
    )
    price_to_minor = blocks.IntegerBlock(
        required=False, min_value=0, label=_("Price per unit up to"), help_text=_("In the smallest unit of the currency.")
    )

    class Meta:
        label = _("What it is about")
        help_text = _("Leave everything empty for a clause about everything you sell.")
        icon = "crosshairs"
        collapsed = True
        label_format = "{product_types} {skus} {categories} {tags} {channels} {countries}"

    @staticmethod
    def selector(value: Mapping[str, Any]) -> Selector:
        """Return what the editor selected."""
        return Selector(
            **{name: words(value.get(name)) for name in ("product_types", "skus", "categories", "tags", "channels")},
            countries=frozenset(country.upper() for country in words(value.get("countries"))),
            nature=value.get("nature") or "",
            price_from_minor=value.get("price_from_minor"),
            price_to_minor=value.get("price_to_minor"),
        )


def fact_choices() -> list[tuple[str, str]]:
    """Return the registered facts to choose from, those of plug-ins too."""
    return [(name, _t(fact.label_id)) for name, fact in registered_facts().items()]


class FactRuleBlock(blocks.StructBlock):
    """One more fact that must be so for the clause to apply."""

    fact = blocks.ChoiceBlock(choices=fact_choices, label=_("Fact"))
    compare = blocks.ChoiceBlock(choices=[("at_most", _("at most")), ("at_least", _("at least"))], default="at_most", label=_("Must be"))
    number = blocks.IntegerBlock(default=0, min_value=0, label=_("Number"), help_text=_("For facts that are yes or no: 1 is yes, 0 is no."))

    class Meta:
        label = _("Fact")
        icon = "check"
        label_format = "{fact} {compare} {number}"


class FactRulesBlock(blocks.ListBlock):
    """Facts that must be so besides a clause's own conditions."""

    def __init__(self, **options: Any) -> None:
        super().__init__(FactRuleBlock(), **{"default": [], **options})

    def value_from_datadict(self, data: Any, files: Any, prefix: str) -> Any:
        """Read the form; a form made before there were facts has none."""
        return self.to_python([]) if self.value_omitted_from_data(data, files, prefix) else super().value_from_datadict(data, files, prefix)

    class Meta:
        label = _("Only if these facts are so")
        help_text = _("Leave empty for no more conditions. While a fact is not known, a person decides.")
        icon = "list-ul"
        collapsed = True


class ClauseBlock(blocks.StructBlock):
    """What every clause has. A kind adds its values as blocks with the names of the clause's own fields.

    Attributes:
        clause_class: built from the block's values by name; its `kind` is the block's type.
    """

    clause_class: ClassVar[type[Clause]]

    title = blocks.CharBlock(required=False, max_length=120, label=_("Title"), help_text=_("Leave empty for a title made from the values."))
    selector = SelectorBlock()
    requires = FactRulesBlock()
    anchor = blocks.CharBlock(
        required=False,
        max_length=80,
        label=_("Anchor"),
        help_text=_("Names the clause in links and decisions. It is made when you save, and stays."),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # shown, so that it can be copied; nobody edits it
        self.child_blocks["anchor"].field.widget.attrs["readonly"] = True

    def clause(self, value: Mapping[str, Any]) -> Clause:
        """Return the clause that the values say.

        Raises:
            TypeError: a value is missing, as in a draft that is not finished.
        """
        given = {name: value.get(name) for name in self.child_blocks if name not in ("selector", "requires", "anchor", "title")}
        missing = [name for name, block in self.child_blocks.items() if name in given and block.required and given[name] in (None, "")]
        if missing:
            raise TypeError(f"{self.clause_class.kind}: {', '.join(missing)} missing")
        return self.clause_class(
            anchor=value.get("anchor") or "",
            title=value.get("title") or "",
            selector=SelectorBlock.selector(value["selector"]),
            requires=tuple(_fact_rule(rule) for rule in value.get("requires") or ()),
            **given,
        )


def _fact_rule(value: Mapping[str, Any]) -> FactRule:
    if not value.get("fact") or value.get("compare") not in ("at_most", "at_least") or value.get("number") is None:
        raise TypeError("a fact that is needed is not complete")
    return FactRule(fact=value["fact"], compare=value["compare"], number=value["number"])


def percent_block(**options: Any) -> blocks.IntegerBlock:
    return blocks.IntegerBlock(min_value=1, max_value=100, default=100, label=_("Percent of the price given back"), **options)


def outcome_block() -> blocks.ChoiceBlock:
    return blocks.ChoiceBlock(
        choices=[("approve", _("pay by itself")), ("review", _("a person looks first"))], default="approve", label=_("When it applies")
    )
