"""Conditions of clauses: each reads one fact, says how it stands, and can say so in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from refund_plugin.rules.facts import Reading
from refund_plugin.rules.language import Language, gettext_noop
from refund_plugin.rules.verdicts import ConditionResult


class Condition:
    """One thing that must be true for a clause to hold. Subclasses are values (frozen dataclasses).

    Attributes:
        circumstance: it says what kind of case the clause is about ("bought twice"). Nobody misses that narrowly, so a no
            never cites a clause whose circumstance is missed or not known.
    """

    __slots__ = ()
    name: ClassVar[str]
    label_id: ClassVar[str]
    circumstance: ClassVar[bool] = False

    def check(self, reading: Reading) -> ConditionResult:
        """Read the fact and compare it; in integers only."""
        raise NotImplementedError

    def until(self, reading: Reading) -> datetime | None:
        """Return the last second, UTC, in which the condition can be met; None when time does not end it."""
        return None

    def implied_by(self, other: Condition) -> bool:
        """Tell whether this one surely holds where `other` does."""
        return self == other

    def label(self, language: Language) -> str:
        """Name the fact."""
        return language.gettext(self.label_id)

    def value(self, result: ConditionResult, language: Language) -> str:
        """Write the fact with what is allowed: "3 (0 allowed)"."""
        return language.gettext("not known") if result.fact_value is None else self.known_value(result.fact_value, result.needed, language)

    def known_value(self, found: int, needed: int, language: Language) -> str:
        """Write a fact that is known."""
        return language.gettext("%(found)s (%(allowed)s allowed)") % {"found": found, "allowed": needed}

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        """Say what was needed and found, as a sentence with %(clause)s in it."""
        raise NotImplementedError

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        """Say in a few words by how much it was missed: "3 days too late"; "" where that is no number."""
        return ""

    def allowance(self, language: Language) -> str:
        """Say in a few words what is allowed, for the description of the clause."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WithinWindow(Condition):
    """Asked no later than the end of the `days`-th day after the day of purchase, in the customer's time zone.

    Source: Regulation (EEC, Euratom) 1182/71 art. 3: the day of the event does not count, a period ends with its last hour.
    """

    name: ClassVar[str] = "window"
    label_id: ClassVar[str] = gettext_noop("Bought")
    days: int

    def check(self, reading: Reading) -> ConditionResult:
        since = reading.days_since_purchase
        over = since - self.days
        return ConditionResult("window", since, self.days, over <= 0, over if over > 0 else 0, True)

    def until(self, reading: Reading) -> datetime | None:
        return reading.window_end(self.days)

    def implied_by(self, other: Condition) -> bool:
        return isinstance(other, WithinWindow) and other.days <= self.days

    def known_value(self, found: int, needed: int, language: Language) -> str:
        if found <= 0:
            text = language.gettext("today (%(allowed)d days allowed)")
        else:
            text = language.ngettext("%(days)d day ago (%(allowed)d allowed)", "%(days)d days ago (%(allowed)d allowed)", found)
        return text % {"days": found, "allowed": needed}

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        text = language.ngettext(
            "%(clause)s lasts %(days)d day after buying; it ended on %(date)s.",
            "%(clause)s lasts %(days)d days after buying; it ended on %(date)s.",
            result.needed,
        )
        end = reading.local(reading.window_end(result.needed))
        return text.replace("%(days)d", str(result.needed)).replace("%(date)s", language.date(end))

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        days = result.missed_by
        return language.ngettext("%(days)d day too late", "%(days)d days too late", days) % {"days": days}

    def allowance(self, language: Language) -> str:
        return language.ngettext("within %(days)d day of buying", "within %(days)d days of buying", self.days) % {"days": self.days}


@dataclass(frozen=True, slots=True)
class AtMost(Condition):
    """A count in the access ledger that must not exceed `limit`; the attribute of the facts is the condition's name."""

    limit: int = 0

    def check(self, reading: Reading) -> ConditionResult:
        found: int | None = getattr(reading.facts, self.name)
        if found is None:
            return ConditionResult(self.name, None, self.limit, False, 0, False)
        over = found - self.limit
        return ConditionResult(self.name, found, self.limit, over <= 0, over if over > 0 else 0, True)

    def implied_by(self, other: Condition) -> bool:
        return type(other) is type(self) and isinstance(other, AtMost) and other.limit <= self.limit

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        text = self.allowed_text(result.needed, language)
        last = reading.facts.last_access_at
        if last is None:
            found = language.gettext("; we found %(found)s.") % {"found": self.amount(result.fact_value or 0, language)}
        else:
            found = language.gettext("; we found %(found)s, the last access on %(when)s.") % {
                "found": self.amount(result.fact_value or 0, language),
                "when": language.datetime(reading.local(last)),
            }
        return text + found

    def amount(self, value: int, language: Language) -> str:
        """Write a value of the fact."""
        return str(value)

    def allowed_text(self, limit: int, language: Language) -> str:
        """Say what the clause allows, as the beginning of a sentence with %(clause)s in it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DownloadsAtMost(AtMost):
    """Downloaded no more often than allowed."""

    name: ClassVar[str] = "downloads"
    label_id: ClassVar[str] = gettext_noop("Downloads")

    def allowed_text(self, limit: int, language: Language) -> str:
        text = language.ngettext("%(clause)s allows %(limit)d download", "%(clause)s allows %(limit)d downloads", limit)
        return text.replace("%(limit)d", str(limit))

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        over = result.missed_by
        return language.ngettext("%(count)d download too many", "%(count)d downloads too many", over) % {"count": over}

    def allowance(self, language: Language) -> str:
        if not self.limit:
            return language.gettext("no downloads")
        return language.ngettext("at most %(limit)d download", "at most %(limit)d downloads", self.limit) % {"limit": self.limit}


@dataclass(frozen=True, slots=True)
class ShareViewedAtMost(AtMost):
    """No more of the content viewed than allowed, in percent."""

    name: ClassVar[str] = "share_viewed_percent"
    label_id: ClassVar[str] = gettext_noop("Viewed")

    def known_value(self, found: int, needed: int, language: Language) -> str:
        values = {"found": language.percent(found), "allowed": language.percent(needed)}
        return language.gettext("%(found)s (%(allowed)s allowed)") % values

    def amount(self, value: int, language: Language) -> str:
        return language.percent(value)

    def allowed_text(self, limit: int, language: Language) -> str:
        return language.gettext("%(clause)s allows %(share)s to be viewed").replace("%(share)s", language.percent(limit))

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        return language.gettext("%(share)s viewed too much") % {"share": language.percent(result.missed_by)}

    def allowance(self, language: Language) -> str:
        if not self.limit:
            return language.gettext("nothing viewed")
        return language.gettext("at most %(share)s viewed") % {"share": language.percent(self.limit)}


@dataclass(frozen=True, slots=True)
class ActivationsAtMost(AtMost):
    """Licences activated no more often than allowed."""

    name: ClassVar[str] = "activations"
    label_id: ClassVar[str] = gettext_noop("Activations")

    def allowed_text(self, limit: int, language: Language) -> str:
        text = language.ngettext("%(clause)s allows %(limit)d activation", "%(clause)s allows %(limit)d activations", limit)
        return text.replace("%(limit)d", str(limit))

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        over = result.missed_by
        return language.ngettext("%(count)d activation too many", "%(count)d activations too many", over) % {"count": over}

    def allowance(self, language: Language) -> str:
        if not self.limit:
            return language.gettext("no activations")
        return language.ngettext("at most %(limit)d activation", "at most %(limit)d activations", self.limit) % {"limit": self.limit}


@dataclass(frozen=True, slots=True)
class PaidIn(Condition):
    """Paid in the currency of the clause's amounts; in another one nobody knows what they are."""

    name: ClassVar[str] = "currency"
    label_id: ClassVar[str] = gettext_noop("Amounts in the currency of the purchase")
    currency: str

    def check(self, reading: Reading) -> ConditionResult:
        known = reading.facts.currency == self.currency
        return ConditionResult("currency", 1 if known else None, 1, known, 0, known)

    def known_value(self, found: int, needed: int, language: Language) -> str:
        return self.currency

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        return language.gettext("%(clause)s names its amounts in %(currency)s.").replace("%(currency)s", self.currency)

    def allowance(self, language: Language) -> str:
        return language.gettext("paid in %(currency)s") % {"currency": self.currency}


@dataclass(frozen=True, slots=True)
class Understood(Condition):
    """Never known: the condition of a clause whose kind is not installed."""

    name: ClassVar[str] = "understood"
    label_id: ClassVar[str] = gettext_noop("Clause")

    def check(self, reading: Reading) -> ConditionResult:
        return ConditionResult("understood", None, 1, False, 0, False)

    def value(self, result: ConditionResult, language: Language) -> str:
        return language.gettext("needs a person to read it")

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        return language.gettext("%(clause)s needs a person to read it.")

    def allowance(self, language: Language) -> str:
        return language.gettext("a person decides")
