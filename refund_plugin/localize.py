"""How amounts, dates and shares are written for people: the `Language` that the rules engine explains itself in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time, get_datetime_format
from babel.numbers import format_percent
from django.core.signals import setting_changed
from django.utils import translation
from django.utils.translation import gettext, ngettext, to_locale

from refund_plugin.money import Money, format_money


@lru_cache(maxsize=64)
def babel_locale(language: str) -> Locale:
    """Return Babel's locale for a Django language code; English when Babel does not know it."""
    try:
        return Locale.parse(to_locale(language))
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en")


# Shares are whole percents, prices repeat, and the days of a page of purchases lie close together: each is written once.
@lru_cache(maxsize=1024)
def _percent(value: int, locale: Locale) -> str:
    return format_percent(value / 100, locale=locale)


@lru_cache(maxsize=4096)
def _money(amount: Money, locale: str) -> str:
    return format_money(amount, str(babel_locale(locale)))


@lru_cache(maxsize=1024)
def _long_date(day: date, locale: Locale) -> str:
    return format_date(day, format="long", locale=locale)


# An explanation has dozens of sentences; Django looks each up through its plural forms and fallbacks, which takes far longer.
@lru_cache(maxsize=4096)
def _translated(language: str, message: str) -> str:
    with translation.override(language):
        return gettext(message)


@lru_cache(maxsize=4096)
def _translated_plural(language: str, singular: str, plural: str, number: int) -> str:
    with translation.override(language):
        return ngettext(singular, plural, number)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting in ("LOCALE_PATHS", "LANGUAGES", "LANGUAGE_CODE", "INSTALLED_APPS", "USE_I18N"):
        _translated.cache_clear()
        _translated_plural.cache_clear()


setting_changed.connect(_forget, dispatch_uid="refund_plugin.localize")


def write_day(day: date, locale: str) -> str:
    """Write a day that belongs to no time zone, for people: `12 March 2026`."""
    return _long_date(day, babel_locale(locale))


@dataclass(frozen=True, slots=True)
class Formatter:
    """Writes values and texts in one locale, times in one time zone.

    Attributes:
        locale: a Django language code such as `de` or `en-gb`.
        timezone: IANA name; times are shown in it.
    """

    locale: str
    timezone: str

    def gettext(self, message: str) -> str:
        """Translate."""
        return _translated(self.locale, message)

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """Translate with the plural form for `number`."""
        return _translated_plural(self.locale, singular, plural, number)

    def money(self, amount: Money) -> str:
        """Write an amount: `18.20 €`."""
        return _money(amount, self.locale)

    def percent(self, value: int) -> str:
        """Write a share given in percent."""
        return _percent(value, babel_locale(self.locale))

    def local(self, moment: datetime) -> datetime:
        """Move a moment into the time zone."""
        return moment.astimezone(ZoneInfo(self.timezone))

    def date(self, moment: datetime) -> str:
        """Write the day: `12 March 2026`."""
        return _long_date(self.local(moment).date(), babel_locale(self.locale))

    def time(self, moment: datetime) -> str:
        """Write the time to the second: `14:02:11`."""
        return format_time(self.local(moment).time(), format="medium", locale=babel_locale(self.locale))

    def datetime(self, moment: datetime) -> str:
        """Write day and time: `12 March 2026, 14:02`."""
        locale = babel_locale(self.locale)
        time = format_time(self.local(moment).time(), format="short", locale=locale)
        # CLDR's pattern that joins a date {1} and a time {0}; its quoted words are literal text
        pattern = str(get_datetime_format("long", locale=locale)).replace("'", "")
        return pattern.replace("{0}", time).replace("{1}", self.date(moment))


def formatter_for(*, timezone: str, locale: str | None = None) -> Formatter:
    """Return a formatter for a locale, else for Django's active language."""
    return Formatter(locale=locale or translation.get_language() or "en", timezone=timezone)
