"""The kinds of clauses. A clause is a value: whom it concerns, what must hold, what it gives back, and how it says so.

A new kind is a frozen dataclass derived from `Clause` or `ApprovingClause`, registered with `register_clause`. Its fields
are int, str, bool, None or a Literal of strings, so that documents can be read and written without further code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from refund_plugin.rules.conditions import (
    ActivationsAtMost,
    Condition,
    DownloadsAtMost,
    ShareViewedAtMost,
    Understood,
    WithinWindow,
)
from refund_plugin.rules.facts import Reading
from refund_plugin.rules.language import TITLE_SLOT, Language
from refund_plugin.rules.registered import FactRule
from refund_plugin.rules.selectors import EVERYTHING, Selector
from refund_plugin.rules.verdicts import LineVerdict, Outcome, Reason

ADDED = "added"


class Share(NamedTuple):
    """An exact fraction of what was paid; the denominator is above 0."""

    numerator: int
    denominator: int


def added(default: Any) -> Any:
    """Declare a field that came after documents were frozen: at its default it is not written, so their hashes stay."""
    return field(default=default, metadata={ADDED: True})


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One rule of a policy.

    Attributes:
        anchor: names the clause in links, texts and decisions; unique in its policy, never changed.
        selector: the lines it concerns.
        title: the editor's; "" takes the kind's own (`heading`).
        requires: what registered facts must be besides the kind's own conditions.
    """

    kind: ClassVar[str]
    # the verdict's reasons when all conditions hold, and when nobody knows whether they do
    held_reason: ClassVar[Reason] = Reason.CLAUSE_HOLDS
    unknown_reason: ClassVar[Reason] = Reason.FACT_MISSING

    anchor: str
    selector: Selector = EVERYTHING
    title: str = ""
    requires: tuple[FactRule, ...] = added(())

    def conditions(self) -> tuple[Condition, ...]:
        """Return what must hold by the kind's own values."""
        return ()

    def all_conditions(self) -> tuple[Condition, ...]:
        """Return what must hold, the kind's own conditions first; nothing means that it always does."""
        own = self.conditions()
        return (*own, *self.requires) if self.requires else own

    def decides(self) -> Outcome:
        """Return the outcome when all conditions hold."""
        return Outcome.REVIEW

    def share(self, reading: Reading, *, used_more: int = 0) -> Share:
        """Return the part of the price to give back.

        Args:
            used_more: units or days used in addition, to tell what waiting would cost.
        """
        return Share(0, 1)

    def less(self, due_minor: int) -> int:
        """Return what of the amount due is paid; at most `due_minor`, and never less for more due."""
        return due_minor

    def default_title(self, language: Language) -> str:
        """Return the title of a clause whose editor gave none."""
        return self.kind

    def heading(self, language: Language) -> str:
        """Return the title people read."""
        return self.title or self.default_title(language)

    def mention(self, language: Language) -> str:
        """Return how a sentence speaks of the clause, with TITLE_SLOT where its title goes."""
        return language.gettext("the clause “%(title)s”") % {"title": TITLE_SLOT}

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        """Say why the clause decided, as a sentence with %(clause)s in it; `amount` is the written amount."""
        return language.gettext("%(clause)s decides this.")

    def reviewing(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        """Say why a person decides by this clause, as a sentence with %(clause)s in it; `amount` is what they would confirm."""
        text = language.gettext("%(clause)s asks a person to look at it first; it would give you %(amount)s back.")
        return text.replace("%(amount)s", amount)

    def hint(self, next_amount: str, language: Language) -> str:
        """Say what waiting would cost; "" when nothing."""
        return ""

    def summary(self, language: Language) -> str:
        """Describe the clause in plain sentences."""
        return language.gettext("A person decides.")

    def bullet(self, language: Language) -> str:
        """Describe the clause in one line, as for a footer."""
        return self.summary(language)

    def badge(self, language: Language) -> str:
        """Say in a few words what a product carries by this clause; "" for a clause about rare cases, which sells nothing."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovingClause(Clause):
    """A clause that gives money back.

    Attributes:
        outcome: "approve" pays by itself, "review" proposes the amount to a person.
        percent: of the price, 1 to 100.
    """

    outcome: Literal["approve", "review"] = "approve"
    percent: int = 100

    def decides(self) -> Outcome:
        return Outcome(self.outcome)

    def share(self, reading: Reading, *, used_more: int = 0) -> Share:
        return Share(max(0, min(self.percent, 100)), 100)

    def what_back(self, language: Language) -> str:
        """Say what part comes back, as the end of a sentence."""
        if self.percent == 100:
            return language.gettext("you get everything back")
        return language.gettext("you get %(share)s of the price back") % {"share": language.percent(self.percent)}

    def reviewed(self, language: Language) -> str:
        """Say that a person looks first, if so, as a further sentence."""
        return " " + language.gettext("A person looks at every request first.") if self.outcome == "review" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee(ApprovingClause):
    """What the money-back guarantees share: a window in days after the day of purchase."""

    window_days: int

    def conditions(self) -> tuple[Condition, ...]:
        return (WithinWindow(self.window_days),)

    def default_title(self, language: Language) -> str:
        return language.ngettext("%(days)d-day guarantee", "%(days)d-day guarantee", self.window_days) % {"days": self.window_days}

    def mention(self, language: Language) -> str:
        return Clause.mention(self, language) if self.title else language.gettext("the %(title)s") % {"title": TITLE_SLOT}

    def gives(self, verdict: LineVerdict, language: Language) -> str:
        """Say what the clause gives, to complete a sentence that began with why."""
        if verdict.full:
            return language.gettext("so %(clause)s gives you everything back.")
        return language.gettext("so %(clause)s gives you %(amount)s back.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyBack(Guarantee):
    """Money back within a window, whatever was done with the product."""

    kind: ClassVar[str] = "money_back"

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        days = max(0, verdict.conditions[0].fact_value or 0)
        why = language.ngettext("You bought it %(days)d day ago,", "You bought it %(days)d days ago,", days) if days else ""
        why = why.replace("%(days)d", str(days)) or language.gettext("You bought it today,")
        return f"{why} {self.gives(verdict, language)}".replace("%(amount)s", amount)

    def summary(self, language: Language) -> str:
        text = language.ngettext(
            "Ask within %(days)d day of buying, and %(back)s.", "Ask within %(days)d days of buying, and %(back)s.", self.window_days
        )
        return text % {"days": self.window_days, "back": self.what_back(language)} + self.reviewed(language)

    def bullet(self, language: Language) -> str:
        if self.percent == 100:
            text = language.ngettext("%(days)d day to change your mind.", "%(days)d days to change your mind.", self.window_days)
        else:
            text = language.ngettext(
                "%(days)d day to change your mind, for %(share)s of the price back.",
                "%(days)d days to change your mind, for %(share)s of the price back.",
                self.window_days,
            )
        return text % {"days": self.window_days, "share": language.percent(self.percent)}

    def badge(self, language: Language) -> str:
        if self.percent == 100:
            return self.default_title(language)
        text = language.ngettext("%(share)s back for %(days)d day", "%(share)s back for %(days)d days", self.window_days)
        return text % {"share": language.percent(self.percent), "days": self.window_days}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedOnly(Guarantee):
    """Money back within a window while the product is unused.

    Source: Directive 2011/83/EU art. 16(m) for why use may end a right to withdraw.
    """

    kind: ClassVar[str] = "unused_only"
    max_downloads: int = 0
    max_share_viewed_percent: int = 0
    max_activations: int = 0

    def conditions(self) -> tuple[Condition, ...]:
        return (WithinWindow(self.window_days), *self.usage())

    def usage(self) -> tuple[Condition, ...]:
        """Return the conditions that say what counts as unused."""
        return (
            DownloadsAtMost(self.max_downloads),
            ShareViewedAtMost(self.max_share_viewed_percent),
            ActivationsAtMost(self.max_activations),
        )

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        if any(result.fact_value for result in verdict.conditions[1 : 1 + len(self.usage())]):
            why = language.gettext("You have used it no more than allowed,")
        else:
            why = language.gettext("You have not opened it,")
        return f"{why} {self.gives(verdict, language)}".replace("%(amount)s", amount)

    def summary(self, language: Language) -> str:
        text = language.ngettext(
            "Ask within %(days)d day of buying while it is unused, and %(back)s. Unused means: %(usage)s.",
            "Ask within %(days)d days of buying while it is unused, and %(back)s. Unused means: %(usage)s.",
            self.window_days,
        )
        usage = ", ".join(condition.allowance(language) for condition in self.usage())
        return text % {"days": self.window_days, "back": self.what_back(language), "usage": usage} + self.reviewed(language)

    def bullet(self, language: Language) -> str:
        if self.percent == 100:
            text = language.ngettext(
                "%(days)d day to change your mind about what you have not opened.",
                "%(days)d days to change your mind about what you have not opened.",
                self.window_days,
            )
        else:
            text = language.ngettext(
                "%(days)d day to change your mind about what you have not opened, for %(share)s of the price back.",
                "%(days)d days to change your mind about what you have not opened, for %(share)s of the price back.",
                self.window_days,
            )
        return text % {"days": self.window_days, "share": language.percent(self.percent)}

    def badge(self, language: Language) -> str:
        # what one may do before it counts as used is in the summary
        if self.percent != 100:
            text = language.ngettext(
                "%(share)s back for %(days)d day while unused", "%(share)s back for %(days)d days while unused", self.window_days
            )
        elif any((self.max_downloads, self.max_share_viewed_percent, self.max_activations)):
            text = language.ngettext(
                "Refundable for %(days)d day while unused", "Refundable for %(days)d days while unused", self.window_days
            )
        else:
            text = language.ngettext(
                "Refundable for %(days)d day, until you open it", "Refundable for %(days)d days, until you open it", self.window_days
            )
        return text % {"days": self.window_days, "share": language.percent(self.percent)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NonRefundable(Clause):
    """Nothing back. Attributes: reason: one or more sentences for customers, shown before they buy and in the answer."""

    kind: ClassVar[str] = "non_refundable"
    held_reason: ClassVar[Reason] = Reason.NON_REFUNDABLE
    reason: str = ""

    def decides(self) -> Outcome:
        return Outcome.DECLINE

    def default_title(self, language: Language) -> str:
        return language.gettext("Not refundable")

    def mention(self, language: Language) -> str:
        return TITLE_SLOT

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        return language.gettext("%(clause)s: %(reason)s").replace("%(reason)s", self.reason or self.summary(language))

    def summary(self, language: Language) -> str:
        return self.reason or language.gettext("This cannot be given back.")

    def bullet(self, language: Language) -> str:
        return self.summary(language)

    def badge(self, language: Language) -> str:
        if not self.reason.strip():
            return language.gettext("Not refundable")
        return language.gettext("Not refundable: %(reason)s") % {"reason": self.reason.strip()}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownClause(Clause):
    """A clause whose kind is not installed here: kept as it is, concerns every line, and sends it to a person.

    Attributes: raw: the clause as canonical JSON text.
    """

    kind: ClassVar[str] = "unknown"
    unknown_reason: ClassVar[Reason] = Reason.UNKNOWN_CLAUSE
    raw: str

    def conditions(self) -> tuple[Condition, ...]:
        return (Understood(),)

    def default_title(self, language: Language) -> str:
        return language.gettext("A clause that a person reads")


ClauseType = TypeVar("ClauseType", bound=type[Clause])
_kinds: dict[str, type[Clause]] = {}


def register_clause(cls: ClauseType) -> ClauseType:
    """Make a kind of clause readable in documents; usable as a decorator. A kind registered again is replaced."""
    _kinds[cls.kind] = cls
    return cls


def unregister_clause(kind: str) -> None:
    """Forget a kind, as if its plug-in were not installed."""
    _kinds.pop(kind, None)


def clause_kinds() -> dict[str, type[Clause]]:
    """Return the registered kinds by name."""
    return dict(_kinds)


for _kind in (MoneyBack, UnusedOnly, NonRefundable):
    register_clause(_kind)
