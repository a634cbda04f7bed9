"""The GraphQL documents of the top-level `graphql/` folder, from the installed package or from the source tree.

In a wheel the folder is the package `refund_plugin.graphql_documents`; in a source tree that package is an empty
stand-in and the documents lie beside `refund_plugin/`. Names are paths without suffix, such as `storefront/RefundQuote`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

SCHEMA = "schema.graphql"
_SPREAD = re.compile(r"\.\.\.\s*(?!on\b)([A-Za-z_]\w*)")
_FRAGMENT = re.compile(r"^fragment\s+(\w+)\s+on\s.*?^\}\n?", re.MULTILINE | re.DOTALL)


def source_folder() -> Path:
    """Return the `graphql/` folder of a source tree; it does not exist in an installed package."""
    return Path(__file__).resolve().parents[1] / "graphql"


def folder() -> Traversable:
    """Return the folder that holds the documents.

    Raises:
        FileNotFoundError: neither an installed package nor a source tree holds them; the package is broken.
    """
    installed = files("refund_plugin.graphql_documents")
    for place in (installed, source_folder()):
        if place.joinpath(SCHEMA).is_file():
            return place
    raise FileNotFoundError(f"{SCHEMA} is in neither {installed} nor {source_folder()}: reinstall wagtail-refund-plugin")


@lru_cache(maxsize=128)
def document(name: str) -> str:
    """Return the text of one document.

    Raises:
        FileNotFoundError: there is no such document.
    """
    place = folder()
    for part in f"{name}.graphql".split("/"):
        place = place / part  # one by one: in a wheel the folder is a namespace package, whose joinpath takes a single name
    return place.read_text(encoding="utf-8")


@lru_cache(maxsize=64)
def operation(name: str) -> str:
    """Return an operation with the fragments it needs, which lie in `fragments.graphql` of the same folder.

    Only those: a server refuses fragments that are not used.
    """
    text = document(name)
    known = {match[1]: match[0] for match in _FRAGMENT.finditer(document(f"{name.rpartition('/')[0]}/fragments"))}
    needed: dict[str, str] = {}
    waiting = _SPREAD.findall(text)
    while waiting:
        fragment = waiting.pop()
        if fragment in known and fragment not in needed:
            needed[fragment] = known[fragment]
            waiting += _SPREAD.findall(known[fragment])
    return "\n".join([text, *(needed[key] for key in sorted(needed))])


def operation_names(section: str) -> list[str]:
    """Return the names of all operations of a section such as `storefront`, sorted."""
    found = (entry.name.removesuffix(".graphql") for entry in folder().joinpath(section).iterdir() if entry.name.endswith(".graphql"))
    return sorted(f"{section}/{name}" for name in found if name != "fragments")
