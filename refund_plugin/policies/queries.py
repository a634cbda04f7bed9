"""Which version decides a purchase, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache

from django.db.models import Q, QuerySet

from refund_plugin.policies.models import Policy, PolicyText, PolicyVersion
from refund_plugin.rules import PolicyDocument, clause_kinds, load_document


def in_force(at: datetime) -> Q:
    """Return the filter for versions whose time has come and that were not closed at `at`."""
    return Q(effective_from__lte=at) & (Q(closed_at__isnull=True) | Q(closed_at__gt=at))


def version_in_force(*, store_id: int, at: datetime) -> PolicyVersion | None:
    """Return the version that decides what the store sold at `at`: the latest publication whose time had come.

    None when the store had no policy then; a person decides such purchases.
    """
    return PolicyVersion.objects.filter(in_force(at), policy__store_id=store_id).select_related("policy").order_by("-number").first()


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


def texts_of(*, version: PolicyVersion, locale: str) -> Mapping[str, str]:
    """Return the prose of a version in a language by clause anchor, as published last; empty when there is none."""
    text = PolicyText.objects.filter(version=version, locale=locale).order_by("-id").first()
    return text.texts if text else {}
