"""A policy as people read it: every sentence is rendered from the values that decide."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from refund_plugin.conf import settings
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.policies.models import Policy, PolicyVersion
from refund_plugin.policies.queries import Texts, in_force, load_version, localized, policy_for_key, texts_of, upcoming_version, versions_of
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
class Change:
    """What became of one clause: pieces of text that were kept (""), deleted ("del") or inserted ("ins")."""

    title: str
    pieces: Sequence[tuple[str, str]]


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
    changes: Sequence[Change] = ()
    problems: Sequence[tuple[str, str]] = ()
    hints: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One version in a list."""

    number: int
    since: str
    until: str
    is_current: bool
    has_begun: bool
    founding_reason: str = ""
    url: str = ""


def clause_views(document: PolicyDocument, language: Formatter, texts: Texts | None = None) -> list[ClauseView]:
    """Render the clauses of a document, with the editor's words beside them."""
    texts = texts or {}
    currency = next(iter(document.auto_approve_limit)) if len(document.auto_approve_limit) == 1 else ""
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
    policy = policy_for_key(key)
    if policy is None:
        return None
    current = versions_of(policy).filter(in_force(now)).first()
    upcoming = upcoming_version(policy=policy, at=now)
    shown = current or upcoming
    if shown is None:
        return None
    return _view(shown, locale=locale, now=now, current=current, upcoming=upcoming if current else None)


def version_view(*, key: str, number: int, locale: str, now: datetime) -> PolicyView | None:
    """Show one version as it was frozen; None when there is no such version."""
    policy = policy_for_key(key)
    version = versions_of(policy).filter(number=number).first() if policy else None
    if policy is None or version is None:
        return None
    current = versions_of(policy).filter(in_force(now)).first()
    return _view(version, locale=locale, now=now, current=current, upcoming=None)


def history(policy: Policy, *, now: datetime, version_url: Callable[[int], str]) -> list[HistoryEntry]:
    """List a policy's versions that were, are or will be in force, the newest first."""
    versions = [version for version in versions_of(policy) if version.closed_at is None or version.closed_at > version.effective_from]
    current = next((version for version in versions if _is_in_force(version, now)), None)
    language = formatter_for(timezone=_timezone(policy))
    return [
        _entry(version, later=versions[:index], language=language, now=now, current=current, url=version_url(version.number))
        for index, version in enumerate(versions)
    ]


def changes_between(before: Sequence[ClauseView], after: Sequence[ClauseView]) -> list[Change]:
    """Say what changed, clause by clause, word by word; a clause is the same one when its anchor is."""
    old = {view.anchor: view for view in before}
    new = {view.anchor: view for view in after}
    changes = []
    for view in after:
        earlier = old.get(view.anchor)
        if earlier is None:
            changes.append(Change(view.title, [("ins", view.summary)]))
        elif earlier.summary != view.summary:
            changes.append(Change(view.title, _pieces(earlier.summary, view.summary)))
    changes += [Change(view.title, [("del", view.summary)]) for view in before if view.anchor not in new]
    kept_before = [view.anchor for view in before if view.anchor in new]
    kept_after = [view.anchor for view in after if view.anchor in old]
    if kept_before != kept_after:
        changes.append(Change(_("Order"), [("", _("The clauses are now read in another order; the first that applies decides."))]))
    return changes


def _pieces(before: str, after: str) -> list[tuple[str, str]]:
    old, new = before.split(), after.split()
    pieces = []
    for tag, old_from, old_to, new_from, new_to in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(("", " ".join(old[old_from:old_to])))
            continue
        if old_to > old_from:
            pieces.append(("del", " ".join(old[old_from:old_to])))
        if new_to > new_from:
            pieces.append(("ins", " ".join(new[new_from:new_to])))
    return pieces


def _view(
    version: PolicyVersion, *, locale: str, now: datetime, current: PolicyVersion | None, upcoming: PolicyVersion | None
) -> PolicyView:
    language = formatter_for(timezone=_timezone(version.policy))
    texts = texts_of(version=version, locale=locale)
    views = clause_views(load_version(version), language, texts)
    versions = list(versions_of(version.policy))
    entry = _entry(
        version, later=[other for other in versions if other.number > version.number], language=language, now=now, current=current
    )
    earlier = next((other for other in versions if other.number < version.number and _was_in_force(other)), None)
    changes: Sequence[Change] = ()
    if earlier is not None:
        before = clause_views(load_version(earlier), language, texts_of(version=earlier, locale=locale))
        changes = changes_between(before, views)
    return PolicyView(
        clauses=views,
        intro=_intro(texts),
        number=version.number,
        since=entry.since,
        until=entry.until,
        is_current=entry.is_current,
        has_begun=entry.has_begun,
        founding_reason=version.founding_reason,
        has_earlier=earlier is not None,
        upcoming=_entry(upcoming, later=[], language=language, now=now, current=current) if upcoming else None,
        changes=changes,
    )


def _entry(
    version: PolicyVersion,
    *,
    later: Sequence[PolicyVersion],
    language: Formatter,
    now: datetime,
    current: PolicyVersion | None,
    url: str = "",
) -> HistoryEntry:
    ends = [other.effective_from for other in later if _was_in_force(other) and other.effective_from >= version.effective_from]
    if version.closed_at is not None:
        ends.append(version.closed_at)
    return HistoryEntry(
        number=version.number,
        since=language.date(version.effective_from),
        until=language.date(min(ends)) if ends else "",
        is_current=current is not None and version.pk == current.pk,
        has_begun=version.effective_from <= now,
        founding_reason=version.founding_reason,
        url=url,
    )


def _was_in_force(version: PolicyVersion) -> bool:
    """Tell whether a version ever decided purchases, or will."""
    return version.closed_at is None or version.closed_at > version.effective_from


def _is_in_force(version: PolicyVersion, now: datetime) -> bool:
    return version.effective_from <= now and (version.closed_at is None or version.closed_at > now)


def _intro(texts: Mapping[str, Mapping[str, str]]) -> str:
    return texts.get("", {}).get("body", "")


def _timezone(policy: Policy) -> str:
    return policy.store.timezone if policy.store else settings().zone
