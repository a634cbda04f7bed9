"""How the engine speaks without knowing who listens: doors pass in a language."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from refund_plugin.money import Money


class Language(Protocol):
    """One reader's language; every method returns text for people. Times arrive in the customer's own time zone."""

    def gettext(self, message: str, /) -> str:
        """Translate."""

    def ngettext(self, singular: str, plural: str, number: int, /) -> str:
        """Translate with the plural form for `number`."""

    def money(self, money: Money, /) -> str:
        """Write an amount."""

    def date(self, moment: datetime, /) -> str:
        """Write a day."""

    def datetime(self, moment: datetime, /) -> str:
        """Write a day and time."""

    def percent(self, value: int, /) -> str:
        """Write a whole percentage."""


# Stands for the clause's title in a sentence until the sentence is split around it, so that a door can link the title.
TITLE_SLOT = "\0"


def gettext_noop(message: str) -> str:
    """Mark `message` for translation; it is translated where it is shown."""
    return message
