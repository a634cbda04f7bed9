"""Short ways to make facts, policies and a plain English reader for the tests of the engine."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from refund_plugin.money import Money
from refund_plugin.rules import LineFacts, PolicyDocument

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = "UTC") -> datetime:
    """Return the moment that `text` (ISO 8601, local) names in `zone`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def line(**values) -> LineFacts:
    """Return a line bought for 18.20 EUR on 3 March 2026 and asked about six days later, in Berlin."""
    base = {
        "line_id": "line-1",
        "currency": "EUR",
        "paid_minor": 1820,
        "purchased_at": at("2026-03-03T10:00", BERLIN),
        "now": at("2026-03-09T14:02:11", BERLIN),
        "timezone": BERLIN,
    }
    return LineFacts(**(base | values))


def policy(*clauses, limit=None) -> PolicyDocument:
    return PolicyDocument(clauses, limit or {})


class English:
    """A reader without translations."""

    def gettext(self, message):
        return message

    def ngettext(self, singular, plural, number):
        return singular if number == 1 else plural

    def money(self, money: Money):
        return str(money)

    def date(self, moment: datetime):
        return f"{moment.day} {moment:%B}"

    def datetime(self, moment: datetime):
        return f"{moment.day} {moment:%B} at {moment:%H:%M}"

    def percent(self, value: int):
        return f"{value}%"


ENGLISH = English()
