"""What the engine reads about one line of a purchase, and the customer's calendar around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from refund_plugin.errors import InvalidInput

ONE_SECOND = timedelta(seconds=1)
MAX_WINDOW_DAYS = 36_500  # a hundred years: longer windows could leave the calendar


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name such as "Europe/Berlin".

    Raises:
        InvalidInput: no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"Unknown time zone {name!r}: use an IANA name such as Europe/Berlin.", field="timezone") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineFacts:
    """One purchase line as it stood when a refund was asked for; a decision stores it whole (`as_json`).

    Amounts are minor units of `currency`. Times are aware. None means that nobody knows: a condition that needs such a
    fact sends the line to a person.

    Attributes:
        buyer_kind: "consumer", "business" or "" (unknown, treated as consumer by those who care).
        nature: digital "content" or "service", "" when unknown.
        paid_minor: for the whole line, after discounts, gross.
        quantity: units bought; `asked_quantity` of them are asked for now (0 only when none is left).
        refunded_minor, refunded_quantity: already given back or reserved to be.
        timezone: the customer's, IANA; windows are counted in its whole days.
        term_start, term_end: the time paid for; the end is exclusive.
        units_granted, units_used: of the whole line (lessons, credits …).
        share_viewed_percent: 0 to 100, of the whole content.
        earlier_purchase, earlier_purchase_at: whether the customer had bought the same SKU before and has it still, and when.
        fault_reported: the customer says that it does not work or is not as described.
        consent_proven: the customer asked that it begin before the time to withdraw is over, acknowledged what that ends, and
            got it confirmed durably.
        extra: registered facts by name; one that is missing is not known either.

    Raises:
        InvalidInput: a quantity below 1, a negative asked one, a naive time, an unknown time zone, or a registered fact that
            is no whole number.
    """

    line_id: str
    currency: str
    paid_minor: int
    purchased_at: datetime
    now: datetime
    quantity: int = 1
    asked_quantity: int = 1
    refunded_minor: int = 0
    refunded_quantity: int = 0
    timezone: str = "UTC"
    sku: str = ""
    product_type: str = ""
    categories: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    channel: str = ""
    country: str = ""
    buyer_kind: str = ""
    nature: str = ""
    term_start: datetime | None = None
    term_end: datetime | None = None
    units_granted: int | None = None
    units_used: int | None = None
    downloads: int | None = 0
    share_viewed_percent: int | None = 0
    activations: int | None = 0
    last_access_at: datetime | None = None
    earlier_purchase: bool | None = None
    earlier_purchase_at: datetime | None = None
    fault_reported: bool | None = None
    consent_proven: bool | None = None
    extra: Mapping[str, int | None] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.quantity < 1 or self.asked_quantity < 0:
            raise InvalidInput("A line has at least one unit, and nobody can ask for fewer than none.", field="quantity")
        zone_of(self.timezone)
        for name in _TIME_FIELDS:
            moment = getattr(self, name)
            if moment is not None and moment.tzinfo is None:
                raise InvalidInput(f"{name} needs a time zone.", field=name)
        if self.extra:
            if not isinstance(self.extra, Mapping) or not all(value is None or isinstance(value, int) for value in self.extra.values()):
                raise InvalidInput("Registered facts are whole numbers, or yes and no.", field="extra")
            known = {name: None if value is None else int(value) for name, value in sorted(self.extra.items())}
            object.__setattr__(self, "extra", known)

    def as_json(self) -> dict[str, Any]:
        """Return plain data for JSON, times as ISO 8601 in UTC, sets as sorted lists.

        Every field is written but those that came after the first decisions were stored, as long as they say nothing: what
        was stored then is written the same today.
        """
        data = {name: _to_plain(getattr(self, name)) for name in _FIELDS}
        data.update({name: _to_plain(value) for name in _ADDED_FIELDS if (value := getattr(self, name)) not in (None, {})})
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LineFacts:
        """Read what `as_json` wrote; facts that did not exist then take their defaults.

        Raises:
            InvalidInput: unknown or missing facts, or values of another type.
        """
        values = dict(data)
        try:
            for name in _TIME_FIELDS:
                if values.get(name) is not None:
                    values[name] = datetime.fromisoformat(values[name])
            for name in ("categories", "tags"):
                values[name] = frozenset(values.get(name, ()))
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"These facts cannot be read: {error}") from error


_ADDED_FIELDS = ("earlier_purchase", "earlier_purchase_at", "fault_reported", "consent_proven", "extra")
_FIELDS = tuple(each.name for each in fields(LineFacts) if each.name not in _ADDED_FIELDS)
_TIME_FIELDS = ("purchased_at", "now", "term_start", "term_end", "last_access_at", "earlier_purchase_at")


def _to_plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value


class Reading:
    """A line's facts with the customer's calendar read once, for all clauses of one evaluation."""

    __slots__ = ("days_since_purchase", "facts", "purchase_day", "today", "zone")

    def __init__(self, facts: LineFacts) -> None:
        self.facts = facts
        self.zone = zone_of(facts.timezone)
        self.purchase_day = facts.purchased_at.astimezone(self.zone).date()
        self.today = facts.now.astimezone(self.zone).date()
        self.days_since_purchase = (self.today - self.purchase_day).days

    def local(self, moment: datetime) -> datetime:
        """Return `moment` in the customer's time zone."""
        return moment.astimezone(self.zone)

    def local_day(self, moment: datetime) -> date:
        """Return the customer's date at `moment`."""
        return moment.astimezone(self.zone).date()

    def last_second_before(self, day: date) -> datetime:
        """Return the last second, UTC, before `day` begins where the customer is (also when clocks change at midnight)."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC) - ONE_SECOND

    def window_end(self, days: int) -> datetime:
        """Return the last second, UTC, of the `days`-th day after the day of purchase."""
        return self.last_second_before(self.purchase_day + timedelta(days=max(-1, min(days, MAX_WINDOW_DAYS)) + 1))
