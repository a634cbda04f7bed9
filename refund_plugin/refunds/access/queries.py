"""What staff read about access."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from refund_plugin.refunds.access.models import AccessState


@dataclass(frozen=True, slots=True)
class AccessNote:
    """One line of a purchase: what the customer may use, and whether the store has confirmed it."""

    name: str
    text: str
    confirmed: bool
    error: str


def access_notes(line_ids: Collection[int]) -> list[AccessNote]:
    """Return a note for each of these lines whose access was ever changed, in the order of the lines; one statement."""
    states = AccessState.objects.filter(line__in=line_ids).select_related("line").order_by("line__position", "line_id")
    return [AccessNote(name=state.line.name, text=_text(state), confirmed=state.due_at is None, error=state.last_error) for state in states]


def _text(state: AccessState) -> str:
    quantity, frozen, revoked = state.line.quantity, state.wanted_frozen, state.wanted_revoked
    if not frozen and not revoked:
        return _("may be used")
    if quantity == 1:
        return _("revoked") if revoked else _("frozen")
    parts = []
    if revoked:
        text = ngettext("%(count)d of %(all)d revoked", "%(count)d of %(all)d revoked", revoked)
        parts.append(text % {"count": revoked, "all": quantity})
    if frozen:
        text = ngettext("%(count)d of %(all)d frozen", "%(count)d of %(all)d frozen", frozen)
        parts.append(text % {"count": frozen, "all": quantity})
    return ", ".join(parts)
