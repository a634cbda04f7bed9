"""The blocks an editor writes a policy with: one kind of block per kind of clause.

A plug-in with a clause kind of its own derives from `ClauseBlock` and calls `register_clause_block` in `ready()`. A block
whose kind is not installed is kept as it is (`KeptBlock`): its purchases go to a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from wagtail import blocks
from wagtail.blocks.stream_block import StreamValue
from wagtail.blocks.struct_block import BlockGroup

from refund_plugin.errors import InvalidInput
from refund_plugin.money import EXPONENTS, Money
from refund_plugin.rules import Clause, FactRule, MoneyBack, NonRefundable, ProRated, Selector, UnusedOnly, registered_facts

KEPT = "kept"


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


def _percent(**options: Any) -> blocks.IntegerBlock:
    return blocks.IntegerBlock(min_value=1, max_value=100, default=100, label=_("Percent of the price given back"), **options)


def _outcome() -> blocks.ChoiceBlock:
    return blocks.ChoiceBlock(
        choices=[("approve", _("pay by itself")), ("review", _("a person looks first"))], default="approve", label=_("When it applies")
    )


class MoneyBackBlock(ClauseBlock):
    """Money back within a window, whatever was done with the product."""

    clause_class = MoneyBack

    window_days = blocks.IntegerBlock(default=30, label=_("Days after buying"))
    percent = _percent()
    outcome = _outcome()

    class Meta:
        label = _("Money-back guarantee")
        icon = "rotate"
        form_layout = BlockGroup(children=["title", "window_days", "selector"], settings=["requires", "percent", "outcome", "anchor"])


class UnusedOnlyBlock(ClauseBlock):
    """Money back within a window while the product is unused."""

    clause_class = UnusedOnly

    window_days = blocks.IntegerBlock(default=14, label=_("Days after buying"))
    max_downloads = blocks.IntegerBlock(default=0, label=_("Downloads allowed"))
    max_share_viewed_percent = blocks.IntegerBlock(default=0, label=_("Percent viewed allowed"))
    max_activations = blocks.IntegerBlock(default=0, label=_("Licence activations allowed"))
    percent = _percent()
    outcome = _outcome()

    class Meta:
        label = _("Unused only")
        icon = "lock-open"
        form_layout = BlockGroup(
            children=["title", "window_days", "max_downloads", "max_share_viewed_percent", "max_activations", "selector"],
            settings=["requires", "percent", "outcome", "anchor"],
        )


class ProRatedBlock(ClauseBlock):
    """The price of what is not used yet."""

    clause_class = ProRated

    by = blocks.ChoiceBlock(
        choices=[
            ("day", _("day left of the term")),
            ("month", _("month of the term that has not begun")),
            ("second", _("second left of the term")),
            ("unit", _("unit not used")),
            ("best", _("day left or unit not used, whichever is more for the customer")),
        ],
        default="day",
        label=_("Count by"),
    )
    window_days = blocks.IntegerBlock(
        required=False, label=_("Days after buying"), help_text=_("Leave empty to allow it as long as something is left.")
    )
    fee_percent = blocks.IntegerBlock(default=0, label=_("Percent kept as a fee"))
    percent = _percent()
    outcome = _outcome()

    class Meta:
        label = _("Pro-rated")
        icon = "calendar"
        form_layout = BlockGroup(
            children=["title", "by", "window_days", "fee_percent", "selector"], settings=["requires", "percent", "outcome", "anchor"]
        )


class NonRefundableBlock(ClauseBlock):
    """Nothing back, with the reason."""

    clause_class = NonRefundable

    reason = blocks.TextBlock(
        label=_("Reason"), rows=2, help_text=_("One or two friendly sentences. Customers read them before they buy and in the answer.")
    )

    class Meta:
        label = _("Not refundable")
        icon = "cross"
        form_layout = BlockGroup(children=["title", "reason", "selector"], settings=["requires", "anchor"])


class KeptBlock(blocks.StructBlock):
    """A block whose kind is not installed here, exactly as it was stored. Its lines go to a person."""

    raw = blocks.TextBlock(label=_("Stored as"), rows=3, help_text=_("Install the plug-in again to edit it. It is kept as it is."))

    class Meta:
        label = _("Clause of a plug-in that is not installed")
        icon = "warning"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.child_blocks["raw"].field.widget.attrs["readonly"] = True

    def clean(self, value: Any) -> Any:
        """Accept only what was stored before."""
        cleaned = super().clean(value)
        try:
            stored = json.loads(cleaned["raw"])
        except ValueError:
            stored = None
        if not isinstance(stored, dict) or not isinstance(stored.get("type"), str):
            raise ValidationError(_t("This is not a stored clause. Remove it and add one of the other kinds."))
        return cleaned


_clause_blocks: dict[str, type[ClauseBlock]] = {}


def register_clause_block(block_class: type[ClauseBlock]) -> type[ClauseBlock]:
    """Let editors write clauses of this block's kind; usable as a decorator. A kind registered again is replaced."""
    _clause_blocks[block_class.clause_class.kind] = block_class
    return block_class


for _block_class in (MoneyBackBlock, UnusedOnlyBlock, ProRatedBlock, NonRefundableBlock):
    register_clause_block(_block_class)


class ClausesBlock(blocks.StreamBlock):
    """The ordered clauses of a policy; the first that applies decides. Kinds that are not installed are kept byte for byte."""

    def __init__(self, local_blocks: Iterable[tuple[str, blocks.Block]] = (), *, with_kept: bool = True, **options: Any) -> None:
        """Make the block.

        Args:
            with_kept: False for an editor's form of a page without such clauses, which else would offer to add one.
        """
        kinds = [(kind, block_class()) for kind, block_class in _clause_blocks.items()]
        kept = [(KEPT, KeptBlock())] if with_kept else []
        super().__init__([*kinds, *local_blocks, *kept], **options)

    def to_python(self, value: Any) -> StreamValue:
        """Read stored data, wrapping blocks of kinds that are not installed."""
        if isinstance(value, str) and value:
            try:
                value = json.loads(value)
            except ValueError:
                return super().to_python(value)
        if isinstance(value, list):
            value = [
                self._keep(child) if isinstance(child, dict) and child.get("type") not in self.child_blocks else child for child in value
            ]
        return super().to_python(value)

    def _is_foreign(self, child: Any) -> bool:
        return isinstance(child, dict) and child.get("type") not in self.child_blocks

    @staticmethod
    def _keep(child: dict[str, Any]) -> dict[str, Any]:
        return {"type": KEPT, "value": {"raw": json.dumps(child, ensure_ascii=False)}, "id": child.get("id")}

    def get_prep_value(self, value: Any) -> list[dict[str, Any]]:
        """Write stored data; what was wrapped is written as it was read."""
        stored = super().get_prep_value(value)
        return [json.loads(child["value"]["raw"]) if child["type"] == KEPT else child for child in stored]

    def clean(self, value: StreamValue) -> StreamValue:
        """Validate the blocks, and name those that have no anchor yet."""
        cleaned = super().clean(value)
        fill_anchors(cleaned)
        return cleaned

    class Meta:
        required = False


def fill_anchors(clauses: StreamValue) -> None:
    """Give every clause an anchor of its own; the first to hold one keeps it, and no existing one changes."""
    children = [child for child in clauses if child.block_type != KEPT]
    taken = {str(_kept_value(child).get("anchor")) for child in clauses if child.block_type == KEPT}
    nameless = []
    for child in children:
        anchor = slugify(child.value.get("anchor") or "")
        if anchor and anchor not in taken:
            child.value["anchor"] = anchor
            taken.add(anchor)
        else:
            nameless.append(child)
    for child in nameless:
        wanted = slugify(child.value.get("title") or "")[:70] or child.block_type.replace("_", "-")
        anchor, number = wanted, 2
        while anchor in taken:
            anchor, number = f"{wanted}-{number}", number + 1
        child.value["anchor"] = anchor
        taken.add(anchor)


def _kept_value(child: StreamValue.StreamChild) -> Mapping[str, Any]:
    stored = json.loads(child.value["raw"]).get("value")
    return stored if isinstance(stored, dict) else {}


class LimitBlock(blocks.StructBlock):
    """Up to which amount a line is paid without a person, in one currency."""

    currency = blocks.ChoiceBlock(choices=[(code, code) for code in sorted(EXPONENTS)], default="EUR", label=_("Currency"))
    amount = blocks.DecimalBlock(min_value=0, label=_("Up to"), help_text=_("What is above goes to a person first."))

    class Meta:
        label = _("Limit")
        icon = "key"

    def clean(self, value: Any) -> Any:
        """Accept amounts that exist in the currency."""
        cleaned = super().clean(value)
        if cleaned.get("amount") is not None and cleaned.get("currency"):
            try:
                Money.from_decimal(cleaned["amount"], cleaned["currency"])
            except InvalidInput as error:
                raise blocks.StructBlockValidationError(block_errors={"amount": ValidationError(str(error))}) from error
        return cleaned


class LimitsBlock(blocks.StreamBlock):
    """Limits, one per currency; a currency without one has no limit."""

    limit = LimitBlock()

    class Meta:
        required = False
