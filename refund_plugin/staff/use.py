"""What the case page shows of the access ledger."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.translation import gettext as _

from refund_plugin.localize import Formatter
from refund_plugin.orders.access import SHARES, correction_of, facts_of_use
from refund_plugin.orders.models import AccessEvent

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class UseRow:
    """One recorded use, in words.

    Attributes:
        why_not: why it does not count; empty when it does.
        note: what the colleague found who corrected it.
    """

    fact_id: int
    text: str
    at: str
    source: str
    why_not: str
    note: str


def use_rows(line_ids: Collection[int], formatter: Formatter) -> list[UseRow]:
    """Return the newest uses of these lines, newest first, at most `MOST_SHOWN`; one statement."""
    return [use_row(fact, formatter) for fact in facts_of_use(line_ids).reverse()[:MOST_SHOWN]]


def use_row(fact: AccessEvent, formatter: Formatter) -> UseRow:
    """Return a fact that came from `facts_of_use` in words."""
    correction = correction_of(fact)
    return UseRow(
        fact_id=fact.pk,
        text=f"{fact.line.name}: {used(fact, formatter)}",
        at=formatter.datetime(fact.occurred_at),
        source=fact.source,
        why_not=correction.get_reason_display() if correction else "",
        note=correction.note if correction else "",
    )


def used(fact: AccessEvent, formatter: Formatter) -> str:
    """Say what was done, and how much of it when that is not once."""
    what = fact.get_kind_display()
    if fact.kind in SHARES:
        return _("%(what)s, %(share)s") % {"what": what, "share": formatter.percent(fact.amount)}
    return what if fact.amount == 1 else _("%(what)s, %(count)d times") % {"what": what, "count": fact.amount}
