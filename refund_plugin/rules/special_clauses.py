"""The kinds of clauses for cases of their own: bought twice, does not work, goodwill, and the right to withdraw by law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from refund_plugin.rules.circumstances import AsConsumer, BoughtAgainWithin, BoughtBefore, FaultReported, RightStands, withdrawal_share
from refund_plugin.rules.clauses import Clause, Guarantee, Share, register_clause
from refund_plugin.rules.conditions import Condition, WithinWindow
from refund_plugin.rules.facts import Reading
from refund_plugin.rules.language import Language
from refund_plugin.rules.verdicts import LineVerdict, Outcome

# Directive (EU) 2019/770 art. 11(2): a trader is liable for what appears within two years at least.
CONFORMITY_DAYS = 730
# Directive 2011/83/EU art. 9(1).
WITHDRAWAL_DAYS = 14


@register_clause
@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicatePurchase(Guarantee):
    """Money back for the newer of two purchases of the same SKU by the same customer.

    Attributes:
        within_days: between the two purchases, at most.
    """

    kind: ClassVar[str] = "duplicate_purchase"
    within_days: int

    def conditions(self) -> tuple[Condition, ...]:
        return (WithinWindow(self.window_days), BoughtBefore(), BoughtAgainWithin(self.within_days))

    def default_title(self, language: Language) -> str:
        return language.gettext("Bought twice")

    def mention(self, language: Language) -> str:
        return Clause.mention(self, language)

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        days = verdict.conditions[2].fact_value or 0
        why = language.ngettext("You had bought it %(days)d day before,", "You had bought it %(days)d days before,", days)
        why = why.replace("%(days)d", str(days)) if days else language.gettext("You bought it twice on one day,")
        return f"{why} {self.gives(verdict, language)}".replace("%(amount)s", amount)

    def summary(self, language: Language) -> str:
        text = language.ngettext(
            "If you buy the same thing again within %(between)d day, ask within %(asking)s of the second purchase, and %(back)s for it.",
            "If you buy the same thing again within %(between)d days, ask within %(asking)s of the second purchase, and %(back)s for it.",
            self.within_days,
        )
        asking = language.ngettext("%(days)d day", "%(days)d days", self.window_days) % {"days": self.window_days}
        return text % {"between": self.within_days, "asking": asking, "back": self.what_back(language)} + self.reviewed(language)

    def bullet(self, language: Language) -> str:
        return language.gettext("Your money back for what you bought twice.")


@register_clause
@dataclass(frozen=True, slots=True, kw_only=True)
class Defective(Clause):
    """What does not work or is not as described: a person looks at the evidence and proposes the whole price.

    Attributes:
        window_days: after the day of purchase.
        evidence: what the customer is asked to send, in words for customers.
    """

    kind: ClassVar[str] = "defective"
    window_days: int = CONFORMITY_DAYS
    evidence: str = ""

    def conditions(self) -> tuple[Condition, ...]:
        return (FaultReported(), WithinWindow(self.window_days))

    def share(self, reading: Reading, *, used_more: int = 0) -> Share:
        return Share(1, 1)

    def default_title(self, language: Language) -> str:
        return language.gettext("It does not work")

    def reviewing(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        text = language.gettext("You told us that it does not work. By %(clause)s a person looks at it, and can give you %(amount)s back.")
        return f"{text.replace('%(amount)s', amount)}{self._wanted(language)}"

    def summary(self, language: Language) -> str:
        text = language.ngettext(
            "If it does not work or is not as described, tell us within %(days)d day of buying. A person looks at it, and you get it "
            "mended or your money back.",
            "If it does not work or is not as described, tell us within %(days)d days of buying. A person looks at it, and you get it "
            "mended or your money back.",
            self.window_days,
        )
        return text % {"days": self.window_days} + self._wanted(language)

    def bullet(self, language: Language) -> str:
        return language.gettext("Help or your money back for what does not work.")

    def _wanted(self, language: Language) -> str:
        if not self.evidence.strip():
            return ""
        return " " + language.gettext("Please send us: %(evidence)s").replace("%(evidence)s", self.evidence)


@register_clause
@dataclass(frozen=True, slots=True, kw_only=True)
class Goodwill(Clause):
    """Up to a part of the price when a person decides to be generous; never by itself.

    Attributes:
        window_days: after the day of purchase; None without an end.
        percent: of the price, 1 to 100, at most.
    """

    kind: ClassVar[str] = "goodwill"
    window_days: int | None = None
    percent: int = 100

    def conditions(self) -> tuple[Condition, ...]:
        return () if self.window_days is None else (WithinWindow(self.window_days),)

    def share(self, reading: Reading, *, used_more: int = 0) -> Share:
        return Share(max(0, min(self.percent, 100)), 100)

    def default_title(self, language: Language) -> str:
        return language.gettext("Goodwill")

    def reviewing(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        text = language.gettext("Nothing else in our policy covers this, but by %(clause)s a person may give you up to %(amount)s back.")
        return text.replace("%(amount)s", amount)

    def summary(self, language: Language) -> str:
        text = language.gettext("Tell us what happened: a person reads it and may give you up to %(share)s of the price back.")
        summary = text % {"share": language.percent(self.percent)}
        if self.window_days is None:
            return summary
        window = language.ngettext("Ask within %(days)d day of buying.", "Ask within %(days)d days of buying.", self.window_days)
        return f"{summary} {window % {'days': self.window_days}}"

    def bullet(self, language: Language) -> str:
        return language.gettext("Not covered? Ask us anyway: a person reads it.")


@register_clause
@dataclass(frozen=True, slots=True, kw_only=True)
class StatutoryWithdrawal(Clause):
    """A consumer's right to change their mind, without giving a reason.

    Content comes back whole until its use has ended the right, a service for what of it is left (see `withdrawal_share`).
    Source: Directive 2011/83/EU art. 9, 14 and 16.

    Attributes:
        window_days: after the day of purchase, which does not count.
    """

    kind: ClassVar[str] = "statutory_withdrawal"
    window_days: int = WITHDRAWAL_DAYS

    def conditions(self) -> tuple[Condition, ...]:
        return (AsConsumer(), WithinWindow(self.window_days), RightStands())

    def decides(self) -> Outcome:
        return Outcome.APPROVE

    def share(self, reading: Reading, *, used_more: int = 0) -> Share:
        # where nobody knows what waiting would change, nothing is said about it
        owed = withdrawal_share(reading, used_more=used_more) or withdrawal_share(reading)
        return Share(*owed) if owed else Share(0, 1)

    def default_title(self, language: Language) -> str:
        return language.gettext("Right to withdraw")

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        if verdict.full:
            text = language.gettext("You may change your mind within %(days)d days, so %(clause)s gives you everything back.")
        else:
            text = language.gettext(
                "You may change your mind within %(days)d days, so %(clause)s gives you %(amount)s back for what you have not used yet."
            )
        return text.replace("%(days)d", str(self.window_days)).replace("%(amount)s", amount)

    def hint(self, next_amount: str, language: Language) -> str:
        return language.gettext("Tomorrow it would be %(amount)s.") % {"amount": next_amount}

    def summary(self, language: Language) -> str:
        text = language.gettext(
            "As a consumer you may withdraw within %(days)d days of buying, without giving a reason, and get your money back. "
            "For content this ends when you begin to use it, if you agreed to that beforehand. "
            "For a service that began at your request, you pay for what you have had so far."
        )
        return text % {"days": self.window_days}

    def bullet(self, language: Language) -> str:
        return language.gettext("%(days)d days to withdraw, as the law gives consumers.") % {"days": self.window_days}

    def badge(self, language: Language) -> str:
        return language.gettext("%(days)d days to withdraw") % {"days": self.window_days}
