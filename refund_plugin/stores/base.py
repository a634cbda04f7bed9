"""The contract of a store's adapter: what the refund rooms ask of the system that holds the orders. Plain data in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class StoreUnavailable(Exception):
    """The store did not confirm; it is asked again later. The message is for staff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAccess:
    """What a customer may use of one line of a purchase, as a whole: telling it again changes nothing.

    Attributes:
        line_id: primary key of the purchase line.
        quantity: units bought.
        frozen: units that may not be used while their money is on its way back.
        revoked: units that were given back for good.
        version: rises with every change; a store that was told a higher one before may ignore this.
    """

    store: str
    purchase_number: str
    line_id: int
    sku: str
    name: str
    quantity: int
    frozen: int
    revoked: int
    version: int

    @property
    def usable(self) -> int:
        """Units that may be used."""
        return max(0, self.quantity - self.frozen - self.revoked)


class StoreAdapter(Protocol):
    """One kind of store."""

    def keeps_access(self) -> bool:
        """Tell whether there is anybody to tell about access."""

    def set_access(self, access: LineAccess) -> None:
        """Freeze, revoke and give back units, so that the line stands as described. May be called again with the same data.

        The whole state is told instead of its changes, because an answer may be lost: "freeze one more" cannot be repeated.

        Raises:
            StoreUnavailable: not confirmed; ask again.
        """
