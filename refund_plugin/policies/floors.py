"""Which law counts for a purchase line."""

from __future__ import annotations

from refund_plugin.conf import settings
from refund_plugin.rules import Floor, LineFacts, floor_for


def floor_of_line(facts: LineFacts) -> Floor | None:
    """Return what the law gives the buyer, by their country, elsewhere by `FLOOR_ELSEWHERE`.

    None for businesses, and where no law is known.
    """
    return floor_for(facts, settings().floor_elsewhere)
