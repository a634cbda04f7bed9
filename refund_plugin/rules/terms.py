"""What is left of the time or of the units that were paid for, and the condition that something is."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Literal, NamedTuple

from refund_plugin.rules.conditions import Condition
from refund_plugin.rules.facts import ONE_SECOND, Reading
from refund_plugin.rules.language import Language, gettext_noop
from refund_plugin.rules.verdicts import ConditionResult

Measure = Literal["day", "second", "unit", "month"]
ProrateBy = Literal["day", "second", "unit", "month", "best"]

SECONDS_A_DAY = 86_400
# A term that ends this little after a month's day ends with that month: short Februaries and time zones move its end so far.
STRAY_DAYS = 3


class Left(NamedTuple):
    """What is left of a whole (above 0), and in what it is counted."""

    by: Measure
    left: int
    total: int


@dataclass(frozen=True, slots=True)
class SomethingLeft(Condition):
    """Part of the term or of the units is unused; `left` says how much, `needed` is the whole.

    By day, in the customer's dates: the day of asking counts as left, the day of the term's end does not, so a plan from
    15 January asked about on 15 April has all days from 15 April on left. By month: a month that has begun before the day of
    asking is used, so the same plan has 9 of its 12 months left; each month begins on the term's first day of the month, or on
    the month's last day where there is no such day. By second: exact. By unit: granted less used. Best: by day or by unit, of
    which one may be unknown, whichever leaves the greater part; the result's name says which.
    """

    name: ClassVar[str] = "left"
    label_id: ClassVar[str] = gettext_noop("Left")
    by: ProrateBy

    def find(self, reading: Reading, *, used_more: int = 0) -> Left | None:
        """Return what is left; None when the facts are missing or cannot be.

        Args:
            used_more: days that pass in addition, or units when they alone are counted.
        """
        if self.by != "best":
            return _FINDERS[self.by](reading, used_more)
        days, units = _days(reading, used_more), _units(reading, 0)
        if days is None or units is None:
            return days or units
        return days if days.left * units.total >= units.left * days.total else units

    def check(self, reading: Reading) -> ConditionResult:
        found = self.find(reading)
        if found is None:
            return ConditionResult("left", None, 1, False, 0, False)
        by, left, total = found
        return ConditionResult(f"left_{by}" if self.by == "best" else "left", left, total, left > 0, 0 if left else 1, True)

    def until(self, reading: Reading) -> datetime | None:
        start, end = reading.facts.term_start, reading.facts.term_end
        if self.by == "unit" or start is None or end is None:
            return None
        if self.by == "best":
            units = _units(reading, 0)
            return None if units and units.left else reading.last_second_before(reading.local_day(end))
        if self.by == "second":
            return end.astimezone(UTC) - ONE_SECOND
        if self.by == "day":
            return reading.last_second_before(reading.local_day(end))
        return reading.last_second_before(_last_month(reading, start, end) + timedelta(days=1))

    def value(self, result: ConditionResult, language: Language) -> str:
        return Condition.value(self, result, language) if result.fact_value is None else self.left_text(result, language)

    def left_text(self, result: ConditionResult, language: Language) -> str:
        """Write how much of the whole is left: "9 of 12 months"."""
        return left_text(self.counted_by(result), result.fact_value or 0, result.needed, language)

    def counted_by(self, result: ConditionResult) -> Measure:
        """Return in what a result is counted."""
        if self.by != "best":
            return self.by
        return "unit" if result.name == "left_unit" else "day"

    def missed(self, result: ConditionResult, reading: Reading, language: Language) -> str:
        by, start, end = self.counted_by(result), reading.facts.term_start, reading.facts.term_end
        if by == "unit" or start is None or end is None:
            return language.gettext("%(clause)s gives back what is left, and everything is used.")
        if by == "month" and reading.facts.now < end:
            text = language.gettext("%(clause)s gives back whole months, and the last one began on %(date)s.")
            begun = datetime.combine(_last_month(reading, start, end), datetime.min.time(), reading.zone)
            return text.replace("%(date)s", language.date(begun))
        text = language.gettext("%(clause)s gives back what is left, and the time you paid for ended on %(date)s.")
        return text.replace("%(date)s", language.date(reading.local(end - ONE_SECOND)))

    def allowance(self, language: Language) -> str:
        return language.gettext("while something is left")


def _units(reading: Reading, used_more: int) -> Left | None:
    granted, used = reading.facts.units_granted, reading.facts.units_used
    if not granted or granted < 0 or used is None:
        return None
    return Left("unit", max(0, min(granted - used, granted) - used_more), granted)


def _days(reading: Reading, used_more: int) -> Left | None:
    start, end = reading.facts.term_start, reading.facts.term_end
    if start is None or end is None or end <= start:
        return None
    last = reading.local_day(end)
    total = max(1, (last - reading.local_day(start)).days)
    return Left("day", max(0, min((last - reading.today).days, total) - used_more), total)


def _seconds(reading: Reading, used_more: int) -> Left | None:
    start, end = reading.facts.term_start, reading.facts.term_end
    if start is None or end is None or end <= start:
        return None
    total = max(1, (end - start) // ONE_SECOND)
    return Left("second", max(0, min((end - reading.facts.now) // ONE_SECOND, total) - used_more * SECONDS_A_DAY), total)


def _months(reading: Reading, used_more: int) -> Left | None:
    start, end = reading.facts.term_start, reading.facts.term_end
    if start is None or end is None or end <= start:
        return None
    first = reading.local_day(start)
    total = _months_of_term(first, reading.local_day(end))
    return Left("month", max(0, total - _months_begun(first, reading.today + timedelta(days=used_more))), total)


_FINDERS = {"unit": _units, "day": _days, "second": _seconds, "month": _months}


def add_months(day: date, months: int) -> date:
    """Return the same day of the month so many months later, or that month's last day; never past the calendar's end."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _months_between(first: date, other: date) -> int:
    return (other.year - first.year) * 12 + other.month - first.month


def _months_begun(first: date, today: date) -> int:
    """Return how many months of a term have begun before today."""
    between = _months_between(first, today)
    return between + (add_months(first, between) < today) if between >= 0 else 0


def _months_of_term(first: date, last: date) -> int:
    """Return how many months a term has, its `last` day exclusive; what is more than `STRAY_DAYS` of a month counts as one."""
    months = max(1, _months_between(first, last) - 1)
    while (last - add_months(first, months)).days > STRAY_DAYS:
        months += 1
    return months


def _last_month(reading: Reading, start: datetime, end: datetime) -> date:
    """Return the day on which the last month of the term begins."""
    first = reading.local_day(start)
    return add_months(first, _months_of_term(first, reading.local_day(end)) - 1)


def left_text(by: Measure, left: int, total: int, language: Language) -> str:
    """Write "275 of 365 days"; seconds are told in whole days, or hours when the term is short."""
    if by == "unit":
        text = language.ngettext("%(left)d of %(total)d unit", "%(left)d of %(total)d units", total)
    elif by == "month":
        text = language.ngettext("%(left)d of %(total)d month", "%(left)d of %(total)d months", total)
    elif by == "second" and total < 2 * SECONDS_A_DAY:
        left, total = left // 3_600, total // 3_600
        text = language.ngettext("%(left)d of %(total)d hour", "%(left)d of %(total)d hours", total)
    else:
        if by == "second":
            left, total = left // SECONDS_A_DAY, total // SECONDS_A_DAY
        text = language.ngettext("%(left)d of %(total)d day", "%(left)d of %(total)d days", total)
    return text % {"left": left, "total": total}
