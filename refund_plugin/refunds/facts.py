"""What the rules engine reads about a purchase line, gathered from what was bought, refunded and used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from refund_plugin.orders.data import Usage
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.rules import LineFacts, read_sources


def gather_facts(
    *, purchase: Purchase, lines: Sequence[tuple[PurchaseLine, Usage]], quantities: Mapping[int, int], now: datetime
) -> dict[int, LineFacts]:
    """Return the facts of each line by its id.

    Args:
        lines: each with how much it was used.
        quantities: units asked for, by line id; every unit that is left when a line is missing.
        now: UTC.
    """
    return {line.pk: _facts(purchase, line, usage, quantities.get(line.pk, max(line.quantity_left, 0)), now) for line, usage in lines}


def _facts(purchase: Purchase, line: PurchaseLine, usage: Usage, asked: int, now: datetime) -> LineFacts:
    return LineFacts(
        line_id=str(line.pk),
        sku=line.sku,
        product_type=line.product_type,
        categories=frozenset(line.categories),
        tags=frozenset(line.tags),
        channel=purchase.channel,
        country=purchase.country,
        buyer_kind=purchase.buyer_kind,
        nature=line.nature,
        currency=purchase.currency,
        paid_minor=line.paid_minor,
        quantity=line.quantity,
        refunded_minor=line.held_minor + line.gone_minor,
        refunded_quantity=line.held_quantity + line.gone_quantity,
        asked_quantity=asked,
        purchased_at=purchase.purchased_at,
        now=now,
        timezone=purchase.store.timezone,
        term_start=line.term_start,
        term_end=line.term_end,
        units_granted=line.units_granted,
        units_used=usage.units_used,
        downloads=usage.downloads,
        share_viewed_percent=usage.share_viewed_percent,
        activations=usage.activations,
        last_access_at=usage.last_access_at,
        extra=read_sources(line),
    )
