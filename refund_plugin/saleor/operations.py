"""The documents of `graphql/saleor/`, as they are to be sent to a Saleor of a certain version.

A document is named as its file. What versions differ in is kept in fragments: `fragments.graphql` is valid from the oldest version
on, and a fragment of the same name in `fragments.3_22.graphql` takes its place from 3.22 on. A document that an older Saleor does
not understand at all says so in its first line: `# Since Saleor 3.22`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from django.utils.translation import gettext as _
from gql import gql
from graphql import DocumentNode, FragmentDefinitionNode, FragmentSpreadNode, Node, OperationDefinitionNode, OperationType, Visitor, visit

from refund_plugin import documents
from refund_plugin.saleor.errors import SaleorVersionUnsupported
from refund_plugin.saleor.versions import NEWEST, OLDEST, Version

SECTION = "saleor"
_SINCE = re.compile(r"^# Since Saleor (\d+)\.(\d+)$", re.MULTILINE)
_FRAGMENTS = re.compile(r"^fragments(?:\.(\d+)_(\d+))?$")


@dataclass(frozen=True, slots=True)
class Operation:
    """A document ready to send.

    Attributes:
        is_mutation: whether it changes something, so that it is never sent a second time by itself.
    """

    name: str
    document: DocumentNode
    is_mutation: bool


def names() -> list[str]:
    """Return the names of all operations, sorted."""
    return sorted(name for name in _files() if not _FRAGMENTS.match(name))


@lru_cache(maxsize=64)
def since(name: str) -> Version:
    """Return the oldest version of Saleor that understands an operation."""
    found = _SINCE.search(documents.document(f"{SECTION}/{name}"))
    return Version(int(found[1]), int(found[2])) if found else OLDEST


@lru_cache(maxsize=64)
def is_same_everywhere(name: str) -> bool:
    """Return whether an operation is sent to every version alike, so that it needs no knowledge of the version."""
    return since(name) == OLDEST and not (_needed(name, OLDEST) & _that_differ())


@lru_cache(maxsize=256)
def operation(name: str, version: Version) -> Operation:
    """Return an operation with the fragments it needs.

    Raises:
        SaleorVersionUnsupported: `version` is too old for it.
        FileNotFoundError: there is no such document.
    """
    if version < since(name):
        told = _("This needs Saleor %(since)s or newer, and this one is %(found)s.") % {"since": since(name), "found": version}
        raise SaleorVersionUnsupported(name, told)
    main = gql(documents.document(f"{SECTION}/{name}")).document
    known = _fragments(min(version, NEWEST))
    nodes = (*main.definitions, *(known[fragment] for fragment in sorted(_needed(name, version))))
    (asked,) = (node for node in main.definitions if isinstance(node, OperationDefinitionNode))
    return Operation(name, DocumentNode(definitions=nodes), asked.operation is OperationType.MUTATION)


class _Spreads(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_rest: object) -> None:
        self.names.add(node.name.value)


def _spreads(node: Node) -> set[str]:
    visitor = _Spreads()
    visit(node, visitor)
    return visitor.names


@lru_cache(maxsize=256)
def _needed(name: str, version: Version) -> frozenset[str]:
    known = _fragments(version)
    needed: set[str] = set()
    waiting = _spreads(gql(documents.document(f"{SECTION}/{name}")).document)
    while waiting:
        fragment = waiting.pop()
        needed.add(fragment)
        waiting |= _spreads(known[fragment]) - needed
    return frozenset(needed)


@lru_cache(maxsize=16)
def _fragments(version: Version) -> dict[str, FragmentDefinitionNode]:
    known: dict[str, FragmentDefinitionNode] = {}
    for since_version, nodes in _fragment_files():
        if since_version <= version:
            known |= {node.name.value: node for node in nodes}
    return known


@lru_cache(maxsize=1)
def _fragment_files() -> list[tuple[Version, list[FragmentDefinitionNode]]]:
    files = []
    for name in _files():
        if found := _FRAGMENTS.match(name):
            version = Version(int(found[1]), int(found[2])) if found[1] else OLDEST
            nodes = gql(documents.document(f"{SECTION}/{name}")).document.definitions
            files.append((version, [node for node in nodes if isinstance(node, FragmentDefinitionNode)]))
    return sorted(files, key=lambda file: file[0])


@lru_cache(maxsize=1)
def _that_differ() -> set[str]:
    return {node.name.value for version, nodes in _fragment_files() if version > OLDEST for node in nodes}


@lru_cache(maxsize=1)
def _files() -> tuple[str, ...]:
    folder = documents.folder().joinpath(SECTION)
    return tuple(entry.name.removesuffix(".graphql") for entry in folder.iterdir() if entry.name.endswith(".graphql"))
