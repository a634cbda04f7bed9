"""Facts by name: those that every line has and those a host registers, and the condition that any clause can put on one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from refund_plugin.errors import InvalidInput
from refund_plugin.rules.conditions import Condition
from refund_plugin.rules.facts import LineFacts, Reading
from refund_plugin.rules.language import Language, gettext_noop
from refund_plugin.rules.verdicts import ConditionResult

logger = logging.getLogger(__name__)

FactUnit = Literal["count", "percent", "yes_no"]
Compare = Literal["at_most", "at_least"]
FactSource = Callable[[Any], int | None]


@dataclass(frozen=True, slots=True)
class RegisteredFact:
    """A fact that clauses can ask for.

    Attributes:
        label_id: names it for editors and customers, translated where it is shown.
        unit: a count, whole percents, or yes (1) and no (0).
        source: reads it for a line; None for facts that somebody else puts into `LineFacts`.
    """

    name: str
    label_id: str
    unit: FactUnit = "count"
    source: FactSource | None = None


_OWN = {
    fact.name: fact
    for fact in (
        RegisteredFact("downloads", gettext_noop("Downloads")),
        RegisteredFact("share_viewed_percent", gettext_noop("Viewed"), "percent"),
        RegisteredFact("activations", gettext_noop("Activations")),
        RegisteredFact("units_used", gettext_noop("Units used")),
        RegisteredFact("quantity", gettext_noop("Units bought")),
        RegisteredFact("earlier_purchase", gettext_noop("Bought before"), "yes_no"),
        RegisteredFact("fault_reported", gettext_noop("Reported as faulty"), "yes_no"),
        RegisteredFact("consent_proven", gettext_noop("Agreed that it begins at once"), "yes_no"),
    )
}
_registered: dict[str, RegisteredFact] = {}


def register_fact(name: str, label: str, unit: FactUnit = "count", source: FactSource | None = None) -> None:
    """Make a fact of the host's known, so that editors can put conditions on it. A name registered again is replaced.

    Args:
        source: called by `read_sources`; returns None when nobody knows.

    Raises:
        InvalidInput: no identifier, or the name of a fact that every line has.
    """
    if not name.isidentifier() or name in LineFacts.__dataclass_fields__:
        raise InvalidInput(f"{name!r} cannot name a fact of your own: use another identifier.", field="name")
    _registered[name] = RegisteredFact(name, label, unit, source)


def unregister_fact(name: str) -> None:
    """Forget a fact, as if its plug-in were not installed: clauses that ask for it go to a person."""
    _registered.pop(name, None)


def registered_facts() -> dict[str, RegisteredFact]:
    """Return all facts that clauses can ask for, by name."""
    return _OWN | _registered


def _find(name: str) -> RegisteredFact | None:
    return _OWN.get(name) or _registered.get(name)


def read_sources(subject: Any) -> dict[str, int | None]:
    """Ask every source about one line, for `LineFacts.extra`. A source that fails leaves its fact unknown, and is logged.

    Args:
        subject: what sources of this host expect, such as the row of the line.
    """
    found: dict[str, int | None] = {}
    for fact in _registered.values():
        if fact.source is None:
            continue
        try:
            value = fact.source(subject)
            found[fact.name] = None if value is None else _whole(value)
        except Exception:
            # whatever went wrong in the host's code, the customer must not be told that something was used
            logger.exception("the fact %r cannot be read; it counts as unknown", fact.name)
            found[fact.name] = None
    return found


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise InvalidInput(f"A fact is a whole number, yes or no, not {value!r}.")
    return int(value)


@dataclass(frozen=True, slots=True)
class FactRule(Condition):
    """A fact, by name, is at most or at least `number`; yes is 1 and no is 0. A fact that no line has is not known."""

    name: ClassVar[str] = "fact"
    fact: str
    compare: Compare = "at_most"
    number: int = 0

    def check(self, reading: Reading) -> ConditionResult:
        found: int | None = getattr(reading.facts, self.fact) if self.fact in _OWN else reading.facts.extra.get(self.fact)
        if found is None:
            return ConditionResult(self.fact, None, self.number, False, 0, False)
        found = int(found)
        over = found - self.number if self.compare == "at_most" else self.number - found
        return ConditionResult(self.fact, found, self.number, over <= 0, over if over > 0 else 0, True)

    def implied_by(self, other: Condition) -> bool:
        if not isinstance(other, FactRule) or (other.fact, other.compare) != (self.fact, self.compare):
            return False
        return other.number <= self.number if self.compare == "at_most" else other.number >= self.number

    def label(self, language: Language) -> str:
        fact = _find(self.fact)
        return language.gettext(fact.label_id) if fact else self.fact

    def known_value(self, found: int, needed: int, language: Language) -> str:
        if self.unit == "yes_no":
            return self.written(found, language)
        if self.compare == "at_least":
            text = language.gettext("%(found)s (at least %(needed)s needed)")
        else:
            text = language.gettext("%(found)s (%(needed)s allowed)")
        return text % {"found": self.written(found, language), "needed": self.written(needed, language)}

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        found = self.written(result.fact_value or 0, language)
        text = language.gettext("%(clause)s needs this: %(rule)s; we found %(found)s.")
        return text.replace("%(rule)s", self.allowance(language)).replace("%(found)s", found)

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        if self.unit == "yes_no":
            return ""
        text = language.gettext("%(fact)s: %(by)s too few") if self.compare == "at_least" else language.gettext("%(fact)s: %(by)s too many")
        return text % {"fact": self.label(language), "by": self.written(result.missed_by, language)}

    def allowance(self, language: Language) -> str:
        if self.unit == "yes_no":
            text = language.gettext("%(fact)s: %(value)s")
            return text % {"fact": self.label(language), "value": self.written(int(self.compare == "at_least"), language)}
        if self.compare == "at_least":
            text = language.gettext("%(fact)s: at least %(value)s")
        else:
            text = language.gettext("%(fact)s: at most %(value)s")
        return text % {"fact": self.label(language), "value": self.written(self.number, language)}

    @property
    def unit(self) -> FactUnit:
        """How values of the fact are written."""
        fact = _find(self.fact)
        return fact.unit if fact else "count"

    def written(self, value: int, language: Language) -> str:
        """Write a value of the fact."""
        if self.unit == "yes_no":
            return language.gettext("yes") if value else language.gettext("no")
        return language.percent(value) if self.unit == "percent" else str(value)
