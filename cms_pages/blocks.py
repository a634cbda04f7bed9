"""The blocks an editor writes a policy with: one kind of block per kind of clause.

A plug-in with a clause kind of its own derives from `ClauseBlock` and calls `register_clause_block` in `ready()`. A block
whose kind is not installed is kept as it is (`KeptBlock`): its purchases go to a person.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _t
from django.utils.translation import gettext_lazy as _
from wagtail import blocks
from wagtail.blocks.stream_block import StreamValue
from wagtail.blocks.struct_block import BlockGroup

from cms_pages.clause_parts import ClauseBlock, outcome_block, percent_block
from refund_plugin.errors import InvalidInput
from refund_plugin.money import EXPONENTS, Money
from refund_plugin.rules import (
    Clause,
    Defective,
    DuplicatePurchase,
    Goodwill,
    MoneyBack,
    NonRefundable,
    ProRated,
    StatutoryWithdrawal,
    UnusedOnly,
)

KEPT = "kept"


class MoneyBackBlock(ClauseBlock):
    """Money back within a window, whatever was done with the product."""

    clause_class = MoneyBack

    window_days = blocks.IntegerBlock(default=30, label=_("Days after buying"))
    percent = percent_block()
    outcome = outcome_block()

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
    percent = percent_block()
    outcome = outcome_block()

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
    fee_minor = blocks.IntegerBlock(
        required=False,
        min_value=0,
        label=_("Amount kept as a fee"),
        help_text=_("In the smallest unit of the currency: 500 is 5.00 EUR. Taken once from a line."),
    )
    minimum_minor = blocks.IntegerBlock(
        required=False,
        min_value=0,
        label=_("Least amount paid out"),
        help_text=_("In the smallest unit of the currency; less is not paid."),
    )
    currency = blocks.ChoiceBlock(
        required=False,
        choices=[(code, code) for code in sorted(EXPONENTS)],
        label=_("Currency of these amounts"),
        help_text=_("Purchases in another currency go to a person."),
    )
    percent = percent_block()
    outcome = outcome_block()

    def clause(self, value: Mapping[str, Any]) -> Clause:
        """Return the clause; an amount that is left empty is none."""
        amounts = {name: value.get(name) or 0 for name in ("fee_minor", "minimum_minor")}
        return super().clause({**value, **amounts, "currency": value.get("currency") or ""})

    class Meta:
        label = _("Pro-rated")
        icon = "calendar"
        form_layout = BlockGroup(
            children=["title", "by", "window_days", "fee_percent", "selector"],
            settings=["requires", "percent", "fee_minor", "minimum_minor", "currency", "outcome", "anchor"],
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


class DuplicatePurchaseBlock(ClauseBlock):
    """Money back for what was bought twice."""

    clause_class = DuplicatePurchase

    within_days = blocks.IntegerBlock(
        default=30, label=_("Days between the purchases, at most"), help_text=_("The newer one is given back. 0 is the same day.")
    )
    window_days = blocks.IntegerBlock(default=30, label=_("Days after buying"), help_text=_("To ask, after the second purchase."))
    percent = percent_block()
    outcome = outcome_block()

    class Meta:
        label = _("Bought twice")
        icon = "copy"
        form_layout = BlockGroup(
            children=["title", "within_days", "window_days", "selector"], settings=["requires", "percent", "outcome", "anchor"]
        )


class DefectiveBlock(ClauseBlock):
    """What does not work or is not as described."""

    clause_class = Defective

    window_days = blocks.IntegerBlock(
        default=730, label=_("Days after buying"), help_text=_("In the EU, consumers can claim a fault for two years at least.")
    )
    evidence = blocks.TextBlock(
        required=False,
        rows=2,
        label=_("What customers should send"),
        help_text=_("Such as: a picture of the error, and the device you use. A person looks at it; nothing is paid by itself."),
    )

    def clause(self, value: Mapping[str, Any]) -> Clause:
        """Return the clause; to ask for no evidence is allowed."""
        return super().clause({**value, "evidence": value.get("evidence") or ""})

    class Meta:
        label = _("Does not work")
        icon = "warning"
        form_layout = BlockGroup(children=["title", "window_days", "evidence", "selector"], settings=["requires", "anchor"])


class GoodwillBlock(ClauseBlock):
    """Up to a part of the price, if a person decides so."""

    clause_class = Goodwill

    window_days = blocks.IntegerBlock(required=False, label=_("Days after buying"), help_text=_("Leave empty to allow it without an end."))
    percent = blocks.IntegerBlock(
        min_value=1,
        max_value=100,
        default=100,
        label=_("Percent of the price, at most"),
        help_text=_("What no clause above approves goes to a person, who may give up to this. Put it last."),
    )

    class Meta:
        label = _("Goodwill")
        icon = "pick"
        form_layout = BlockGroup(children=["title", "window_days", "percent", "selector"], settings=["requires", "anchor"])


class StatutoryWithdrawalBlock(ClauseBlock):
    """A consumer's right to change their mind."""

    clause_class = StatutoryWithdrawal

    window_days = blocks.IntegerBlock(
        default=14,
        label=_("Days after buying"),
        help_text=_("The day of purchase does not count. Choose the countries it is for below; the EU gives 14 days."),
    )

    class Meta:
        label = _("Right to withdraw by law")
        icon = "key"
        form_layout = BlockGroup(children=["title", "window_days", "selector"], settings=["requires", "anchor"])


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


for _block_class in (
    MoneyBackBlock,
    UnusedOnlyBlock,
    ProRatedBlock,
    NonRefundableBlock,
    DuplicatePurchaseBlock,
    DefectiveBlock,
    GoodwillBlock,
    StatutoryWithdrawalBlock,
):
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
