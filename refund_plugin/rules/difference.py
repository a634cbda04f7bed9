"""What changed from one policy to another, in sentences for the people it is about."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from inspect import get_annotations
from typing import Any, Literal

from refund_plugin.money import EXPONENTS, Money
from refund_plugin.rules.clauses import Clause, UnknownClause
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.explanation import describe_clause, describe_selector
from refund_plugin.rules.language import Language, gettext_noop
from refund_plugin.rules.registered import FactRule
from refund_plugin.rules.selectors import Selector

ChangeKind = Literal["added", "removed", "changed", "moved", "limit"]
Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed.

    Attributes:
        anchor, title: of the clause, in the later policy unless it was removed; "" when it is about the whole policy.
        text: one or more sentences.
        public: False for what customers are not told: up to which amount no person looks is an invitation to stay below it.
    """

    kind: ChangeKind
    anchor: str
    title: str
    text: str
    public: bool = True


def difference(before: PolicyDocument, after: PolicyDocument, language: Language, currency: str = "") -> tuple[Change, ...]:
    """Say what changed, clause by clause in the later order, then what was removed, moved, and the limits.

    A clause is the same one when its anchor is. Equal documents have no change, and every value that differs is told.

    Args:
        currency: the store's, to write the prices that selectors name; without it they are only mentioned.
    """
    old, new = _by_key(before), _by_key(after)
    changes: list[Change] = []
    for key, clause in new.items():
        earlier = old.get(key)
        if earlier is None:
            text = language.gettext("New rule: %(summary)s") % {"summary": describe_clause(clause, language, currency).summary}
            changes.append(Change("added", clause.anchor, clause.heading(language), text))
        else:
            for sentence in _changed(earlier, clause, language, currency):
                changes.append(Change("changed", clause.anchor, clause.heading(language), sentence))
    for key, clause in old.items():
        if key not in new:
            text = language.gettext("Rule removed. It said: %(summary)s") % {"summary": describe_clause(clause, language, currency).summary}
            changes.append(Change("removed", clause.anchor, clause.heading(language), text))
    changes += _moves(old, new, language)
    changes += _limits(before.auto_approve_limit, after.auto_approve_limit, language)
    return tuple(changes)


def _by_key(document: PolicyDocument) -> dict[Key, Clause]:
    """Name clauses by anchor; where several have one, the first of them is taken for the first."""
    seen: Counter[str] = Counter()
    found: dict[Key, Clause] = {}
    for clause in document.clauses:
        found[(clause.anchor, seen[clause.anchor])] = clause
        seen[clause.anchor] += 1
    return found


def _changed(before: Clause, after: Clause, language: Language, currency: str) -> Iterator[str]:
    if before == after:
        return
    if type(before) is not type(after):
        yield _rewritten(before, after, language, currency)
        return
    if isinstance(after, UnknownClause):
        yield language.gettext("A person reads this clause, and what it says has changed.")
        return
    for each in fields(after):
        old, new = getattr(before, each.name), getattr(after, each.name)
        if old == new:
            continue
        if each.name == "selector":
            yield from _selected(old, new, language, currency)
        elif each.name == "requires":
            yield from _required(old, new, language)
        elif each.name in _SENTENCES and _is_ours(type(after), each.name):
            if sentence := _SENTENCES[each.name](before, after, language):
                yield sentence
        else:
            yield _other(each.name, before, after, language)


def _is_ours(kind: type[Clause], name: str) -> bool:
    """Tell whether a field means what our kinds mean by it: a plug-in's own field of that name may mean anything."""
    owner = next((each for each in kind.__mro__ if name in get_annotations(each)), kind)
    return owner.__module__.startswith(f"{__package__}.")


def _rewritten(before: Clause, after: Clause, language: Language, currency: str) -> str:
    text = language.gettext("The rule now says: %(after)s Before, it said: %(before)s")
    summaries = {
        "before": describe_clause(before, language, currency).summary,
        "after": describe_clause(after, language, currency).summary,
    }
    return text % summaries


def _other(name: str, before: Clause, after: Clause, language: Language) -> str:
    """Tell of a value that only a plug-in's kind has: in the kind's own words if they differ, else by its name."""
    # one value at a time: the others have sentences of their own
    alone = replace(before, **{name: getattr(after, name)})
    if alone.summary(language) != before.summary(language):
        text = language.gettext("The rule now says: %(after)s Before, it said: %(before)s")
        return text % {"before": before.summary(language), "after": alone.summary(language)}
    text = language.gettext("“%(name)s” went from %(before)s to %(after)s.")
    return text % {"name": name.replace("_", " "), "before": getattr(before, name), "after": getattr(after, name)}


# -- the kinds' own values --------------------------------------------------------------------------------------------


def _window(before: Any, after: Any, language: Language) -> str:
    old, new = before.window_days, after.window_days
    if old is None:
        text = language.ngettext("There is now a window of %(after)d day.", "There is now a window of %(after)d days.", new)
    elif new is None:
        text = language.ngettext(
            "The window of %(before)d day has no end any more.", "The window of %(before)d days has no end any more.", old
        )
    else:
        text = language.ngettext(
            "The window went from %(before)d to %(after)d day.", "The window went from %(before)d to %(after)d days.", new
        )
    return text % {"before": old, "after": new}


def _within(before: Any, after: Any, language: Language) -> str:
    text = language.ngettext(
        "The time between the two purchases went from %(before)d to %(after)d day.",
        "The time between the two purchases went from %(before)d to %(after)d days.",
        after.within_days,
    )
    return text % {"before": before.within_days, "after": after.within_days}


def _number(name: str, message_id: str, *, percent: bool = False) -> Callable[[Any, Any, Language], str]:
    def tell(before: Any, after: Any, language: Language) -> str:
        values = [getattr(clause, name) for clause in (before, after)]
        old, new = (language.percent(value) if percent else str(value) for value in values)
        return language.gettext(message_id) % {"before": old, "after": new}

    return tell


def _outcome(before: Any, after: Any, language: Language) -> str:
    if after.outcome == "review":
        return language.gettext("A person now looks at every request first.")
    return language.gettext("A request is now answered without a person looking at it first.")


_COUNTED_BY = {
    "day": gettext_noop("by the day"),
    "second": gettext_noop("by the second"),
    "unit": gettext_noop("by the unit"),
    "month": gettext_noop("by the month"),
    "best": gettext_noop("by the day or by the unit, whichever is more"),
}


def _counted(before: Any, after: Any, language: Language) -> str:
    text = language.gettext("What is left is now counted %(after)s; before, %(before)s.")
    return text % {"before": language.gettext(_COUNTED_BY[before.by]), "after": language.gettext(_COUNTED_BY[after.by])}


def _amount(
    name: str, added: str, removed: str, changed: str, *, write: Callable[[Any, int, Language], str]
) -> Callable[[Any, Any, Language], str]:
    def tell(before: Any, after: Any, language: Language) -> str:
        old, new = getattr(before, name), getattr(after, name)
        message_id = added if not old else removed if not new else changed
        return language.gettext(message_id) % {"before": write(before, old, language), "after": write(after, new, language)}

    return tell


def _percent(clause: Any, value: int, language: Language) -> str:
    return language.percent(value)


def _money(clause: Any, minor: int, language: Language) -> str:
    return language.money(Money(minor, clause.currency)) if clause.currency in EXPONENTS else str(minor)


_FEE = (
    gettext_noop("A fee of %(after)s was added."),
    gettext_noop("The fee of %(before)s was removed."),
    gettext_noop("The fee went from %(before)s to %(after)s."),
)


def _currency(before: Any, after: Any, language: Language) -> str:
    old, new = before.currency, after.currency
    if (not old or not new) and (before.fee_minor, before.minimum_minor) != (after.fee_minor, after.minimum_minor):
        return ""  # told with the amount that came or went
    if not old or not new:
        return language.gettext("The currency of its amounts is now %(after)s.") % {"after": new or language.gettext("open")}
    return language.gettext("The currency of its amounts went from %(before)s to %(after)s.") % {"before": old, "after": new}


def _title(before: Clause, after: Clause, language: Language) -> str:
    # as the later clause would be called without a title of its own, so that a new number is not told twice
    old, new = before.title or after.default_title(language), after.heading(language)
    if old == new:
        return language.gettext("The title is now “%(after)s”.") % {"after": new}
    return language.gettext("The title went from “%(before)s” to “%(after)s”.") % {"before": old, "after": new}


def _words(name: str, added: str, removed: str, changed: str) -> Callable[[Any, Any, Language], str]:
    def tell(before: Any, after: Any, language: Language) -> str:
        old, new = getattr(before, name).strip(), getattr(after, name).strip()
        if old == new:
            return language.gettext("Only the spacing of its words has changed.")
        message_id = added if not old else removed if not new else changed
        return language.gettext(message_id) % {"before": old, "after": new}

    return tell


_SENTENCES: dict[str, Callable[[Any, Any, Language], str]] = {
    "title": _title,
    "window_days": _window,
    "within_days": _within,
    "percent": _number("percent", gettext_noop("The share of the price you get back went from %(before)s to %(after)s."), percent=True),
    "outcome": _outcome,
    "max_downloads": _number("max_downloads", gettext_noop("The downloads allowed went from %(before)s to %(after)s.")),
    "max_share_viewed_percent": _number(
        "max_share_viewed_percent", gettext_noop("The part you may have viewed went from %(before)s to %(after)s."), percent=True
    ),
    "max_activations": _number("max_activations", gettext_noop("The activations allowed went from %(before)s to %(after)s.")),
    "by": _counted,
    "fee_percent": _amount("fee_percent", *_FEE, write=_percent),
    "fee_minor": _amount("fee_minor", *_FEE, write=_money),
    "minimum_minor": _amount(
        "minimum_minor",
        gettext_noop("Less than %(after)s is no longer paid out."),
        gettext_noop("Amounts below %(before)s are now paid out too."),
        gettext_noop("The least amount that is paid out went from %(before)s to %(after)s."),
        write=_money,
    ),
    "currency": _currency,
    "reason": _words(
        "reason",
        gettext_noop("A reason is now given: %(after)s"),
        gettext_noop("The reason is no longer given. It was: %(before)s"),
        gettext_noop("The reason now reads: %(after)s Before: %(before)s"),
    ),
    "evidence": _words(
        "evidence",
        gettext_noop("We now ask you to send: %(after)s"),
        gettext_noop("We no longer ask you to send: %(before)s"),
        gettext_noop("What we ask you to send is now: %(after)s Before: %(before)s"),
    ),
}


# -- whom it concerns, and what else it needs -------------------------------------------------------------------------


def _selected(before: Selector, after: Selector, language: Language, currency: str) -> Iterator[str]:
    differing = [each.name for each in fields(Selector) if getattr(before, each.name) != getattr(after, each.name)]
    old, new = getattr(before, differing[0]), getattr(after, differing[0])
    if len(differing) == 1 and isinstance(old, frozenset) and old and new:
        # of a long list, only what came and what went
        for text, values in (
            (gettext_noop("It is now also for %(scope)s."), new - old),
            (gettext_noop("It is no longer for %(scope)s."), old - new),
        ):
            if values:
                some = Selector(**{differing[0]: values})
                yield language.gettext(text) % {"scope": describe_selector(some, language, currency)}
        return
    scopes = [describe_selector(selector, language, currency) or language.gettext("everything") for selector in (before, after)]
    if scopes[0] == scopes[1]:
        yield language.gettext("The prices it is for have changed.")
    else:
        yield language.gettext("It is now for %(after)s. Before, it was for %(before)s.") % {"before": scopes[0], "after": scopes[1]}


def _required(before: Sequence[FactRule], after: Sequence[FactRule], language: Language) -> Iterator[str]:
    gone, come = Counter(before) - Counter(after), Counter(after) - Counter(before)
    # the same question with another number is one change, not two
    earlier = list(gone.elements())
    for rule in come.elements():
        old = next((each for each in earlier if (each.fact, each.compare) == (rule.fact, rule.compare)), None)
        if old is None:
            yield language.gettext("It now also needs this: %(rule)s.") % {"rule": rule.allowance(language)}
            continue
        earlier.remove(old)
        rules = {"before": old.allowance(language), "after": rule.allowance(language)}
        yield language.gettext("It now needs this: %(after)s. Before: %(before)s.") % rules
    for rule in earlier:
        yield language.gettext("It no longer needs this: %(rule)s.") % {"rule": rule.allowance(language)}
    if not gone and not come:
        yield language.gettext("What it needs is now asked in another order.")


# -- the whole policy -------------------------------------------------------------------------------------------------


def _moves(old: Mapping[Key, Clause], new: Mapping[Key, Clause], language: Language) -> Iterator[Change]:
    """Tell the fewest moves that make the one order from the other: the first clause that applies decides."""
    places = {key: place for place, key in enumerate(old)}
    kept = [key for key in new if key in old]
    staying = _longest_rising([places[key] for key in kept])
    for index, key in enumerate(kept):
        if index in staying:
            continue
        clause = new[key]
        following = next((new[other] for other in kept[index + 1 :]), None)
        if following is None:
            text = language.gettext("It is now read last.")
        else:
            text = language.gettext("It is now read before “%(title)s”.") % {"title": following.heading(language)}
        yield Change("moved", clause.anchor, clause.heading(language), text)


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Return the indexes of a longest rising run of distinct numbers (patience sorting)."""
    tails: list[int] = []
    indexes: list[int] = []
    previous: list[int] = []
    for index, number in enumerate(numbers):
        place = bisect_left(tails, number)
        previous.append(indexes[place - 1] if place else -1)
        tails[place : place + 1] = [number]
        indexes[place : place + 1] = [index]
    found: set[int] = set()
    index = indexes[-1] if indexes else -1
    while index >= 0:
        found.add(index)
        index = previous[index]
    return found


def _limits(before: Mapping[str, int], after: Mapping[str, int], language: Language) -> Iterator[Change]:
    for code in sorted(before.keys() | after.keys()):
        old, new = before.get(code), after.get(code)
        if old == new:
            continue
        if new is None:
            text = language.gettext("In %(currency)s a person no longer has to confirm large amounts; before, above %(before)s.")
        elif old is None:
            text = language.gettext("A person now confirms amounts above %(after)s.")
        else:
            text = language.gettext("The amount above which a person confirms went from %(before)s to %(after)s.")
        values = {name: "" if minor is None else language.money(Money(minor, code)) for name, minor in (("before", old), ("after", new))}
        yield Change("limit", "", "", text % {"currency": code, **values}, public=False)
