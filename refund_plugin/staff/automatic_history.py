"""Who changed the dial, paused and resumed, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext as _

from refund_plugin.events.models import Event
from refund_plugin.localize import Formatter
from refund_plugin.money import Money
from refund_plugin.refunds.brake.events import AUTOMATIC_PAUSED, AUTOMATIC_RESUMED
from refund_plugin.refunds.brake.models import AutomaticMode
from refund_plugin.refunds.brake.queries import history
from refund_plugin.refunds.brake.windows import Ceiling, Per


@dataclass(frozen=True, slots=True)
class Entry:
    """One change: when, by whom, and what, a sentence each."""

    at: datetime
    who: str
    told: list[str]


def told_history(store_id: int, formatter: Formatter) -> list[Entry]:
    """Return the latest changes, newest first, in two statements."""
    rows = history(store_id)
    names = _names(row for row in rows if row.actor_kind == "staff")
    return [Entry(row.occurred_at, names.get(row.actor_id) or row.actor_id or row.actor_kind, _told(row, formatter)) for row in rows]


def _names(rows: Iterable[Event]) -> dict[str, str]:
    users = get_user_model()._default_manager.filter(pk__in={row.actor_id for row in rows})
    return {str(user.pk): user.get_full_name() or user.get_username() for user in users}


def _told(row: Event, formatter: Formatter) -> list[str]:
    if row.kind == AUTOMATIC_PAUSED:
        until = formatter.datetime(datetime.fromisoformat(row.payload["until"]))
        return [_("Paused until %(until)s: %(why)s") % {"until": until, "why": row.payload["why"]}]
    if row.kind == AUTOMATIC_RESUMED:
        return [_("Resumed: %(why)s") % {"why": row.payload["why"]} if row.payload["why"] else _("Resumed")]
    return _changes(row.payload["before"], row.payload["after"], formatter)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], formatter: Formatter) -> list[str]:
    told = []
    if before["mode"] != after["mode"]:
        labels = {"before": AutomaticMode(before["mode"]).label, "after": AutomaticMode(after["mode"]).label}
        told.append(_("%(before)s → %(after)s") % labels)
    old, new = _amounts(before), _amounts(after)
    for name in sorted({*old, *new}, key=str):
        if old.get(name) != new.get(name):
            currency = name[0]
            was, now = (_("not set") if side.get(name) is None else formatter.money(Money(side[name], currency)) for side in (old, new))
            told.append(_("%(what)s: %(before)s → %(after)s") % {"what": _label(*name), "before": was, "after": now})
    return told


def _amounts(state: Mapping[str, Any]) -> dict[tuple[str, str, str], int]:
    """Return every amount by currency, window ("" for one request) and SKU."""
    amounts = {(currency, "", ""): amount for currency, amount in state["limit_minor"].items()}
    ceilings = map(Ceiling.from_json, state["ceilings"])
    return amounts | {(ceiling.currency, ceiling.per.value, ceiling.sku): ceiling.amount_minor for ceiling in ceilings}


def _label(currency: str, per: str, sku: str) -> str:
    label = {"": _("One request"), Per.HOUR: _("Any hour"), Per.DAY: _("Any day")}[per]
    return f"{label}, {sku}, {currency}" if sku else f"{label}, {currency}"
