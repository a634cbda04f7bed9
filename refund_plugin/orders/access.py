"""The access ledger: what was used of what was bought, recorded once and never changed, and corrected by rows of its own."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from refund_plugin.actor import Action, Actor, ActorKind
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events import services as events
from refund_plugin.localize import Formatter
from refund_plugin.orders.events import access_corrected
from refund_plugin.orders.models import AccessCorrection, AccessEvent, AccessKind, CorrectionReason, Purchase, PurchaseLine
from refund_plugin.orders.validation import CLOCK_SLACK

SHARES = (AccessKind.VIEWED, AccessKind.STREAMED)
MAX_UNITS = 1_000_000  # more in one fact is a mistake of whoever tells it, such as bytes for downloads
MAX_NAME = 120
MAX_NOTE = 4000
SOURCE = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,39}\Z")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def record_access(
    *,
    line: PurchaseLine,
    kind: str,
    amount: int = 1,
    source_id: str,
    occurred_at: datetime,
    source: str = "shop",
    now: datetime | None = None,
) -> AccessEvent:
    """Append a fact of use to the access ledger; the same fact told twice is one row.

    Args:
        kind: an `AccessKind`.
        amount: percent viewed so far in all for "viewed" and "streamed" (0 to 100), units for the others (1 to `MAX_UNITS`).
        source_id: the caller's name of the fact, unique per line and source, such as the id of a log entry.
        source: who tells it, in a word; each has names of facts of its own.
        now: when given, a moment that lies after it is refused.
    Raises:
        InvalidInput: a value cannot be used, or `source_id` names another fact of this line and source already.
    """
    if kind not in AccessKind.values:
        raise InvalidInput(_("Use one of: %(choices)s.") % {"choices": ", ".join(AccessKind.values)}, field="kind")
    if not (0 <= amount <= 100 if kind in SHARES else 1 <= amount <= MAX_UNITS):
        text = _("Tell a share in percent from 0 to 100, or a number of units from 1 to %(most)d.")
        raise InvalidInput(text % {"most": MAX_UNITS}, field="amount")
    if not source_id or len(source_id) > MAX_NAME or _UNSTORABLE.search(source_id):
        raise Required(_("Name the fact with 1 to 120 characters, so that telling it twice counts once."), field="source_id")
    if not SOURCE.match(source):
        raise InvalidInput(_("Name who tells it in a word of lower-case letters, such as “downloads”."), field="source")
    if occurred_at.tzinfo is None or (now is not None and occurred_at > now + CLOCK_SLACK):
        raise InvalidInput(_("Tell when it happened, with a time zone and not in the future."), field="occurred_at")
    fact, created = AccessEvent.objects.get_or_create(
        line=line, source=source, source_id=source_id, defaults={"kind": kind, "amount": amount, "occurred_at": occurred_at}
    )
    if not created and (fact.kind, fact.amount) != (kind, amount):
        raise InvalidInput(_("Another fact of this line already has this name."), field="source_id")
    return fact


def correct_access(*, fact_id: int, reason: str, note: str, by: Actor, now: datetime) -> AccessCorrection:
    """Say that a recorded use does not count, once and for good. The fact stays; decisions made before stay as they were.

    Args:
        reason: a `CorrectionReason`; the customer reads it.
        note: what was found, for colleagues; required.
        now: UTC.
    Raises:
        NotFound: no such fact, or one of another store.
        NotAllowed: `by` may not correct the ledger, or bought this.
        InvalidInput: an unknown reason, or a note that cannot be kept.
        WrongState: it was corrected before.
    """
    fact = AccessEvent.objects.select_related("line__purchase__customer").filter(pk=fact_id).first()
    if fact is None or (by.store_id is not None and by.store_id != fact.line.purchase.store_id):
        raise NotFound(_("There is no such record of use."))
    _check_may_correct(fact.line.purchase, by)
    if reason not in CorrectionReason.values:
        raise InvalidInput(_("Choose one of the reasons."), field="reason")
    note = note.strip()
    if not note:
        raise Required(_("Say what you found, for your colleagues."), field="note")
    if len(note) > MAX_NOTE or _UNSTORABLE.search(note):
        raise InvalidInput(_("Please keep the note under %(max)d plain characters.") % {"max": MAX_NOTE}, field="note")
    told = access_corrected(store_id=fact.line.purchase.store_id, line_id=fact.line_id, fact_id=fact.pk, reason=reason, by=by)
    with transaction.atomic():
        correction, is_new = AccessCorrection.objects.get_or_create(
            event=fact, defaults={"reason": reason, "note": note, "actor_kind": by.kind, "actor_id": by.id, "corrected_at": now}
        )
        if not is_new:
            raise WrongState(_("This was corrected before: it does not count any more."))
        events.record(told, now=now)
    return correction


def _check_may_correct(purchase: Purchase, by: Actor) -> None:
    if by.kind == ActorKind.SYSTEM:
        return
    if by.kind == ActorKind.CUSTOMER or not by.may(Action.CORRECT_ACCESS):
        raise NotAllowed
    bought_signed_in = purchase.user_id is not None and by.id == str(purchase.user_id)
    if by.kind == ActorKind.STAFF and (bought_signed_in or (by.email and by.email == purchase.customer.email)):
        raise NotAllowed(_("You bought this yourself: a colleague has to correct it."))


def facts_of_use(lines: Iterable[int]) -> QuerySet[AccessEvent]:
    """Return everything that is recorded of these lines, by id, in the order in which it happened; one statement.

    Each comes with its line and, where it does not count, its `correction`.
    """
    found = AccessEvent.objects.filter(line_id__in=list(lines)).select_related("line", "correction")
    return found.order_by("occurred_at", "pk")


def uncounted_sentences(lines: Iterable[int], formatter: Formatter) -> Mapping[int, list[str]]:
    """Tell a customer, by line, which recorded uses do not count and why; one statement."""
    told = defaultdict(list)
    for fact in facts_of_use(lines).filter(correction__isnull=False):
        words = {"what": fact.get_kind_display(), "day": formatter.date(fact.occurred_at), "why": fact.correction.get_reason_display()}
        told[fact.line_id].append(_("Not counted: %(what)s on %(day)s, because %(why)s.") % words)
    return told


def correction_of(fact: AccessEvent) -> AccessCorrection | None:
    """Return why a fact does not count; None when it does. The fact comes from `facts_of_use`."""
    found: AccessCorrection | None = getattr(fact, "correction", None)
    return found
