"""Every clause that was tried for a line, with what each of its conditions found, needed and missed, in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from refund_plugin.rules.conditions import Condition
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.language import Language
from refund_plugin.rules.verdicts import ClauseTrace, ConditionResult, Held, LineVerdict

State = Literal["met", "missed", "unknown"]


class ConditionNote(NamedTuple):
    """One condition: "Downloads", "3 (0 allowed)", by how much it was missed ("3 downloads too many") and what would have met it."""

    label: str
    value: str
    state: State
    missed_by: str
    needed: str


class ClauseNote(NamedTuple):
    """One clause that is about the line, in the order in which the policy asks.

    Attributes:
        text: what became of it, and what would have qualified.
    """

    anchor: str
    title: str
    held: Held
    text: str
    conditions: tuple[ConditionNote, ...]


def note_clauses(verdict: LineVerdict, document: PolicyDocument, language: Language) -> tuple[ClauseNote, ...]:
    """Return the clauses that were tried; those about other purchases are left out."""
    # clauses share many conditions: each is put into words once
    known: dict[int, ConditionNote] = {}
    notes = []
    for trace in verdict.considered:
        if trace.held is Held.NOT_CONCERNED:
            continue
        compiled = document.compiled[trace.position]
        conditions = []
        for number, result in zip(compiled.conditions, trace.conditions, strict=True):
            note = known.get(number)
            if note is None:
                note = known[number] = _note(document.conditions[number], result, language)
            conditions.append(note)
        text = _text(trace, conditions, language)
        notes.append(ClauseNote(trace.anchor, compiled.clause.heading(language), trace.held, text, tuple(conditions)))
    return tuple(notes)


def _note(condition: Condition, result: ConditionResult, language: Language) -> ConditionNote:
    label, value = condition.label(language), condition.value(result, language)
    if result.met:
        return ConditionNote(label, value, "met", "", "")
    needed = condition.allowance(language)
    if not result.known:
        return ConditionNote(label, value, "unknown", "", needed)
    return ConditionNote(label, value, "missed", condition.missed_by(result, language), needed)


def _text(trace: ClauseTrace, notes: Sequence[ConditionNote], language: Language) -> str:
    if trace.held is Held.HELD:
        return language.gettext("Everything it asks for is so: it applies.")
    if trace.held is Held.UNKNOWN:
        unknown = ", ".join(note.label for note in notes if note.state == "unknown")
        return language.gettext("Nobody knows yet: %(facts)s.").replace("%(facts)s", unknown)
    missed = [note for note in notes if note.state == "missed"]
    by = "; ".join(note.missed_by for note in missed if note.missed_by)
    needed = language.gettext("It would apply with: %(needed)s.").replace("%(needed)s", "; ".join(note.needed for note in missed))
    return f"{language.gettext('Missed: %(by)s.').replace('%(by)s', by)} {needed}" if by else needed
