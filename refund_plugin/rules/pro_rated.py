"""Clauses that give back the price of what is not used yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from refund_plugin.money import EXPONENTS, Money
from refund_plugin.rules.clauses import ApprovingClause, Share, added, register_clause
from refund_plugin.rules.conditions import Condition, PaidIn, WithinWindow
from refund_plugin.rules.facts import Reading
from refund_plugin.rules.language import Language, gettext_noop
from refund_plugin.rules.terms import ProrateBy, SomethingLeft
from refund_plugin.rules.verdicts import LineVerdict


@register_clause
@dataclass(frozen=True, slots=True, kw_only=True)
class ProRated(ApprovingClause):
    """The price of what is not used yet: by day, second, unit or month, or by day or unit, whichever is more.

    Attributes:
        window_days: how long after buying one may ask; None as long as something is left.
        fee_percent: kept of what would come back, 0 to 100.
        fee_minor: kept of the rest, once for all units of a line, in minor units of `currency`.
        minimum_minor: what is less is not paid out; in minor units of `currency`.
        currency: of the two; lines in another currency go to a person.
    """

    kind: ClassVar[str] = "pro_rated"
    by: ProrateBy = "day"
    window_days: int | None = None
    fee_percent: int = 0
    fee_minor: int = added(0)
    minimum_minor: int = added(0)
    currency: str = added("")

    def conditions(self) -> tuple[Condition, ...]:
        left = SomethingLeft(self.by)
        own: tuple[Condition, ...] = (left,) if self.window_days is None else (WithinWindow(self.window_days), left)
        return (*own, PaidIn(self.currency)) if self.fee_minor or self.minimum_minor else own

    def share(self, reading: Reading, *, used_more: int = 0) -> Share:
        found = SomethingLeft(self.by).find(reading, used_more=used_more)
        if found is None:
            return Share(0, 1)
        kept = max(0, min(self.percent, 100)) * (100 - max(0, min(self.fee_percent, 100)))
        return Share(found.left * kept, found.total * 10_000)

    def less(self, due_minor: int) -> int:
        paid = max(0, due_minor - max(0, self.fee_minor))
        return paid if paid >= self.minimum_minor else 0

    def default_title(self, language: Language) -> str:
        return language.gettext("Pay for what you use")

    def because(self, verdict: LineVerdict, amount: str, language: Language) -> str:
        left = next(result for result in verdict.conditions if result.name.startswith("left"))
        if left.fact_value == left.needed and verdict.full:
            return language.gettext("You have used nothing of it, so %(clause)s gives you everything back.")
        text = language.gettext("You have %(left)s left, so %(clause)s gives you %(amount)s back.")
        return text.replace("%(left)s", SomethingLeft(self.by).left_text(left, language)).replace("%(amount)s", amount)

    def hint(self, next_amount: str, language: Language) -> str:
        if self.by == "unit":
            return language.gettext("One unit more and it would be %(amount)s.") % {"amount": next_amount}
        return language.gettext("Tomorrow it would be %(amount)s.") % {"amount": next_amount}

    def summary(self, language: Language) -> str:
        text = {
            "unit": gettext_noop("You get back the price of every unit you have not used."),
            "day": gettext_noop("You get back the price of every day that is left."),
            "second": gettext_noop("You get back the price of the time that is left, to the second."),
            "month": gettext_noop("You get back the price of every month that has not begun."),
            "best": gettext_noop("You get back the price of every day that is left or of every unit you have not used, whichever is more."),
        }[self.by]
        parts = [language.gettext(text)]
        if self.percent != 100:
            parts.append(language.gettext("Of that, %(share)s is paid back.") % {"share": language.percent(self.percent)})
        if self.fee_percent:
            parts.append(language.gettext("A fee of %(share)s is kept.") % {"share": language.percent(self.fee_percent)})
        if self.fee_minor:
            parts.append(language.gettext("A fee of %(amount)s is kept.") % {"amount": self._written(self.fee_minor, language)})
        if self.minimum_minor:
            text = language.gettext("Less than %(amount)s is not paid out.")
            parts.append(text % {"amount": self._written(self.minimum_minor, language)})
        if self.window_days is not None:
            window = language.ngettext("Ask within %(days)d day of buying.", "Ask within %(days)d days of buying.", self.window_days)
            parts.append(window % {"days": self.window_days})
        return " ".join(parts) + self.reviewed(language)

    def bullet(self, language: Language) -> str:
        if self._keeps_something:
            return language.gettext("Part of your money back for what you have not used.")
        return language.gettext("Your money back for what you have not used.")

    def badge(self, language: Language) -> str:
        if self._keeps_something:  # how much stands beside it, in the summary
            return self._partial_badge(language)
        if self.window_days is None:
            return language.gettext("Money back for what you have not used")
        text = language.ngettext(
            "Money back for what you have not used, for %(days)d day",
            "Money back for what you have not used, for %(days)d days",
            self.window_days,
        )
        return text % {"days": self.window_days}

    @property
    def _keeps_something(self) -> bool:
        return self.percent < 100 or self.fee_percent > 0 or self.fee_minor > 0

    def _partial_badge(self, language: Language) -> str:
        if self.window_days is None:
            return language.gettext("Part of your money back for what you have not used")
        text = language.ngettext(
            "Part of your money back for what you have not used, for %(days)d day",
            "Part of your money back for what you have not used, for %(days)d days",
            self.window_days,
        )
        return text % {"days": self.window_days}

    def _written(self, minor: int, language: Language) -> str:
        return language.money(Money(minor, self.currency)) if self.currency in EXPONENTS else str(minor)
