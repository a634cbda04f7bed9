"""What a row of the table of faults is: what must be shown, how large, and what was seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

Number = TypeVar("Number", int, float)

TITLE_WIDTH, MUST_WIDTH = 56, 46


class Size(Enum):
    """How much a row does; the code is the same."""

    SHORT = "short"
    FULL = "full"

    def of(self, *, short: Number, full: Number) -> Number:
        """Return the number for this size."""
        return short if self is Size.SHORT else full


@dataclass(frozen=True, slots=True)
class Figure:
    """What a row saw.

    Attributes:
        text: the figure, in a few words.
        met: whether it is what must be shown.
        problems: what was wrong, one sentence each.
    """

    text: str
    met: bool
    problems: tuple[str, ...] = ()


def judged(text: str, *problems: str) -> Figure:
    """Return a figure that is met when there are no problems; empty ones do not count."""
    real = tuple(problem for problem in problems if problem)
    return Figure(text, not real, real)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: for `--only`.
        title, must: as the table prints them.
        run: takes the world and the size.
    """

    name: str
    title: str
    must: str
    run: Callable[..., Figure]


def header() -> str:
    """Return the table's first line."""
    return f"{'':<{TITLE_WIDTH}}{'must show':<{MUST_WIDTH}}{'seconds':>8}  shown"


def line(row: Row, figure: Figure, seconds: float) -> str:
    """Return a row as the table prints it; what was wrong stands below."""
    verdict = "met" if figure.met else "MISSED"
    shown = f"{row.title:<{TITLE_WIDTH}}{row.must:<{MUST_WIDTH}}{seconds:>8.0f}  {verdict}: {figure.text}"
    return "\n".join([shown, *(f"    {problem}" for problem in figure.problems[:20])])
