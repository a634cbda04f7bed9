"""What was approved automatically within the last hour or day, added up in slots; plain values, no database.

A window slides: a slot counts until its end is older than the window is long. So a window sees up to one slot more than its
hour or day, never less, and no hour chosen afterwards has more than the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Per(StrEnum):
    """How long a window is."""

    HOUR = "hour"
    DAY = "day"


WINDOW_SECONDS = {Per.HOUR: 3600, Per.DAY: 86_400}
SLOT_SECONDS = {Per.HOUR: 300, Per.DAY: 3600}

# by name (currency, or currency and SKU), then by window, then by slot number: minor units
Spent = dict[str, dict[str, dict[str, int]]]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that is approved automatically within a window.

    Attributes:
        sku: only this product; "" means all of them together.
        amount_minor: minor units of the currency.
    """

    currency: str
    per: Per
    amount_minor: int
    sku: str = ""

    @property
    def subject(self) -> str:
        """What it counts: the key in `Spent`."""
        return subject(self.currency, self.sku)

    def as_json(self) -> dict[str, Any]:
        """Return plain values to store."""
        return {"currency": self.currency, "per": self.per.value, "amount_minor": self.amount_minor, "sku": self.sku}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Ceiling:
        """Read what `as_json` wrote."""
        return cls(str(stored["currency"]), Per(stored["per"]), int(stored["amount_minor"]), str(stored["sku"]))


def subject(currency: str, sku: str = "") -> str:
    """Return the key in `Spent` of a currency, or of one product in it."""
    return f"{currency} {sku}".strip()


def spent_within(spent: Spent, name: str, per: Per, at: datetime) -> int:
    """Return what was approved automatically in the window that ends at `at`, in minor units."""
    slots = spent.get(name, {}).get(per.value, {})
    return sum(amount for slot, amount in slots.items() if _counts(int(slot), per, at))


def with_added(spent: Spent, amounts: Mapping[str, int], at: datetime) -> Spent:
    """Return `spent` with minor units added under each name at `at`, without what no window counts any more."""
    result: Spent = {}
    for name in {*spent, *amounts}:
        kept = {per.value: _pruned(spent.get(name, {}).get(per.value, {}), per, at) for per in Per}
        if amounts.get(name):
            for per in Per:
                slot = str(int(at.timestamp()) // SLOT_SECONDS[per])
                kept[per.value][slot] = kept[per.value].get(slot, 0) + amounts[name]
        if any(kept.values()):
            result[name] = kept
    return result


def _pruned(slots: Mapping[str, int], per: Per, at: datetime) -> dict[str, int]:
    return {slot: amount for slot, amount in slots.items() if _counts(int(slot), per, at)}


def _counts(slot: int, per: Per, at: datetime) -> bool:
    return (slot + 1) * SLOT_SECONDS[per] > at.timestamp() - WINDOW_SECONDS[per]
