"""What one query may ask for: depth, tokens and aliases, each counted in linear time; and errors masked.

Strawberry's own depth and alias limiters walk a fragment again at every spread, so that a small document of fragments that
spread each other twice keeps them busy for ever. Here every fragment is measured once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

from graphql import FieldNode as Field
from graphql import FragmentDefinitionNode, FragmentSpreadNode, GraphQLError, InlineFragmentNode, OperationDefinitionNode, SelectionSetNode
from graphql.validation import ASTValidationContext, ASTValidationRule
from strawberry.extensions import MaskErrors, SchemaExtension

from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError

logger = logging.getLogger(__name__)

MAX_ALIASES = 15


class Size(NamedTuple):
    """How deep a selection goes and how many aliases it has, with its fragments spread out."""

    depth: int
    aliases: int


class SizeRule(ASTValidationRule):
    """Refuses an operation that is too deep or has too many aliases; introspection does not count."""

    def __init__(self, context: ASTValidationContext) -> None:
        super().__init__(context)
        parts = context.document.definitions
        fragments = {part.name.value: part for part in parts if isinstance(part, FragmentDefinitionNode)}
        sizes: dict[str, Size] = {}
        max_depth = settings().graphql_max_depth
        for part in parts:
            if not isinstance(part, OperationDefinitionNode):
                continue
            size = _measure(part.selection_set, fragments, sizes)
            if size.depth > max_depth:
                self.report_error(GraphQLError(f"The query is nested deeper than {max_depth} levels.", part))
            if size.aliases > MAX_ALIASES:
                self.report_error(GraphQLError(f"The query has more than {MAX_ALIASES} aliases.", part))


def _measure(selection: SelectionSetNode | None, fragments: dict[str, FragmentDefinitionNode], sizes: dict[str, Size]) -> Size:
    depth = aliases = 0
    for node in selection.selections if selection else ():
        if isinstance(node, Field):
            if node.name.value.startswith("__"):
                continue
            inner = _measure(node.selection_set, fragments, sizes)
            inner = Size(inner.depth + 1, inner.aliases + bool(node.alias))
        elif isinstance(node, InlineFragmentNode):
            inner = _measure(node.selection_set, fragments, sizes)
        elif isinstance(node, FragmentSpreadNode):
            inner = _measure_fragment(node.name.value, fragments, sizes)
        else:
            continue
        depth, aliases = max(depth, inner.depth), aliases + inner.aliases
    return Size(depth, aliases)


def _measure_fragment(name: str, fragments: dict[str, FragmentDefinitionNode], sizes: dict[str, Size]) -> Size:
    if name not in sizes:
        sizes[name] = Size(0, 0)  # a fragment that spreads itself is another rule's to refuse
        if name in fragments:
            sizes[name] = _measure(fragments[name].selection_set, fragments, sizes)
    return sizes[name]


class QueryLimits(SchemaExtension):
    """Applies `graphql_max_tokens`, `graphql_max_depth` and the alias limit to every operation."""

    def on_operation(self) -> Iterator[None]:
        """Set the limits before parsing and validation."""
        self.execution_context.parse_options["max_tokens"] = settings().graphql_max_tokens
        self.execution_context.validation_rules = (*self.execution_context.validation_rules, SizeRule)
        yield


def is_defect(error: GraphQLError) -> bool:
    """Tell whether an error is nothing that a caller should read: neither ours nor one of the query itself."""
    return error.original_error is not None and not isinstance(error.original_error, (RefundPluginError, GraphQLError))


def extensions() -> list[Callable[[], SchemaExtension]]:
    """Return the extensions of our schema, for a host that mounts `Query` and `Mutation` in its own."""
    return [QueryLimits, lambda: MaskErrors(should_mask_error=is_defect, error_message="Something went wrong. Please try again.")]
