"""Conditions about what kind of case a request is: bought twice, reported as faulty, a consumer's withdrawal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from refund_plugin.rules.conditions import Condition
from refund_plugin.rules.facts import LineFacts, Reading
from refund_plugin.rules.language import Language, gettext_noop
from refund_plugin.rules.terms import SomethingLeft
from refund_plugin.rules.verdicts import ConditionResult


class YesOrNo(Condition):
    """Something is so; nothing else is asked of it."""

    __slots__ = ()

    def is_so(self, reading: Reading) -> bool | None:
        """Read the fact; None when nobody knows."""
        raise NotImplementedError

    def check(self, reading: Reading) -> ConditionResult:
        so = self.is_so(reading)
        return ConditionResult(self.name, None if so is None else int(so), 1, so is True, int(so is False), so is not None)

    def known_value(self, found: int, needed: int, language: Language) -> str:
        return language.gettext("yes") if found else language.gettext("no")


@dataclass(frozen=True, slots=True)
class BoughtBefore(YesOrNo):
    """The customer had bought the same SKU before this purchase, and has it still."""

    name: ClassVar[str] = "earlier_purchase"
    label_id: ClassVar[str] = gettext_noop("Bought before")
    circumstance: ClassVar[bool] = True

    def is_so(self, reading: Reading) -> bool | None:
        return reading.facts.earlier_purchase

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        return language.gettext("%(clause)s is about a second purchase of the same thing, and we found one only.")

    def allowance(self, language: Language) -> str:
        return language.gettext("bought before")


@dataclass(frozen=True, slots=True)
class BoughtAgainWithin(Condition):
    """The earlier purchase is at most so many days older, in the customer's dates."""

    name: ClassVar[str] = "days_between"
    label_id: ClassVar[str] = gettext_noop("Days between the purchases")
    circumstance: ClassVar[bool] = True
    days: int

    def check(self, reading: Reading) -> ConditionResult:
        earlier = reading.facts.earlier_purchase_at
        if earlier is None:
            return ConditionResult("days_between", None, self.days, False, 0, False)
        between = abs((reading.purchase_day - reading.local_day(earlier)).days)
        return ConditionResult("days_between", between, self.days, between <= self.days, max(0, between - self.days), True)

    def implied_by(self, other: Condition) -> bool:
        return isinstance(other, BoughtAgainWithin) and other.days <= self.days

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        text = language.gettext("%(clause)s is about two purchases within %(allowed)d days, and %(found)d lie between yours.")
        return text.replace("%(allowed)d", str(result.needed)).replace("%(found)d", str(result.fact_value or 0))

    def missed_by(self, result: ConditionResult, language: Language) -> str:
        days = result.missed_by
        return language.ngettext("%(days)d day too many between them", "%(days)d days too many between them", days) % {"days": days}

    def allowance(self, language: Language) -> str:
        return language.ngettext("at most %(days)d day between the purchases", "at most %(days)d days between the purchases", self.days) % {
            "days": self.days
        }


@dataclass(frozen=True, slots=True)
class FaultReported(YesOrNo):
    """The customer says that it does not work, or is not what was described."""

    name: ClassVar[str] = "fault_reported"
    label_id: ClassVar[str] = gettext_noop("Reported as faulty")
    circumstance: ClassVar[bool] = True

    def is_so(self, reading: Reading) -> bool | None:
        return reading.facts.fault_reported

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        return language.gettext("%(clause)s is about what does not work; nobody told us that this does not.")

    def allowance(self, language: Language) -> str:
        return language.gettext("reported as faulty")


@dataclass(frozen=True, slots=True)
class AsConsumer(YesOrNo):
    """Not bought for a business; who is not known counts as a consumer.

    Source: Directive 2011/83/EU art. 2(1).
    """

    name: ClassVar[str] = "consumer"
    label_id: ClassVar[str] = gettext_noop("Bought as a consumer")
    circumstance: ClassVar[bool] = True

    def is_so(self, reading: Reading) -> bool | None:
        return reading.facts.buyer_kind != "business"

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        return language.gettext("%(clause)s is for consumers, and this was bought for a business.")

    def allowance(self, language: Language) -> str:
        return language.gettext("bought as a consumer")


@dataclass(frozen=True, slots=True)
class RightStands(YesOrNo):
    """Use has not ended the right to withdraw.

    Content: it ends with the first use, only if the customer agreed beforehand, acknowledged what that means and got it
    confirmed. A service: it ends when all of it was provided, again only with that. Source: Directive 2011/83/EU
    art. 16(a) and (m).
    """

    name: ClassVar[str] = "right_stands"
    label_id: ClassVar[str] = gettext_noop("Right to withdraw not used up")

    def is_so(self, reading: Reading) -> bool | None:
        owed = withdrawal_share(reading)
        return None if owed is None else owed[0] > 0

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        if reading.facts.nature == "service":
            return language.gettext("%(clause)s ended when all of it was provided, as you agreed before it began.")
        return language.gettext("%(clause)s ended when you began to use it, as you agreed before you did.")

    def allowance(self, language: Language) -> str:
        return language.gettext("while the law gives the right")


def withdrawal_share(reading: Reading, *, used_more: int = 0) -> tuple[int, int] | None:
    """Return the part of the price that a withdrawal gives back, as numerator and denominator; None when nobody knows.

    Of a service that began at the customer's proven request, what was provided is owed, so what is left comes back (the
    better of days and units). Without that proof nothing is owed. Source: Directive 2011/83/EU art. 14(3) and (4).

    Args:
        used_more: days that pass in addition.
    """
    facts = reading.facts
    whole, ended = (1, 1), (0, 1)
    left = SomethingLeft("best").find(reading, used_more=used_more)
    begun = _is_used(facts)
    if facts.nature == "service" and left is not None:
        begun = left.left < left.total
    # without use, and without the customer's proven agreement to begin, the law gives everything back
    if begun is False or facts.consent_proven is False:
        return whole
    if begun is None or facts.consent_proven is None:
        return None
    if facts.nature == "content":
        return ended
    if facts.nature == "service" and left is not None:
        return left.left, left.total
    return None


def _is_used(facts: LineFacts) -> bool | None:
    """Tell whether anything of it was used; None when nothing is known to be and something is not known."""
    found = [facts.downloads, facts.share_viewed_percent, facts.activations]
    if facts.units_granted is not None:
        found.append(facts.units_used)
    if any(found):
        return True
    return None if None in found else False
