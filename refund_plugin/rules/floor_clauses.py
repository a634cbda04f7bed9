"""The rights of the law as clauses, so that they are judged and explained exactly like an editor's own.

They are in no document, and no editor can change them. Each stands alone, because whoever has two rights has the better one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import ClassVar

from refund_plugin.rules.circumstances import AsConsumer, FaultReported, RightStands
from refund_plugin.rules.clauses import Clause
from refund_plugin.rules.conditions import Condition, WithinWindow
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.facts import Reading
from refund_plugin.rules.floor import Floor, Right
from refund_plugin.rules.language import TITLE_SLOT, Language
from refund_plugin.rules.special_clauses import Defective, StatutoryWithdrawal
from refund_plugin.rules.verdicts import ConditionResult

STATUTORY_FLOOR = "statutory_floor"
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class WithinWorkingWindow(WithinWindow):
    """A window that ends with the next Monday when its last day is a Saturday or Sunday.

    Source: Regulation (EEC, Euratom) 1182/71 art. 3(4), for which see Directive 2011/83/EU, recital 41.
    """

    def _within(self, reading: Reading) -> WithinWindow:
        weekday = (reading.purchase_day + timedelta(days=self.days)).weekday()
        return WithinWindow(self.days + max(0, 7 - weekday if weekday >= SATURDAY else 0))

    def check(self, reading: Reading) -> ConditionResult:
        return self._within(reading).check(reading)

    def until(self, reading: Reading) -> datetime | None:
        return self._within(reading).until(reading)


@dataclass(frozen=True, slots=True, kw_only=True)
class LawfulWithdrawal(StatutoryWithdrawal):
    """The right to withdraw, with its article."""

    kind: ClassVar[str] = STATUTORY_FLOOR
    weekend_extends: bool = False
    source: str = ""

    def conditions(self) -> tuple[Condition, ...]:
        window = WithinWorkingWindow(self.window_days) if self.weekend_extends else WithinWindow(self.window_days)
        return (AsConsumer(), window, RightStands())

    def default_title(self, language: Language) -> str:
        return language.gettext("right to withdraw")

    def mention(self, language: Language) -> str:
        return _with_source(self.source, language)


@dataclass(frozen=True, slots=True, kw_only=True)
class LawfulConformity(Defective):
    """The right to something that works and is as described: a person looks, without a fee, whatever the policy excludes."""

    kind: ClassVar[str] = STATUTORY_FLOOR
    source: str = ""

    def conditions(self) -> tuple[Condition, ...]:
        return (AsConsumer(), FaultReported(), WithinWindow(self.window_days))

    def default_title(self, language: Language) -> str:
        return language.gettext("right to something that works")

    def mention(self, language: Language) -> str:
        return _with_source(self.source, language)


def _with_source(source: str, language: Language) -> str:
    return language.gettext("your %(right)s (%(source)s)") % {"right": TITLE_SLOT, "source": source}


def clause_by_law(floor: Floor, right: Right) -> Clause:
    """Return a right of the law as a clause."""
    if right is Right.WITHDRAWAL:
        return LawfulWithdrawal(
            anchor="", window_days=floor.withdrawal_days, weekend_extends=floor.weekend_extends, source=floor.withdrawal_source
        )
    return LawfulConformity(anchor="", window_days=floor.conformity_days, source=floor.conformity_source)


@lru_cache(maxsize=256)
def rights_of(floor: Floor, limits: tuple[tuple[str, int], ...]) -> tuple[tuple[Right, PolicyDocument], ...]:
    """Return each right as a document of its own.

    Args:
        limits: the policy's, in minor units by currency, from which a person confirms an amount; the law leaves 14 days for that.
    """
    return tuple((right, PolicyDocument((clause_by_law(floor, right),), dict(limits))) for right in Right)
