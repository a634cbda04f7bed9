"""What the linter says: one remark, where it belongs, in words that can be translated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark.

    Attributes:
        code: stable.
        message_id: English text with %(name)s placeholders, translated by `text`.
        anchor: of the clause, "" when it is about the whole policy.
        index: of the clause, from 0; None when it is about the whole policy.
        params: for the placeholders.
    """

    severity: Severity
    code: str
    message_id: str
    anchor: str = ""
    index: int | None = None
    params: tuple[tuple[str, str | int], ...] = ()

    def text(self, gettext: Callable[[str], str] = str) -> str:
        """Return the message for people, translated by `gettext`."""
        return gettext(self.message_id) % dict(self.params)


def error(code: str, message_id: str, **params: str | int) -> Finding:
    """Return a finding that stops publishing."""
    return Finding("error", code, message_id, params=tuple(params.items()))


def warning(code: str, message_id: str, **params: str | int) -> Finding:
    """Return a finding that is told and stops nothing."""
    return Finding("warning", code, message_id, params=tuple(params.items()))
