"""A policy as people read it: every sentence is rendered from the values that decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from cms_pages.history import ClauseChange, History, HistoryEntry, currency_of, read_history
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.queries import Texts, load_version, localized
from refund_plugin.rules import Finding, PolicyDocument, describe_clause


@dataclass(frozen=True, slots=True)
class ClauseView:
    """One clause: `summary` is made from its values, `body` is what the editor added."""

    number: int
    anchor: str
    title: str
    summary: str
    bullet: str
    body: str = ""


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What a page shows.

    Attributes:
        number: of the version; None for a draft.
        since, until: days in words; "" when unknown or open.
        has_begun: False for a version that is published and comes into force later.
        upcoming: the version that will follow this one, if it is published already.
        problems, hints: what the linter says about a draft, as (place, text).
    """

    clauses: Sequence[ClauseView]
    intro: str = ""
    number: int | None = None
    since: str = ""
    until: str = ""
    is_current: bool = False
    has_begun: bool = True
    founding_reason: str = ""
    has_earlier: bool = False
    upcoming: HistoryEntry | None = None
    changes: Sequence[ClauseChange] = ()
    problems: Sequence[tuple[str, str]] = ()
    hints: Sequence[tuple[str, str]] = ()


def clause_views(document: PolicyDocument, language: Formatter, texts: Texts | None = None) -> list[ClauseView]:
    """Render the clauses of a document, with the editor's words beside them."""
    texts = texts or {}
    currency = currency_of(document)
    views = []
    for number, clause in enumerate(localized(document, texts).clauses, 1):
        said = describe_clause(clause, language, currency)
        body = texts.get(clause.anchor, {}).get("body", "")
        views.append(ClauseView(number, clause.anchor, said.title, said.summary, said.bullet, body))
    return views


def draft_view(*, document: PolicyDocument, texts: Texts, timezone: str, findings: Sequence[Finding]) -> PolicyView:
    """Show values that are not frozen yet, and what the linter says about them."""
    views = clause_views(document, formatter_for(timezone=timezone), texts)

    def told(severity: str) -> list[tuple[str, str]]:
        return [
            ("" if finding.index is None else views[finding.index].title, finding.text(_))
            for finding in findings
            if finding.severity == severity
        ]

    return PolicyView(clauses=views, intro=_intro(texts), problems=told("error"), hints=told("warning"))


def current_view(*, key: str, locale: str, now: datetime) -> PolicyView | None:
    """Show the version in force, else the one that will be; None when nothing is published."""
    history = read_history(key=key, locale=locale, now=now)
    shown = history and (history.current or history.upcoming)
    if not history or not shown:
        return None
    return _view(shown, history, upcoming=history.upcoming if history.current else None)


def version_view(*, key: str, number: int, locale: str, now: datetime) -> PolicyView | None:
    """Show one version as it was frozen; None when there is no such version."""
    history = read_history(key=key, locale=locale, now=now)
    version = history.numbered(number) if history else None
    return _view(version, history, upcoming=None) if history and version else None


def _view(version: PolicyVersion, history: History, *, upcoming: PolicyVersion | None) -> PolicyView:
    entry = history.entry(version)
    texts = history.texts(version)
    return PolicyView(
        clauses=clause_views(load_version(version), history.language, texts),
        intro=_intro(texts),
        number=version.number,
        since=entry.since,
        until=entry.until,
        is_current=entry.is_current,
        has_begun=entry.has_begun,
        founding_reason=version.founding_reason,
        has_earlier=not entry.is_first,
        upcoming=history.entry(upcoming) if upcoming else None,
        changes=entry.changes,
    )


def _intro(texts: Mapping[str, Mapping[str, str]]) -> str:
    return texts.get("", {}).get("body", "")
