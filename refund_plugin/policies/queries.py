"""Which version decides a purchase, and what it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import CharField, F, FilteredRelation, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Cast, Concat

from refund_plugin.conf import settings
from refund_plugin.policies.models import Policy, PolicyText, PolicyVersion
from refund_plugin.rules import Clause, PolicyDocument, clause_kinds, load_document
from refund_plugin.statements import KeptStatement
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import stores_for_site

# By clause anchor ("" for the whole policy): title, reason and body, as far as there are any.
Texts = Mapping[str, Mapping[str, str]]


def in_force(at: datetime) -> Q:
    """Return the filter for versions whose time has come and that were not closed at `at`."""
    return Q(effective_from__lte=at) & (Q(closed_at__isnull=True) | Q(closed_at__gt=at))


def version_in_force(*, store_id: int, at: datetime) -> PolicyVersion | None:
    """Return the version that decides what the store sold at `at`: the latest publication whose time had come.

    None when the store had no policy then; a person decides such purchases.
    """
    return PolicyVersion.objects.filter(in_force(at), policy__store_id=store_id).select_related("policy").order_by("-number").first()


def name_in_force() -> Subquery:
    """Return an annotation for purchases: which version is in force for them, as `version_named` takes it."""
    at = OuterRef("purchased_at")
    open_then = Q(closed_at__isnull=True) | Q(closed_at__gt=at)
    versions = PolicyVersion.objects.filter(open_then, effective_from__lte=at, policy__store_id=OuterRef("store_id"))
    return Subquery(versions.order_by("-number").values(name=Concat(Cast("pk", CharField()), Value(":"), "hash"))[:1])


@lru_cache(maxsize=64)
def version_named(name: str) -> PolicyVersion:
    """Return a version by its `name_in_force`; versions never change what they say, so each is read once per process."""
    return PolicyVersion.objects.select_related("policy").get(pk=int(name.partition(":")[0]))


@dataclass(frozen=True, slots=True)
class ShownPolicy:
    """What a store's customers are shown now. Equal ones say the same, so that what is made of one can be kept.

    Attributes:
        page_key: names the page that publishes it (`Policy.key`).
        name, texts_hash: of the version and of its prose; they say nothing else ever.
        texts: in the reader's language.
    """

    store_id: int
    timezone: str
    page_key: str
    name: str
    texts_hash: str
    version: PolicyVersion = field(compare=False)
    texts: Texts = field(compare=False)


def shown_policy(*, store: str = "", wagtail_site_id: int | None = None, at: datetime, locale: str) -> ShownPolicy | None:
    """Return what a store shows its customers at `at`; None when there is no such store, or it has no policy then.

    One query, besides reading once per process what a version and its prose say.

    Args:
        store: its slug; "" means that of the Wagtail site, else the default one.
    """
    of_store = {"store": store} if store else {"wagtail_site_id": wagtail_site_id, "default": settings().store}
    rows = _SHOWN.rows(**of_store, at=at, locale=locale)
    if not rows or rows[0][3] is None:
        return None
    store_id, timezone, page_key, version_id, version_hash, texts_hash = rows[0]
    name = f"{version_id}:{version_hash}"
    return ShownPolicy(
        store_id=store_id,
        timezone=timezone,
        page_key=page_key,
        name=name,
        texts_hash=texts_hash or "",
        version=version_named(name),
        texts=_texts_with(texts_hash) if texts_hash else {},
    )


def _shown(
    *, at: datetime, locale: str, store: str = "", wagtail_site_id: int | None = None, default: str = ""
) -> QuerySet[Store, tuple[Any, ...]]:
    stores = Store.objects.filter(slug=store) if store else stores_for_site(wagtail_site_id=wagtail_site_id, default=default)
    texts = PolicyText.objects.filter(version_id=OuterRef("shown__pk"), locale=locale).order_by("-id")
    counts = Q(policies__versions__effective_from__lte=at) & (
        Q(policies__versions__closed_at__isnull=True) | Q(policies__versions__closed_at__gt=at)
    )
    shown = stores.alias(shown=FilteredRelation("policies__versions", condition=counts))
    return (
        shown.annotate(texts_hash=Subquery(texts.values("hash")[:1]))
        .order_by(*stores.query.order_by, F("shown__number").desc(nulls_last=True))
        .values_list("pk", "timezone", "policies__key", "shown__pk", "shown__hash", "texts_hash")[:1]
    )


_SHOWN = KeptStatement(_shown)  # every page with a badge or a footer asks


@lru_cache(maxsize=256)
def _texts_with(texts_hash: str) -> Texts:
    # rows of one hash hold the same words
    return PolicyText.objects.filter(hash=texts_hash)[0].texts


def load_version(version: PolicyVersion) -> PolicyDocument:
    """Return what a version says; documents are read once per process.

    Raises:
        PolicyInvalid: the stored document is of a format that this release cannot read.
    """
    return _load(version.document, frozenset(clause_kinds()))


@lru_cache(maxsize=256)
def _load(document: str, kinds: frozenset[str]) -> PolicyDocument:
    # the installed kinds belong to the key: a kind that a plug-in adds later turns an unknown clause into a known one
    return load_document(document)


def policy_for_key(key: str) -> Policy | None:
    """Return the policy that a page publishes, by the page's translation key."""
    return Policy.objects.filter(key=key).select_related("store").first()


def versions_of(policy: Policy) -> QuerySet[PolicyVersion]:
    """Return a policy's versions, the newest first."""
    return policy.versions.select_related("policy").order_by("-number")


def upcoming_version(*, policy: Policy, at: datetime) -> PolicyVersion | None:
    """Return the version that is published and comes into force after `at`."""
    return policy.versions.filter(effective_from__gt=at, closed_at__isnull=True).order_by("-number").first()


def texts_of(*, version: PolicyVersion, locale: str) -> Texts:
    """Return the prose of a version in a language by clause anchor, as published last; empty when there is none."""
    text = PolicyText.objects.filter(version=version, locale=locale).order_by("-id").first()
    return text.texts if text else {}


def texts_by_version(versions: Iterable[PolicyVersion], locale: str) -> dict[int, Texts]:
    """Return the prose of several versions in a language, as published last, by the version's id; one query."""
    found = PolicyText.objects.filter(version__in=[version.pk for version in versions], locale=locale).order_by("id")
    return {text.version_id: text.texts for text in found}


def localized(document: PolicyDocument, texts: Texts) -> PolicyDocument:
    """Return the document with titles and reasons in the language of `texts`; it decides exactly as before."""

    def in_language(clause: Clause) -> Clause:
        text = texts.get(clause.anchor, {})
        said = {name: text[name] for name in ("title", "reason", "evidence") if text.get(name)}
        changes: dict[str, Any] = {name: words for name, words in said.items() if hasattr(clause, name)}
        return replace(clause, **changes) if changes else clause

    return PolicyDocument(tuple(in_language(clause) for clause in document.clauses), document.auto_approve_limit)


def localized_pair(before: PolicyDocument, after: PolicyDocument, texts: tuple[Texts, Texts]) -> tuple[PolicyDocument, PolicyDocument]:
    """Return two versions in one language, fit to be compared: a translation that came with one of them is no change of the rule."""
    plain: tuple[dict[str, dict[str, str]], ...] = tuple({anchor: dict(text) for anchor, text in each.items()} for each in texts)
    for clause in after.clauses:
        earlier = before.clause(clause.anchor)
        for name in ("title", "reason"):
            own = getattr(clause, name, None)
            if earlier is None or own is None or getattr(earlier, name, None) != own:
                continue
            old, new = (each.get(clause.anchor, {}).get(name) for each in plain)
            if bool(old) != bool(new):
                for each in plain:
                    each.setdefault(clause.anchor, {})[name] = old or new or ""
    return localized(before, plain[0]), localized(after, plain[1])


def load_version_in(version: PolicyVersion, locale: str) -> PolicyDocument:
    """Return what a version says, with titles and reasons in a language as far as they were translated."""
    texts = texts_of(version=version, locale=locale)
    return localized(load_version(version), texts) if texts else load_version(version)
