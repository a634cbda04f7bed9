"""Fields whose migrations do not list blocks.

Wagtail's `StreamField` writes its blocks into migrations, so that a plug-in's clause kind would make `makemigrations` write
into this package. What is stored does not depend on them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from wagtail.blocks import StreamBlock
from wagtail.fields import StreamField

from cms_pages.blocks import ClausesBlock, LimitsBlock


class FixedStreamField(StreamField):
    """A stream field that knows its blocks by itself."""

    block_class: ClassVar[type[StreamBlock]]

    def __init__(self, block_types: Any = None, **options: Any) -> None:
        super().__init__(block_types or self.block_class, **options)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Leave the blocks out."""
        name, path, _args, options = super().deconstruct()
        options.pop("block_lookup", None)
        return name, path, [], options


class ClausesField(FixedStreamField):
    """The clauses of a policy."""

    block_class = ClausesBlock


class LimitsField(FixedStreamField):
    """Limits by currency up to which a line is paid without a person."""

    block_class = LimitsBlock
