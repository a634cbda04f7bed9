"""The versions of a policy one after another, and what each changed, as the public reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby

from refund_plugin.conf import settings
from refund_plugin.localize import Formatter, formatter_for
from refund_plugin.policies.models import Policy, PolicyVersion
from refund_plugin.policies.queries import Texts, load_version, localized_pair, policy_for_key, texts_by_version, versions_of
from refund_plugin.rules import PolicyDocument
from refund_plugin.rules.difference import Change, difference

VERSIONS_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class ClauseChange:
    """What became of one clause: its title as a heading, and sentences. `anchor` is "" for one that was removed."""

    title: str
    anchor: str
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One version among the others.

    Attributes:
        since, until: days in words; `until` is "" while nothing ends it.
        is_first: no version decided before it, so that nothing changed with it.
        has_begun: False for a version that is published and comes into force later.
        changes: from the version before, as far as customers are concerned.
    """

    number: int
    since: str
    until: str
    is_first: bool
    is_current: bool
    has_begun: bool
    founding_reason: str
    changes: Sequence[ClauseChange]


class History:
    """The versions of one policy that were, are or will be in force, the newest first, for readers of one language.

    What versions say is read for those that are asked about only: there may be many.
    """

    def __init__(self, policy: Policy, *, locale: str, now: datetime) -> None:
        """Read the versions without what they say.

        Args:
            locale: of the prose; sentences made from values are in the active language.
            now: UTC.
        """
        self.locale = locale
        self.now = now
        self.language: Formatter = formatter_for(timezone=policy.store.timezone if policy.store else settings().zone)
        self._all = list(versions_of(policy).defer("document"))
        self.versions = [version for version in self._all if _ever_in_force(version)]
        self.current = next((version for version in self.versions if self._is_in_force(version)), None)
        self._texts: dict[int, Texts] = {}

    @cached_property
    def upcoming(self) -> PolicyVersion | None:
        """The version that is published and comes into force later."""
        return next((version for version in self.versions if version.effective_from > self.now and version.closed_at is None), None)

    def numbered(self, number: int) -> PolicyVersion | None:
        """Return a version by its number, also one that was replaced before its day."""
        return next((version for version in self._all if version.number == number), None)

    def entries(self, versions: Sequence[PolicyVersion]) -> list[HistoryEntry]:
        """Describe several versions; what they and the ones before them say is read at once."""
        self._read([*versions, *(earlier for version in versions if (earlier := self._before(version)))])
        return [self.entry(version) for version in versions]

    def entry(self, version: PolicyVersion) -> HistoryEntry:
        """Describe one version."""
        later = [other for other in self.versions if other.number > version.number]
        ends = [other.effective_from for other in later if other.effective_from >= version.effective_from]
        if version.closed_at is not None:
            ends.append(version.closed_at)
        return HistoryEntry(
            number=version.number,
            since=self.language.date(version.effective_from),
            until=self.language.date(min(ends)) if ends else "",
            is_first=self._before(version) is None,
            is_current=self.current is not None and version.pk == self.current.pk,
            has_begun=version.effective_from <= self.now,
            founding_reason=version.founding_reason,
            changes=self._changes(version),
        )

    def texts(self, version: PolicyVersion) -> Texts:
        """Return a version's prose."""
        self._read([version])
        return self._texts[version.pk]

    def _before(self, version: PolicyVersion) -> PolicyVersion | None:
        return next((other for other in self.versions if other.number < version.number), None)

    def _changes(self, version: PolicyVersion) -> list[ClauseChange]:
        earlier = self._before(version)
        if earlier is None:
            return []
        self._read([earlier, version])
        documents = (load_version(earlier), load_version(version))
        texts = (self._texts[earlier.pk], self._texts[version.pk])
        before, after = localized_pair(*documents, texts)
        return clause_changes(difference(before, after, self.language, currency_of(after) or currency_of(before)))

    def _read(self, versions: Sequence[PolicyVersion]) -> None:
        missing = {version.pk: version for version in versions if version.pk not in self._texts}
        if not missing:
            return
        texts = texts_by_version(missing.values(), self.locale)
        documents = dict(PolicyVersion.objects.filter(pk__in=missing).values_list("pk", "document"))
        for pk, version in missing.items():
            version.document = documents[pk]
            self._texts[pk] = texts.get(pk, {})

    def _is_in_force(self, version: PolicyVersion) -> bool:
        return version.effective_from <= self.now and (version.closed_at is None or version.closed_at > self.now)


def read_history(*, key: str, locale: str, now: datetime) -> History | None:
    """Return the history of a page's policy; None when nothing was ever published."""
    policy = policy_for_key(key)
    return History(policy, locale=locale, now=now) if policy else None


def clause_changes(changes: Sequence[Change]) -> list[ClauseChange]:
    """Put what customers are told under the clauses it is about, in the order of the clauses."""
    public = [change for change in changes if change.public]
    # a clause that changed and moved is told of once
    firsts: dict[tuple[str, str], int] = {}
    for change in public:
        firsts.setdefault((change.anchor, change.title), len(firsts))
    public.sort(key=lambda change: firsts[change.anchor, change.title])
    removed = {(change.anchor, change.title) for change in public if change.kind == "removed"}
    return [
        ClauseChange(title=title, anchor="" if (anchor, title) in removed else anchor, sentences=[change.text for change in found])
        for (anchor, title), found in groupby(public, key=lambda change: (change.anchor, change.title))
    ]


def currency_of(document: PolicyDocument) -> str:
    """Return the currency of the prices that clauses name; "" where the policy speaks of none or of several."""
    return next(iter(document.auto_approve_limit)) if len(document.auto_approve_limit) == 1 else ""


def _ever_in_force(version: PolicyVersion) -> bool:
    """Tell whether a version ever decided purchases, or will."""
    return version.closed_at is None or version.closed_at > version.effective_from
