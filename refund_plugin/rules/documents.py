"""A policy as a document: canonical JSON that can be hashed, frozen and read again for good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from refund_plugin.errors import PolicyInvalid
from refund_plugin.money import EXPONENTS
from refund_plugin.rules.clauses import ADDED, Clause, UnknownClause, clause_kinds
from refund_plugin.rules.conditions import Condition
from refund_plugin.rules.registered import FactRule
from refund_plugin.rules.selectors import Selector
from refund_plugin.rules.verdicts import ClauseTrace, Held

FORMAT = 1
ENGINE = 1


@dataclass(frozen=True, slots=True)
class CompiledClause:
    """A clause with all that does not depend on the line worked out once.

    Attributes:
        selector: None means everything.
        conditions: positions in the document's `conditions`.
        circumstances: which of the clause's own conditions are circumstances.
    """

    clause: Clause
    selector: Selector | None
    conditions: tuple[int, ...]
    circumstances: tuple[int, ...]
    not_concerned: ClauseTrace


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """An ordered list of clauses. Treat as a value: it is compiled when made.

    Attributes:
        auto_approve_limit: by currency, the highest amount (minor units) a line is paid without a person; a missing
            currency has no limit.
        conditions, compiled: worked out from the clauses for the evaluation.
    """

    clauses: tuple[Clause, ...] = ()
    auto_approve_limit: Mapping[str, int] = field(default_factory=dict, hash=False)
    conditions: tuple[Condition, ...] = field(init=False, repr=False, compare=False)
    compiled: tuple[CompiledClause, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # clauses share many conditions ("no downloads"): each distinct one is checked once per line
        numbers: dict[Condition, int] = {}
        object.__setattr__(self, "auto_approve_limit", dict(self.auto_approve_limit))
        object.__setattr__(
            self,
            "compiled",
            tuple(
                CompiledClause(
                    clause=clause,
                    selector=None if clause.selector.is_everything else clause.selector,
                    conditions=tuple(numbers.setdefault(condition, len(numbers)) for condition in clause.all_conditions()),
                    circumstances=tuple(number for number, each in enumerate(clause.all_conditions()) if each.circumstance),
                    not_concerned=ClauseTrace(index, clause.anchor, clause.kind, Held.NOT_CONCERNED, ()),
                )
                for index, clause in enumerate(self.clauses)
            ),
        )
        object.__setattr__(self, "conditions", tuple(numbers))

    def clause(self, anchor: str) -> Clause | None:
        """Return the clause with this anchor."""
        return next((clause for clause in self.clauses if clause.anchor == anchor), None)


def canonical_json(data: Any) -> str:
    """Return the one way this package writes JSON that is hashed or compared."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def document_hash(text: str) -> str:
    """Return the SHA-256 of a document's text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def dump_document(document: PolicyDocument) -> str:
    """Write a document as canonical JSON: equal documents are equal texts, and an unknown clause is written as it was read."""
    return canonical_json(
        {
            "format": FORMAT,
            "engine": ENGINE,
            "clauses": [clause_as_json(clause) for clause in document.clauses],
            "auto_approve_limit": dict(document.auto_approve_limit),
        }
    )


def load_document(text: str) -> PolicyDocument:
    """Read a document; unknown kinds become `UnknownClause`. Values are read as they are: judging them is the linter's.

    Raises:
        PolicyInvalid: not JSON, another format, or a value of the wrong type; the message names the place.
    """
    try:
        data = json.loads(text)
        canonical_json(data).encode()
    except (ValueError, RecursionError) as error:
        raise PolicyInvalid(f"The policy is not readable JSON: {error}") from error
    if not isinstance(data, dict):
        raise PolicyInvalid("The policy must be a JSON object.")
    if data.get("format") != FORMAT or data.get("engine") != ENGINE:
        raise PolicyInvalid(
            f"The policy has format {data.get('format')!r} and engine {data.get('engine')!r}; this version reads {FORMAT} and {ENGINE}."
        )
    if strange := sorted(data.keys() - {"format", "engine", "clauses", "auto_approve_limit"}):
        raise PolicyInvalid(f"The policy has fields this version does not know: {', '.join(strange)}.")
    clauses, limits = data.get("clauses"), data.get("auto_approve_limit", {})
    if not isinstance(clauses, list):
        raise PolicyInvalid("“clauses” must be a list.")
    if not isinstance(limits, dict) or not all(type(limit) is int and currency in EXPONENTS for currency, limit in limits.items()):
        raise PolicyInvalid("“auto_approve_limit” must map currencies such as EUR to whole minor units.")
    return PolicyDocument(tuple(clause_from_json(clause, place=f"clause {index}") for index, clause in enumerate(clauses, 1)), limits)


def clause_as_json(clause: Clause) -> dict[str, Any]:
    """Return one clause as plain data.

    Empty selectors are left out, and so are fields that were added later (`added`) at their default; everything else is
    written even at its default.
    """
    if isinstance(clause, UnknownClause):
        raw: dict[str, Any] = json.loads(clause.raw)
        return raw
    data: dict[str, Any] = {"kind": clause.kind}
    for each in fields(clause):
        value = getattr(clause, each.name)
        if each.name == "selector":
            if not clause.selector.is_everything:
                data["selector"] = _selector_as_json(clause.selector)
        elif each.metadata.get(ADDED) and value == each.default:
            continue
        elif each.name == "requires":
            data["requires"] = [{name: getattr(rule, name) for name in _RULE_TYPES} for rule in clause.requires]
        else:
            data[each.name] = value
    return data


def clause_from_json(data: Any, *, place: str = "clause") -> Clause:
    """Read one clause; `place` names it in messages.

    Raises:
        PolicyInvalid: a field is missing, unknown or of the wrong type.
    """
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        raise PolicyInvalid(f"{place}: a clause must be an object with a “kind”.")
    cls = clause_kinds().get(data["kind"])
    if cls is None:
        texts = {name: data[name] if isinstance(data.get(name), str) else "" for name in ("anchor", "title")}
        return UnknownClause(raw=canonical_json(data), anchor=texts["anchor"], title=texts["title"])
    place = f"{place} ({data['kind']})"
    values = {name: value for name, value in data.items() if name != "kind"}
    known = {each.name for each in fields(cls)}
    types = get_type_hints(cls)
    if strange := sorted(values.keys() - known):
        raise PolicyInvalid(f"{place}: unknown fields {', '.join(strange)}.")
    for each in fields(cls):
        if each.name not in values:
            if each.default is MISSING and each.default_factory is MISSING:
                raise PolicyInvalid(f"{place}: “{each.name}” is missing.")
        elif each.name == "selector":
            values["selector"] = _selector_from_json(values["selector"], place)
        elif each.name == "requires":
            values["requires"] = _rules_from_json(values["requires"], place)
        else:
            _check_type(values[each.name], types[each.name], f"{place}: “{each.name}”")
    return cls(**values)


_RULE_TYPES: dict[str, Any] = {"fact": str, "compare": Literal["at_most", "at_least"], "number": int}


def _rules_from_json(data: Any, place: str) -> tuple[FactRule, ...]:
    if not isinstance(data, list) or not all(isinstance(rule, dict) and rule.keys() == _RULE_TYPES.keys() for rule in data):
        raise PolicyInvalid(f"{place}: “requires” must be a list of objects with {', '.join(_RULE_TYPES)}.")
    for rule in data:
        for name, expected in _RULE_TYPES.items():
            _check_type(rule[name], expected, f"{place}: requires “{name}”")
    return tuple(FactRule(**rule) for rule in data)


def _selector_as_json(selector: Selector) -> dict[str, Any]:
    values = {each.name: getattr(selector, each.name) for each in fields(selector)}
    return {
        name: sorted(value) if isinstance(value, frozenset) else value
        for name, value in values.items()
        if value not in (frozenset(), None, "")
    }


def _selector_from_json(data: Any, place: str) -> Selector:
    if not isinstance(data, dict) or (strange := sorted(data.keys() - {each.name for each in fields(Selector)})):
        raise PolicyInvalid(
            f"{place}: the selector must be an object" + (f" without {', '.join(strange)}." if isinstance(data, dict) else ".")
        )
    values: dict[str, Any] = {}
    for name, value in data.items():
        place_of = f"{place}: selector “{name}”"
        if name in ("price_from_minor", "price_to_minor"):
            _check_type(value, int | None, place_of)
            values[name] = value
        elif name == "nature":
            _check_type(value, Literal["", "content", "service"], place_of)
            values[name] = value
        else:
            if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
                raise PolicyInvalid(f"{place_of} must be a list of texts.")
            values[name] = frozenset(value)
    return Selector(**values)


def _check_type(value: Any, expected: Any, place: str) -> None:
    if get_origin(expected) is Literal:
        choices = get_args(expected)
        if value not in choices:
            raise PolicyInvalid(f"{place} must be one of {', '.join(repr(choice) for choice in choices)}, not {value!r}.")
        return
    types = get_args(expected) if get_origin(expected) in (Union, UnionType) else (expected,)
    # by exact type: True is an int to Python, not to an editor
    if type(value) not in types:
        names = " or ".join("nothing" if each is type(None) else each.__name__ for each in types)
        raise PolicyInvalid(f"{place} must be {names}, not {value!r}.")
