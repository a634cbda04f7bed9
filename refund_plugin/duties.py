"""Periodic work that rooms and doors hand to the sweep, so that the sweep need not know them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Duty:
    """One piece of periodic work.

    Attributes:
        run: gets the present time (UTC) and returns how much was done; it is called again and again for ever.
        every_seconds: the shortest pause between two runs, over all workers; 0 means at every sweep.
        before_money: done before refunds are sent, because it may stop them.
    """

    name: str
    run: Callable[[datetime], int]
    every_seconds: int = 0
    before_money: bool = False


_duties: dict[str, Duty] = {}


def register_duty(name: str, run: Callable[[datetime], int], *, every_seconds: int = 0, before_money: bool = False) -> None:
    """Let the sweep do this work; called from `AppConfig.ready()`. Registering a name again replaces it."""
    _duties[name] = Duty(name, run, every_seconds, before_money)


def duties() -> list[Duty]:
    """Return what is registered, in order."""
    return list(_duties.values())
