"""Publishing freezes a policy into versions; closing ends them; a store takes its verdicts from one policy."""

from __future__ import annotations

import json
from datetime import datetime

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from refund_plugin.errors import InvalidInput
from refund_plugin.policies.models import Policy, PolicyText, PolicyVersion
from refund_plugin.policies.queries import Texts
from refund_plugin.rules import document_hash, dump_document, load_document
from refund_plugin.rules.documents import canonical_json
from refund_plugin.stores.models import Store


def freeze_policy(
    *,
    key: str,
    title: str,
    document: str,
    now: datetime,
    effective_from: datetime | None = None,
    by: str = "",
    assign_to: Store | None = None,
    founding_from: datetime | None = None,
    founding_reason: str = "",
) -> PolicyVersion:
    """Freeze what was published into a version; publishing the same again makes no new one.

    A publication replaces one that has not come into force yet, so that a policy says one thing at a time.

    Args:
        key: names the policy for good; for a page its translation key.
        document: JSON of the clauses.
        effective_from: when it shall decide purchases; never in the past, so `now` at the earliest.
        assign_to: the store that takes its verdicts from this policy, if it takes them from none yet.
        founding_from, founding_reason: date the very first version back, for purchases older than the first publication.
    Raises:
        PolicyInvalid: the document cannot be read.
        InvalidInput: a founding date without a reason.
    """
    canonical = dump_document(load_document(document))
    start = max(now, effective_from or now)
    with transaction.atomic():
        policy = _lock_policy(key=key, title=title)
        if assign_to is not None and policy.store_id is None and not Policy.objects.filter(store=assign_to).exists():
            policy.store = assign_to
        policy.title = title
        policy.save(update_fields=["store", "title"])
        newest = policy.versions.order_by("-number").first()
        founding = newest is None and founding_from is not None and founding_from < now
        if founding and not founding_reason.strip():
            raise InvalidInput(_("Say why the policy also holds for purchases made before it was published."), field="founding_reason")
        same = newest is not None and newest.closed_at is None and newest.hash == document_hash(canonical)
        # in force already, or due on the very day that is wanted: nothing to add
        if newest is not None and same and (newest.effective_from <= now or newest.effective_from == start):
            return newest
        policy.versions.filter(effective_from__gt=now, closed_at__isnull=True).update(closed_at=now)
        return _add_version(
            policy,
            document=canonical,
            effective_from=founding_from if founding and founding_from else start,
            founding_reason=founding_reason.strip() if founding else "",
            now=now,
            by=by,
        )


def close_policy(*, key: str, now: datetime) -> int:
    """End what a policy says, as when its page is unpublished; return how many versions were closed.

    Purchases made from now on are decided by a person; those made before keep their version.
    """
    return PolicyVersion.objects.filter(policy__key=key, closed_at__isnull=True).update(closed_at=now)


def add_text(*, version: PolicyVersion, locale: str, texts: Texts, now: datetime) -> PolicyText | None:
    """Add the prose of a version in one language; it changes no verdict. The same text twice is added once, no text never.

    Args:
        texts: by clause anchor, "" for the whole policy: `title`, `reason` and `body`.
    """
    with transaction.atomic():
        Policy.objects.select_for_update().get(pk=version.policy_id)
        newest = version.texts.filter(locale=locale).order_by("-id").first()
        plain = {anchor: dict(text) for anchor, text in texts.items()}
        if plain == (newest.texts if newest else {}):
            return newest
        # hashing in what came before lets an editor go back to an earlier wording, and shows a row that was removed
        chained = canonical_json({"after": newest.hash if newest else "", "texts": plain})
        return PolicyText.objects.create(version=version, locale=locale, texts=plain, hash=document_hash(chained), added_at=now)


def assign_policy(*, policy: Policy, store: Store, now: datetime, by: str = "") -> Policy:
    """Let a store take its verdicts from this policy from now on; return the store's policy.

    A store that has a policy already keeps that row with its history: it changes its key, so that the page which fed
    it and the one that feeds it from now on swap places, and the new page's clauses become its next version.
    Purchases made before therefore keep the version of their day.

    Raises:
        InvalidInput: another store takes its verdicts from this policy.
    """
    with transaction.atomic():
        rows = {row.pk: row for row in Policy.objects.select_for_update().order_by("pk")}
        wanted = rows[policy.pk]
        if wanted.store_id not in (None, store.pk):
            raise InvalidInput(_("Another shop uses this policy. Copy the page and use the copy here."), field="policy")
        current = next((row for row in rows.values() if row.store_id == store.pk), None)
        if current is None:
            wanted.store = store
            wanted.save(update_fields=["store"])
            return wanted
        if current.pk == wanted.pk:
            return current
        new_key, old_key = wanted.key, current.key
        # unique: one of them steps aside for a moment
        Policy.objects.filter(pk=wanted.pk).update(key=f"moving-{wanted.pk}", title=current.title)
        Policy.objects.filter(pk=current.pk).update(key=new_key, title=wanted.title)
        Policy.objects.filter(pk=wanted.pk).update(key=old_key)
        source = wanted.versions.filter(closed_at__isnull=True).order_by("-number").first()
        if source is None:
            close_policy(key=new_key, now=now)
        else:
            freeze_policy(key=new_key, title=wanted.title, document=source.document, now=now, effective_from=source.effective_from, by=by)
        current.refresh_from_db()
        return current


def _lock_policy(*, key: str, title: str) -> Policy:
    Policy.objects.get_or_create(key=key, defaults={"title": title})
    return Policy.objects.select_for_update().get(key=key)


def _add_version(policy: Policy, *, document: str, effective_from: datetime, founding_reason: str, now: datetime, by: str) -> PolicyVersion:
    head = json.loads(document)
    latest: int = policy.versions.aggregate(latest=Max("number"))["latest"] or 0
    return PolicyVersion.objects.create(
        policy=policy,
        number=latest + 1,
        document=document,
        hash=document_hash(document),
        format=head["format"],
        engine=head["engine"],
        effective_from=effective_from,
        founding_reason=founding_reason,
        frozen_at=now,
        frozen_by=by,
    )
