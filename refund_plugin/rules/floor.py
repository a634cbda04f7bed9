"""What the law gives consumers beside any policy: plain values, frozen into every decision that they made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

from refund_plugin.errors import InvalidInput


class Right(StrEnum):
    """The two rights that no policy takes away."""

    WITHDRAWAL = "withdrawal"
    CONFORMITY = "conformity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The law of one country or group of countries, as far as it decides about money.

    Attributes:
        preset: name of the preset that it comes from.
        withdrawal_days: after the day of purchase.
        weekend_extends: a period whose last day is a Saturday or Sunday ends with the next Monday. Public holidays are not known
            here; who asks on the working day after one has a person look.
        conformity_days: after the day of purchase, while a fault that is reported has to be looked at.
        withdrawal_source, conformity_source: the articles, named to the customer.
    """

    preset: str
    withdrawal_days: int = 14
    weekend_extends: bool = False
    conformity_days: int = 730
    withdrawal_source: str
    conformity_source: str

    def source(self, right: Right) -> str:
        """Return the article that gives a right."""
        return self.withdrawal_source if right is Right.WITHDRAWAL else self.conformity_source

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Floor:
        """Read what a verdict holds of it.

        Raises:
            InvalidInput: a value is missing.
        """
        known = {each.name for each in fields(cls)}
        try:
            return cls(**{name: value for name, value in data.items() if name in known})
        except TypeError as error:
            raise InvalidInput(f"This floor cannot be read: {error}") from error


class ByLaw(NamedTuple):
    """That the law decided, not the policy: which right of which floor."""

    floor: Floor
    right: Right

    def as_json(self) -> dict[str, Any]:
        """Return plain data, enough to decide the same again when presets have changed."""
        return {"right": self.right.value, "source": self.floor.source(self.right), **asdict(self.floor)}


def floor_of(verdict: Mapping[str, Any]) -> Floor | None:
    """Return the floor that a stored verdict (`LineVerdict.as_json`) was decided by, to decide it again; None for the policy's own.

    A verdict that the floor did not change is the policy's, with or without it.
    """
    stored = verdict.get("floor")
    return Floor.from_json(stored) if stored else None
