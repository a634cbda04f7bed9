"""Drafts that decide silently: each new decision is judged by them too, after it was made, and nobody but staff hears of it.

The outbox hands every decision over once it is committed. What fails here is retried, then parked, and never reaches the
decision; and while no draft is silent, a decision costs one look at a small table.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from refund_plugin.actor import ActorKind
from refund_plugin.errors import InvalidInput
from refund_plugin.events.models import Event
from refund_plugin.refunds import events
from refund_plugin.refunds.models import Decision
from refund_plugin.refunds.replay.judging import judge_again, was_judged
from refund_plugin.refunds.replay.models import Answer, Shadow, ShadowVerdict
from refund_plugin.refunds.replay.reading import as_dict, document_behind
from refund_plugin.rules import PolicyDocument, document_hash, dump_document, load_document
from refund_plugin.stores.models import Store

NAME = "shadow"
KINDS = (events.REQUEST_APPROVED, events.REQUEST_DECLINED, events.REQUEST_IN_REVIEW)
MAX_DAYS = 90
KEEP = timedelta(days=90)


def start_shadow(
    *, store: Store, policy_key: str, document: PolicyDocument, days: int, now: datetime, by_id: str = "", by_label: str = ""
) -> Shadow:
    """Let a draft decide silently beside the store's policy from now on; one that does so already for this policy is stopped.

    What silent drafts said whose time was over more than 90 days ago is deleted.

    Args:
        days: until its time is over, 1 to 90.
        now: UTC.
    Raises:
        InvalidInput: another number of days, or a draft without clauses.
    """
    if not 1 <= days <= MAX_DAYS:
        raise InvalidInput(_("Choose 1 to %(max)d days.") % {"max": MAX_DAYS}, field="days")
    if not document.clauses:
        raise InvalidInput(_("The draft has no clauses yet. Add at least one and save the draft."), field="document")
    text = dump_document(document)
    Shadow.objects.filter(Q(stopped_at__lt=now - KEEP) | Q(ends_at__lt=now - KEEP)).delete()
    with transaction.atomic():
        Store.objects.select_for_update().get(pk=store.pk)  # two who start at once: one after the other
        earlier = Shadow.objects.filter(store=store, policy_key=policy_key, stopped_at__isnull=True)
        earlier.filter(ends_at__lt=now).update(stopped_at=F("ends_at"))
        earlier.update(stopped_at=now)
        return Shadow.objects.create(
            store=store,
            policy_key=policy_key,
            document=text,
            hash=document_hash(text),
            starts_at=now,
            ends_at=now + timedelta(days=days),
            started_by_id=by_id,
            started_by=by_label[:200],
        )


def stop_shadow(*, shadow_id: int, now: datetime) -> bool:
    """Let a silent draft say no more; what it said stays to be read. Tell whether it was still on."""
    return Shadow.objects.filter(pk=shadow_id, stopped_at__isnull=True, ends_at__gt=now).update(stopped_at=now) > 0


def on_event(event: Event) -> None:
    """Judge a decision of the engine by the drafts that were on when it was made; again for the same one adds nothing."""
    decision_id = event.payload.get("decision")
    if decision_id is None:
        return
    on = Q(stopped_at__isnull=True) | Q(stopped_at__gt=event.occurred_at)
    shadows = list(Shadow.objects.filter(on, store_id=event.store_id, starts_at__lte=event.occurred_at, ends_at__gt=event.occurred_at))
    if not shadows:
        return
    decision = Decision.objects.filter(pk=decision_id, actor_kind=ActorKind.ENGINE).first()
    if decision is not None:
        ShadowVerdict.objects.bulk_create([verdict for shadow in shadows for verdict in _verdicts(shadow, decision)], ignore_conflicts=True)


def _verdicts(shadow: Shadow, decision: Decision) -> Sequence[ShadowVerdict]:
    document = load_document(shadow.document)
    found = []
    for facts, verdict in zip(map(as_dict, decision.facts), map(as_dict, decision.verdicts), strict=True):
        before = was_judged(verdict)
        after = judge_again(document, facts, verdict, lambda: document_behind(decision.policy_version))
        found.append(
            ShadowVerdict(
                shadow=shadow,
                decision=decision,
                line_id=int(facts["line_id"]),
                before=before.outcome,
                before_minor=before.amount_minor,
                after=Answer.UNCLEAR if after is None else after.outcome,
                after_minor=0 if after is None else after.amount_minor,
                currency=decision.currency,
                differs=after is not None and after != before,
                decided_at=decision.decided_at,
            )
        )
    return found
