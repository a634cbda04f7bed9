"""What the rules engine reads about a purchase line, gathered from what was bought, refunded, used and agreed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery

from refund_plugin.orders.data import Usage
from refund_plugin.orders.models import Payment, Purchase, PurchaseLine
from refund_plugin.policies.consent import consents_of
from refund_plugin.refunds.models import RequestReason
from refund_plugin.rules import LineFacts, read_sources

# Directive (EU) 2019/770 art. 6 to 8: what was described and what works are one question, whether it conforms.
FAULTS = frozenset({RequestReason.DEFECTIVE, RequestReason.NOT_AS_DESCRIBED})


class Earlier(NamedTuple):
    """Whether the customer bought the same SKU before and still has it (None when nobody knows), and when the last time (UTC)."""

    is_kept: bool | None
    purchased_at: datetime | None


@dataclass(frozen=True, slots=True)
class Records:
    """What was read about lines beyond their own rows, by line id; the lines may belong to any purchases."""

    earlier: Mapping[int, Earlier]
    consents: Mapping[int, bool | None]


def records_of(line_ids: Collection[int]) -> Records:
    """Read what facts need beyond the lines themselves, for all lines at once."""
    return Records(earlier=earlier_purchases(line_ids), consents=consents_of(line_ids))


def earlier_purchases(line_ids: Collection[int]) -> Mapping[int, Earlier]:
    """Return by line whether the same customer bought the same SKU before; one statement however many lines.

    The same customer is the same address or the same signed-in user, in the same store. An earlier purchase counts while a unit
    of it is neither refunded nor on its way back. Nobody knows it of one whose payment is not captured or is disputed, or has
    been refunded past us and not assigned to lines: the customer may have that money already.
    """
    if not line_ids:
        return {}
    lines = PurchaseLine.objects.filter(pk__in=line_ids).order_by()
    rows = lines.annotate(kept_at=_latest(troubled=False), doubtful_at=_latest(troubled=True))
    return {pk: _earlier(kept_at, doubtful_at) for pk, kept_at, doubtful_at in rows.values_list("pk", "kept_at", "doubtful_at")}


def _earlier(kept_at: datetime | None, doubtful_at: datetime | None) -> Earlier:
    if kept_at is not None:
        return Earlier(is_kept=True, purchased_at=kept_at)
    return Earlier(is_kept=None if doubtful_at else False, purchased_at=None)


def _latest(*, troubled: bool) -> Subquery:
    same_buyer = Q(purchase__customer=OuterRef("purchase__customer")) | Q(purchase__user=OuterRef("purchase__user"))
    trouble = Exists(
        Payment.objects.filter(Q(is_captured=False) | Q(disputed_minor__gt=0) | Q(unallocated_minor__gt=0), purchase=OuterRef("purchase"))
    )
    found: QuerySet[PurchaseLine] = PurchaseLine.objects.filter(
        same_buyer,
        trouble if troubled else ~trouble,
        sku=OuterRef("sku"),
        purchase__store=OuterRef("purchase__store"),
        purchase__purchased_at__lt=OuterRef("purchase__purchased_at"),
        quantity__gt=F("held_quantity") + F("gone_quantity"),
        paid_minor__gt=F("held_minor") + F("gone_minor"),
    )
    return Subquery(found.order_by("-purchase__purchased_at").values("purchase__purchased_at")[:1])


def gather_facts(
    *,
    purchase: Purchase,
    lines: Sequence[tuple[PurchaseLine, Usage]],
    quantities: Mapping[int, int],
    now: datetime,
    fault_reported: bool | None = False,
    records: Records | None = None,
) -> dict[int, LineFacts]:
    """Return the facts of each line by its id.

    Args:
        lines: each with how much it was used.
        quantities: units asked for, by line id; every unit that is left when a line is missing.
        now: UTC.
        fault_reported: the customer says that it does not work or is not as described; nobody has said so before the form is sent.
        records: what `records_of` read for these lines, where the caller reads many purchases at once.
    """
    records = records or records_of([line.pk for line, _usage in lines])
    return {
        line.pk: _facts(
            purchase,
            line,
            usage,
            quantities.get(line.pk, max(line.quantity_left, 0)),
            earlier=records.earlier[line.pk],
            consent=records.consents.get(line.pk),
            fault_reported=fault_reported,
            now=now,
        )
        for line, usage in lines
    }


def _facts(
    purchase: Purchase,
    line: PurchaseLine,
    usage: Usage,
    asked: int,
    *,
    earlier: Earlier,
    consent: bool | None,
    fault_reported: bool | None,
    now: datetime,
) -> LineFacts:
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
        earlier_purchase=earlier.is_kept,
        earlier_purchase_at=earlier.purchased_at,
        fault_reported=fault_reported,
        consent_proven=consent,
        extra=read_sources(line),
    )
