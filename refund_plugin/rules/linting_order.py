"""What is wrong between the clauses of a policy: who decides first, who says the same, who can never decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from refund_plugin.rules.clauses import ApprovingClause, Clause, UnknownClause
from refund_plugin.rules.conditions import Condition, WithinWindow
from refund_plugin.rules.findings import Finding, error, warning
from refund_plugin.rules.language import gettext_noop
from refund_plugin.rules.registered import FactRule
from refund_plugin.rules.selectors import Selector


@dataclass(frozen=True, slots=True)
class _Read:
    """A clause with what comparing it to every other would else work out again and again.

    Attributes:
        says: the clause without its name; two that are equal say the same.
        says_in_days: the same without its window; None when it has none.
    """

    clause: Clause
    conditions: tuple[Condition, ...]
    says: Clause
    says_in_days: Clause | None
    is_about_a_case: bool


def about_order(clauses: tuple[Clause, ...]) -> Iterator[Finding]:
    """Tell what is wrong between clauses, each finding at the later of the two. Compares every two: quadratic."""
    read = [_read(clause) for clause in clauses]
    anchors: dict[str, int] = {}
    said: dict[tuple[type[Clause], Clause], int] = {}
    for index, each in enumerate(read):
        anchor = each.clause.anchor
        if anchor and (number := anchors.setdefault(anchor, index + 1)) != index + 1:
            yield replace(_DUPLICATE_ANCHOR, anchor=anchor, index=index, params=(("number", number),))
        if (number := said.setdefault((type(each.clause), each.says), index + 1)) != index + 1:
            yield replace(_DUPLICATE_CLAUSE, anchor=anchor, index=index, params=(("number", number),))
            continue
        for finding in _against_earlier(read[:index], each):
            yield replace(finding, anchor=anchor, index=index)


_DUPLICATE_ANCHOR = error("duplicate_anchor", gettext_noop("Clause %(number)d has the same anchor; each needs its own."))
_DUPLICATE_CLAUSE = warning("duplicate_clause", gettext_noop("This says the same as clause %(number)d."))


def _read(clause: Clause) -> _Read:
    conditions = clause.all_conditions()
    says = replace(clause, anchor="", title="")
    timed = isinstance(clause, ApprovingClause) and isinstance(getattr(clause, "window_days", None), int)
    return _Read(
        clause=clause,
        conditions=conditions,
        says=says,
        says_in_days=replace(says, window_days=0, selector=Selector()) if timed else None,  # type: ignore[call-arg]
        is_about_a_case=any(condition.circumstance for condition in conditions),
    )


def _against_earlier(earlier: list[_Read], later: _Read) -> Iterator[Finding]:
    winners = []
    for number, each in enumerate(earlier, 1):
        if isinstance(each.clause, UnknownClause) or isinstance(later.clause, UnknownClause):
            continue
        covers = each.clause.selector.covers(later.clause.selector)
        if covers and _holds_wherever(each, later):
            text = gettext_noop("This clause can never apply: clause %(number)d always decides first. Move it up or change one of them.")
            yield error("unreachable", text, number=number)
            return
        if later.says_in_days is not None and each.says_in_days == later.says_in_days and _days(each) != _days(later):
            if covers or later.clause.selector.covers(each.clause.selector):
                text = gettext_noop(
                    "Clause %(number)d gives the same within %(days)d days; where both apply, the longer time counts. "
                    "Keep one, or let them give back different parts."
                )
                yield warning("window_contradiction", text, number=number, days=_days(each))
        elif _surprises(each, later):
            winners.append(str(number))
    if winners:
        text = gettext_noop(
            "Some of what this is about also falls under clause %(numbers)s, which decides otherwise. There the earlier clause wins, "
            "as long as its conditions hold. Change the order if you meant it the other way."
        )
        yield warning("overlap", text, numbers=", ".join(winners))


def _holds_wherever(earlier: _Read, later: _Read) -> bool:
    return all(any(condition.implied_by(other) for other in later.conditions) for condition in earlier.conditions)


def _days(read: _Read) -> int:
    return max((condition.days for condition in read.conditions if isinstance(condition, WithinWindow)), default=0)


def _surprises(earlier: _Read, later: _Read) -> bool:
    """Tell whether the order decides what a reader would not expect.

    An exception above its rule is how policies are written, and so is a last clause for all the rest; a clause about a case
    of its own ("bought twice") takes nothing from the others.
    """
    one, other = earlier.clause, later.clause
    if one.decides() == other.decides() or earlier.is_about_a_case or later.is_about_a_case:
        return False
    if other.selector.covers(one.selector) or not one.selector.meets(other.selector):
        return False
    return not _exclude_each_other(earlier.conditions, later.conditions)


def _exclude_each_other(conditions: tuple[Condition, ...], others: tuple[Condition, ...]) -> bool:
    return any(
        isinstance(one, FactRule)
        and isinstance(other, FactRule)
        and one.fact == other.fact
        and one.compare != other.compare
        and (one.number < other.number if one.compare == "at_most" else other.number < one.number)
        for one in conditions
        for other in others
    )
