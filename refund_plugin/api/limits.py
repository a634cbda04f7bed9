"""What one query may ask for: tokens, depth, fields and aliases, each counted in linear time; and errors masked.

The size is measured before GraphQL's own rules run: one of them compares every two fields of the same name, so a document
of a thousand fields would keep a processor busy for a minute.

Strawberry's own depth and alias limiters walk a fragment again at every spread, so that a small document of fragments that
spread each other twice keeps them busy for ever. Here every fragment is measured once.

A shop sends the same few documents over and over, so the last ones are remembered as parsed and found valid. Strawberry's
extensions for this hold the memory, but would validate before the size is known, so they are called from here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)
from graphql import FieldNode as Field
from strawberry.extensions import MaskErrors, ParserCache, SchemaExtension, ValidationCache

from refund_plugin.conf import settings
from refund_plugin.errors import RefundPluginError

logger = logging.getLogger(__name__)

MAX_ALIASES = 15
MAX_FIELDS = 300

REMEMBERED = 64
_parse = ParserCache(maxsize=REMEMBERED).cached_parse_document
_validate = ValidationCache(maxsize=REMEMBERED).cached_validate_document


class Size(NamedTuple):
    """How deep a selection goes, and how many fields and aliases it has, with its fragments spread out."""

    depth: int
    fields: int
    aliases: int


def check_size(document: DocumentNode) -> GraphQLError | None:
    """Return why a document is too large; None when it is not. Introspection counts as fields, its depth does not."""
    fragments = {part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)}
    sizes: dict[str, Size] = {}
    max_depth = settings().graphql_max_depth
    for part in document.definitions:
        if isinstance(part, OperationDefinitionNode):
            size = _measure(part.selection_set, fragments, sizes)
            if size.depth > max_depth:
                return GraphQLError(f"The query is nested deeper than {max_depth} levels.", part)
        elif isinstance(part, FragmentDefinitionNode):
            size = _measure_fragment(part.name.value, fragments, sizes)  # the rules read it even when nothing spreads it
        else:
            continue
        if size.aliases > MAX_ALIASES:
            return GraphQLError(f"The query has more than {MAX_ALIASES} aliases.", part)
        if size.fields > MAX_FIELDS:
            return GraphQLError(f"The query asks for more than {MAX_FIELDS} fields.", part)
    return None


def _measure(selection: SelectionSetNode | None, fragments: dict[str, FragmentDefinitionNode], sizes: dict[str, Size]) -> Size:
    depth = fields = aliases = 0
    for node in selection.selections if selection else ():
        if isinstance(node, Field):
            inner = _measure(node.selection_set, fragments, sizes)
            inner_depth = 0 if node.name.value.startswith("__") else inner.depth + 1
            inner = Size(inner_depth, inner.fields + 1, inner.aliases + bool(node.alias))
        elif isinstance(node, InlineFragmentNode):
            inner = _measure(node.selection_set, fragments, sizes)
        elif isinstance(node, FragmentSpreadNode):
            inner = _measure_fragment(node.name.value, fragments, sizes)
        else:
            continue
        depth, fields, aliases = max(depth, inner.depth), fields + inner.fields, aliases + inner.aliases
    return Size(depth, fields, aliases)


def _measure_fragment(name: str, fragments: dict[str, FragmentDefinitionNode], sizes: dict[str, Size]) -> Size:
    if name not in sizes:
        sizes[name] = Size(0, 0, 0)  # a fragment that spreads itself is another rule's to refuse
        if name in fragments:
            sizes[name] = _measure(fragments[name].selection_set, fragments, sizes)
    return sizes[name]


class QueryLimits(SchemaExtension):
    """Applies `graphql_max_tokens`, `graphql_max_depth` and the limits of fields and aliases to every operation."""

    def on_operation(self) -> Iterator[None]:
        """Set the limit of tokens before parsing."""
        self.execution_context.parse_options["max_tokens"] = settings().graphql_max_tokens
        yield

    def on_parse(self) -> Iterator[None]:
        """Parse, unless the text is remembered."""
        context = self.execution_context
        if context.query and context.graphql_document is None:
            with suppress(GraphQLError):  # the schema parses it again, and tells what is wrong with it
                context.graphql_document = _parse(context.query, **context.parse_options)
        yield

    def on_validate(self) -> Iterator[None]:
        """Refuse what is too large, in place of validating it; validate the rest, unless it is remembered as valid."""
        context = self.execution_context
        document = context.graphql_document
        if document and context.pre_execution_errors is None:
            error = check_size(document)
            if error:
                context.pre_execution_errors = [error]  # with a list at hand, even an empty one, the schema does not validate
            elif not _validate(context.schema._schema, document, context.validation_rules):
                context.pre_execution_errors = []
        yield


def is_defect(error: GraphQLError) -> bool:
    """Tell whether an error is nothing that a caller should read: neither ours nor one of the query itself."""
    return error.original_error is not None and not isinstance(error.original_error, (RefundPluginError, GraphQLError))


def extensions() -> list[Callable[[], SchemaExtension]]:
    """Return the extensions of our schema, for a host that mounts `Query` and `Mutation` in its own."""
    return [QueryLimits, lambda: MaskErrors(should_mask_error=is_defect, error_message="Something went wrong. Please try again.")]
